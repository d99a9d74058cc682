"""The trace of some steps of a run, for config.profile.steps. A run without that key does not import this file.

The trace is taken around calls of the compiled chunk, so the program is the same with and without it. The run waits for
the device before and after the traced chunks, as their trace would else have parts of others.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from ternary_jax import terminal
from ternary_jax.engine.profile import trace
from ternary_jax.workdir import files

FOLDER = "trace"  # in the workdir
WITHIN = ("plugins", "profile")  # folders that jax.profiler makes in it


@contextlib.contextmanager
def traced(
    chunk: Callable[..., Any], length: int, steps: tuple[int, int], workdir: Path
) -> Iterator[Callable[..., Any]]:
    """A function that calls the chunk, and records a trace of the calls of the given steps into the workdir, once.

    length: of a chunk; steps: (first, end), multiples of it. A block that ends within the steps ends the trace. A run
    that goes on from within them has a trace of the rest.
    """
    make_folder(workdir)
    stage, begun = "before", steps[0]

    def call(state: Any, first: int, hypers: Any) -> Any:
        nonlocal stage, begun
        if stage == "before" and steps[0] <= first < steps[1]:
            jax.block_until_ready(state)
            stage, begun = "recording" if _tried(lambda: trace.start(workdir / FOLDER)) else "over", first
        found = chunk(state, first, hypers)
        if stage == "recording" and first + length >= steps[1]:
            jax.block_until_ready(found)
            stage = "over"
            _stop(workdir, f"of steps {begun:,} to {steps[1]:,}")
        return found

    try:
        yield call
    finally:
        if stage == "recording":
            _stop(workdir, "that ends with this session")
        elif stage == "before":
            terminal.say(f"config.profile.steps: none of the steps {steps[0]:,} to {steps[1]:,} ran, so no trace")


def make_folder(workdir: Path) -> None:
    """Make the folder of the trace; a RunError where a link is in its place. jax.profiler would follow links below."""
    folder = workdir / FOLDER
    for name in ("", *WITHIN):
        folder = folder / name
        files.make_folder(folder)


# --- inside -----------------------------------------------------------------------------------------------------------


def _stop(workdir: Path, what: str) -> None:
    if _tried(jax.profiler.stop_trace):
        terminal.say(f"a trace {what} is in {workdir / FOLDER}: docs/performance.md says how to look at it")


def _tried(action: Callable[[], None]) -> bool:
    """Whether an action of the profiler worked. A run goes on without a trace, as its result does not depend on it."""
    try:
        action()
    except (OSError, RuntimeError) as e:
        reason = " ".join(str(e).split())
        terminal.say(f"config.profile.steps: there is no trace ({reason}); the run goes on")
        return False
    return True
