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

IMPORTED = time.time()


@functools.cache
def process_start() -> float:
    """Unix seconds of the start of this process, before its imports; without /proc, of the import of this module."""
    with suppress(OSError, AttributeError, ValueError, IndexError):
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # the name may have spaces
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        return min(IMPORTED, time.time() - age)
    return IMPORTED


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
