"""Process-wide setup of a run: handling of SIGINT and SIGTERM, and jax's persistent compilation cache."""

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import jax


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, with a message; a second signal ends the process. Main thread only."""
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
    """Set jax's persistent compilation cache to the user's cache directory, unless jax has one."""
    if jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        return
    with contextlib.suppress(OSError, RuntimeError):  # no home or no write permission: no cache
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ternary_jax"
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
        jax.config.update("jax_compilation_cache_dir", str(cache))
        # By default jax only caches programs that took a second to compile; a run has some twenty small ones.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
