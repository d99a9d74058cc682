"""What stands around a run: signals that it waits for, and compiled programs that are kept."""

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
