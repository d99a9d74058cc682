"""Compilation of the programs of a training, ahead of its first step; in a sweep, also while another one trains."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax

from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import Plan
from ternary_jax.engine.program import Chunk, make_train
from ternary_jax.engine.results import RUN_ONCE_COMPILER_OPTIONS
from ternary_jax.engine.step import StepInfo, TrainState, observables
from ternary_jax.tables import counted

# Compiler options of the chunk. LLVM's optimisation level 1 compiles a sixth faster than the default, level 3, and its
# code was as fast on CPU, to within the noise (a chunk of v5_12, measured in turns: median 1.47 s against 1.52 s).
CHUNK_COMPILER_OPTIONS = {"xla_backend_optimization_level": 1}


class Compiled(NamedTuple):
    """The programs of a number of runs with these static values, whatever their hypers.

    begin: hypers on the device -> the state before the first step
    chunk: with its program compiled
    program: that of the chunk before compiling, a jitted function, for another number of runs
    abstract: shapes of the state
    info: shapes of what a chunk reports of its steps
    observables: names of the values that have to be finite, as in `Training`
    compile_s: seconds of tracing and compiling
    """

    begin: Callable[[Any], TrainState]
    chunk: Chunk
    program: Any
    abstract: TrainState
    info: StepInfo
    observables: list[str]
    compile_s: float


class Program(NamedTuple):
    """XLA's figures of the compiled program of a chunk, of all runs together.

    memory: bytes by kind; the state is donated, so that its arguments are also outputs
    flops: of one call as XLA counts them, the body of a loop once: one step, and each evaluation; None if not known
    """

    memory: dict[str, int]
    flops: float | None


def what(runs: int, steps: Plan) -> str:
    """What is compiled, in words."""
    return f"a chunk of {counted(steps.chunk, 'step')} of {counted(runs, 'run')}"


def begun(init: Any, hypers: Any) -> Future:
    """A Future of (compiled init, state before the first step): a thread compiles init and calls it."""

    def begin():
        program = init.lower(hypers).compile(RUN_ONCE_COMPILER_OPTIONS)
        return program, program(hypers)

    return ThreadPoolExecutor(1).submit(begin)


def compiled(begin: Any, chunk: Chunk, lowered: Any, abstract: TrainState, since: float) -> Compiled:
    """The programs of a training whose chunk is lowered. since: unix seconds before the lowering."""
    info, program = lowered.out_info[1].info, lowered.compile(CHUNK_COMPILER_OPTIONS)
    seconds = time.time() - since
    return Compiled(
        begin, chunk._replace(program=program), chunk.program, abstract, info, [*observables(info)], seconds
    )


def ahead(config: Any) -> Compiled:
    """The programs of a config, for a training that begins later. Nothing is run, so no memory of a state is taken."""
    task, static, hypers = assemble(config)
    (init, chunk), since = make_train(task, static), time.time()
    abstract = jax.eval_shape(init, hypers)
    lowered = chunk.program.lower(*chunk.inputs(abstract, hypers))
    return compiled(init.lower(hypers).compile(RUN_ONCE_COMPILER_OPTIONS), chunk, lowered, abstract, since)


def figures(compiled: Any) -> Program:
    """XLA's figures of a compiled chunk."""
    kinds = ("argument", "output", "alias", "temp", "generated_code")
    found, cost = compiled.memory_analysis(), compiled.cost_analysis()
    memory = {kind: int(getattr(found, f"{kind}_size_in_bytes")) for kind in kinds} if found else {}
    return Program(memory, (cost or {}).get("flops"))


def peak(program: Program) -> int | None:
    """Bytes of the device that a call takes: arguments, other outputs, temporary arrays; None if XLA does not say it.

    Arguments count once: the state is donated, so most outputs take their place.
    """
    if not program.memory:
        return None
    kinds = ("argument", "output", "temp")
    return sum(program.memory.get(kind, 0) for kind in kinds) - program.memory.get("alias", 0)
