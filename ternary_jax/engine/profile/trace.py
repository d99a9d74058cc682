"""Traces of jax.profiler: recording one into a folder, and the times of the operations in it."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax

from ternary_jax.errors import RunError

MODULE = "jit_train_chunk"  # the name of the compiled program of a chunk in a trace


class Times(NamedTuple):
    """The events of an operation in a trace: their number, and their milliseconds together."""

    events: int
    ms: float


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Record a trace of the block into a folder, in which xprof and TensorBoard find it; RunError where it cannot."""
    with _profiler_error_as_run_error(folder):
        start(folder)
    try:
        yield
    finally:
        with _profiler_error_as_run_error(folder):
            jax.profiler.stop_trace()


def start(folder: Path) -> None:
    """Begin a trace, without calls of Python: they would be most of it."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    jax.profiler.start_trace(str(folder), profiler_options=options)


def operation_times(folder: Path, module: str = MODULE) -> dict[str, Times]:
    """{operation: its times} of a compiled module in the newest trace of a folder.

    Operations that ran at the same time each count in full, so the sum may exceed the time by the clock.
    """
    events: dict[str, int] = defaultdict(int)
    ms: dict[str, float] = defaultdict(float)
    found = [*folder.glob("plugins/profile/*/*.xplane.pb")]
    if not found:
        raise RunError(f"{folder} has no trace, although the profiler reported no error: name another folder")
    newest = max(found, key=lambda file: file.stat().st_mtime)
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        for line in plane.lines:
            for event in line.events:
                about = dict(event.stats)
                if about.get("hlo_module") == module and "hlo_op" in about:
                    events[str(about["hlo_op"])] += 1
                    ms[str(about["hlo_op"])] += event.duration_ns / 1e6
    return {operation: Times(n, ms[operation]) for operation, n in events.items()}


@contextlib.contextmanager
def _profiler_error_as_run_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as e:
        reason = " ".join(str(e).split())
        raise RunError(
            f"the trace cannot be recorded into {folder} ({reason}): mend that, or name another folder"
        ) from e
