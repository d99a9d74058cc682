"""What stands around a run: a directory that one process holds, signals that are waited for, compiled programs kept."""

import contextlib
import fcntl
import json
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from ternary_jax import config as configs
from ternary_jax.engine import log
from ternary_jax.engine.task import RunError


def finished(workdir: Path, config: Any) -> dict[str, Any] | None:
    """The summary of a workdir whose run has ended, None where there is something to do. Changes nothing.

    A workdir of another config, or a directory that is no workdir, is refused.
    """
    file = workdir / "config.json"
    if not file.exists():
        names = sorted(path.name for path in workdir.iterdir()) if workdir.is_dir() else []
        # A full disk or a kill may leave config.json half written.
        strangers = [name for name in names if not name.startswith(".") and name != "config.json.part"]
        if strangers:
            raise configs.ConfigError(
                f"--workdir={workdir} holds {strangers[0]!r} and no config.json, so it is no workdir: name another"
            )
        return None
    there = _read(file)
    if there is None:
        raise RunError(f"{file} is damaged: put back a copy (every checkpoint holds one), or name another --workdir")
    if differing := configs.differences(there, configs.resolved(config)):
        raise configs.ConfigError(
            f"--workdir={workdir} is of another config: {', '.join(differing)}; name another, or give that config"
        )
    summary = _read(workdir / "summary.json")
    return summary if summary and summary.get("finished") else None


def _read(file: Path) -> dict[str, Any] | None:
    """What a JSON file holds; None where there is none, or something else in it."""
    try:
        found = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def claim(workdir: Path, config: Any) -> Iterator[None]:
    """Hold the workdir for this process, with its config in config.json. The lock dies with the process, however."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with (workdir / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another process is at work in {workdir}: wait for it, or name another --workdir"
                ) from None
            log.write_whole(workdir / "config.json", (json.dumps(configs.resolved(config), indent=1) + "\n").encode())
            yield
    except OSError as e:
        raise RunError(f"{e.filename or workdir}: {e.strerror}; mend that, or name another --workdir") from e


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, aloud; a second one ends the process. Not outside the main thread."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number, frame):
        asked.set()
        os.write(2, b"interrupted: it ends after the next evaluation, and saves; another signal ends it at once\n")
        for number in before:
            signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_compiled_programs() -> None:
    """jax's persistent cache in the user's cache directory, unless jax was told of another: a second start is quick."""
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        return
    with contextlib.suppress(OSError, RuntimeError):  # no home, no place to write: it compiles each time
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ternary_jax"
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
        jax.config.update("jax_compilation_cache_dir", str(cache))
        # By default only what took a second is kept. A run compiles some twenty small programs beside the large one.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
