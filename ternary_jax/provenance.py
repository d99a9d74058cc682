"""Provenance of a result: the start of the process, the versions of the libraries, the commit of this checkout."""

import functools
import os
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import ternary_jax


@functools.cache
def process_start() -> float:
    """Unix seconds of the start of this interpreter, before its imports.

    It is the later of two times: the start of the process, where there is /proc; and the import of this package minus
    the CPU time of the process until then, which is near the start of an interpreter that imports the package first,
    as both commands do. The process alone may be older than its interpreter: a shell that replaces itself by Python
    (exec, as in `sh -c 'pip install ... && python ...'`) keeps its start, and Linux keeps no time of an exec: the times
    of the files in /proc are those of the first look at them, and CPU time goes on.
    """
    with suppress(OSError, AttributeError, ValueError, IndexError):
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # the name may have spaces
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        return max(ternary_jax._BEGUN, time.time() - age)
    return ternary_jax._BEGUN


@functools.cache
def provenance() -> dict[str, Any]:
    """The entries "versions" and "commit" of a summary; null where a value is not known."""
    versions: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ternary_jax"):
        versions[name] = None
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    root, commit = Path(__file__).resolve().parents[1], None
    with suppress(OSError, subprocess.SubprocessError):
        git = functools.partial(subprocess.check_output, cwd=root, text=True, timeout=5, stderr=subprocess.DEVNULL)
        top, head = git(["git", "rev-parse", "--show-toplevel", "HEAD"]).splitlines()
        dirty = git(["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])
        commit = head + "-dirty" * bool(dirty) if Path(top) == root else None  # installed inside another checkout
    return {"versions": versions, "commit": commit}
