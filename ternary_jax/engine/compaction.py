"""Compaction: runs that have ended are left out of the program, so that the others train faster.

A program trains all of its runs, and holds those that have ended: it computes their steps, and drops them. Once half of
the runs have ended, a thread compiles the program for half as many; when it is ready, the host gathers the states of
the runs that still train, steps them, and puts them back. The state and the report keep their shapes, so that rows,
checkpoints and a resumed training know nothing of it.

Two programs of different numbers of runs may round differently, and when the smaller one is ready depends on time. So
only sweeps compact: a training alone promises to be the same bit for bit after a kill.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.engine import stopping
from ternary_jax.engine.compiling import CHUNK_COMPILER_OPTIONS, Compiled
from ternary_jax.engine.plan import Plan
from ternary_jax.engine.program import Chunk, Report

Step = Callable[[Any, Any, Any], tuple[Any, Report]]  # as a Chunk is called


def fitting(made: Compiled, hypers: Any, steps: Plan) -> Callable[[stopping.StopState, int], Step]:
    """(stop states on the host, first step of a chunk) -> the function that trains the chunk.

    It is the chunk itself until a smaller program is ready. Sizes are halves of the number of runs, so that at most
    log2 of it programs are compiled, each if the time that it saves by the rest of the run is more than compiling took.
    """
    programs: dict[int, Future] = {}
    thread, called = ThreadPoolExecutor(1), []

    def of(stop: stopping.StopState, begin: int) -> Step:
        running = np.flatnonzero(stop.reason == stopping.RUNNING)
        ready = [n for n, program in programs.items() if program.done() and n >= len(running)]
        now, size = min(ready, default=len(stop.reason)), halved(len(stop.reason), len(running))
        called.append(time.monotonic())
        chunk_s = called[-1] - called[-2] if len(called) > 1 else 0.0
        saved_s = (steps.total - begin) / steps.chunk * chunk_s * (1 - size / now)
        if size not in programs and saved_s > made.compile_s:
            programs[size] = thread.submit(_compiled, made, hypers, size)
        if now == len(stop.reason):
            return made.chunk
        return _of_some(programs[now].result(), places(running, now, len(stop.reason)))

    return of


def halved(runs: int, running: int) -> int:
    """The least of runs, runs / 2, runs / 4, ... (rounded up) that has room for the running ones; at least 1."""
    while runs > 1 and -(-runs // 2) >= running:
        runs = -(-runs // 2)
    return runs


def places(running: np.ndarray, size: int, runs: int) -> np.ndarray:
    """(size,): the running runs, and as many held ones as fill the program; each once, as they are put back too."""
    held = np.setdiff1d(np.arange(runs), running)
    return np.sort(np.concatenate([running, held[: size - len(running)]])).astype(np.int32)


# --- inside -----------------------------------------------------------------------------------------------------------


def _compiled(made: Compiled, hypers: Any, size: int) -> Chunk:
    """The chunk for this number of runs."""
    state, few = (
        jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), tree)
        for tree in (made.abstract, hypers)
    )
    lowered = made.program.lower(*made.chunk.inputs(state, few))
    return made.chunk._replace(program=lowered.compile(CHUNK_COMPILER_OPTIONS))


def _of_some(chunk: Chunk, chosen: np.ndarray) -> Step:
    """The chunk of some of the runs, as a function of all."""

    def step(state, first, hypers):
        index = jax.device_put(chosen)
        few, report = chunk(_take(state, index), first, _take(hypers, index))
        return _put_back(state, index, few, report)

    return step


@jax.jit
def _take(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda x: x[index], tree)


def _merged(state: Any, index: Any, few: Any, report: Report) -> tuple[Any, Report]:
    """(state of all runs, report of all runs): a run that was left out keeps its state, and did not move."""
    runs = state.stop.reason.shape[0]
    after = jax.tree.map(lambda x, y: x.at[index].set(y), state, few)
    info, moved, counts = jax.tree.map(
        lambda x: jnp.zeros((runs, *x.shape[1:]), x.dtype).at[index].set(x), (report.info, report.moved, report.counts)
    )
    return after, Report(info, after.metrics, jax.tree.map(jnp.copy, after.stop), moved, counts)


_put_back = jax.jit(_merged, donate_argnums=0)
