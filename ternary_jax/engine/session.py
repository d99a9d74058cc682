"""Process-wide setup of a run: SIGINT and SIGTERM, freed memory, and jax's persistent compilation cache."""

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax

from ternary_jax import terminal
from ternary_jax.errors import INTERRUPTED, RunError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
M_MMAP_THRESHOLD, LARGE = -3, 2**20  # of glibc's malloc.h; bytes


class Interrupts(NamedTuple):
    """What the host loop and the handling of signals tell each other.

    asked: set by a signal: the host dispatches no further chunk
    at_once: set by the host while there is nothing new to save: a signal ends the process, or raises
    """

    asked: threading.Event
    at_once: threading.Event


@contextlib.contextmanager
def interruptible(again: str, exit_at_once: bool) -> Iterator[Interrupts]:
    """Answer SIGINT and SIGTERM by the `Interrupts`; a second signal ends the process. Main thread only.

    again: the command that resumes the run, for the message
    exit_at_once: while `at_once` is set, end the process; else raise a KeyboardInterrupt

    Python runs a handler in the main thread, between two of its instructions, so not while XLA compiles. A thread that
    reads `signal.set_wakeup_fd` learns of a signal at any moment, and ends the process while `at_once` is set.
    """
    interrupts = Interrupts(threading.Event(), threading.Event())
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def ask(number, frame):
        interrupts.asked.set()
        if interrupts.at_once.is_set():
            if exit_at_once:
                return  # the thread ends the process
            raise KeyboardInterrupt
        terminal.say_at_once(
            "interrupted: it ends after the chunks under way, and saves; another signal ends it at once"
        )
        for number in before:
            signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, ask)
    try:
        sentence = f"interrupted before it trained: there is nothing new to save; to go on: {again}"
        with _exit_thread(interrupts.at_once, sentence) if exit_at_once else contextlib.nullcontext():
            yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _exit_thread(at_once: threading.Event, sentence: str) -> Iterator[None]:
    """A thread that ends the process with the sentence if a signal comes while `at_once` is set."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def watch():
        while number := os.read(reader, 1):
            if number[0] in SIGNALS and at_once.is_set():
                terminal.say_at_once(sentence)
                os._exit(INTERRUPTED)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)  # the read ends
        thread.join()
        os.close(reader)


def check_device() -> None:
    """Raise a RunError if jax finds no device, as where JAX_PLATFORMS names one that is not there."""
    try:
        jax.devices()
    except Exception as e:  # an AssertionError or a RuntimeError, by the kind of the platform
        platforms = os.environ.get("JAX_PLATFORMS", "")
        reason = f"{e}".partition("\n")[0] or type(e).__name__
        raise RunError(
            f"JAX_PLATFORMS={platforms} gives jax no device ({reason}): unset it, or install jax for that platform"
        ) from e


def return_large_arrays() -> None:
    """Have malloc return arrays of 1 MB and more to the system when they are freed. Linux alone.

    glibc does so until the first of them is freed, and then takes such arrays from its heaps, where the copies that
    checkpoints make leave holes. So in 1,000 steps with ten checkpoints (experiments/cube_endurance.py) the memory of
    the process grew by a sixth. A single heap, MALLOC_ARENA_MAX=1, was tried and grows too.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


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
