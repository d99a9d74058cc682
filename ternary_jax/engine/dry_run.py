"""A dry run: the size of a training without training it; nothing is written, and by default nothing is compiled.

The program of a chunk is traced, so a task, loss or controller that does not fit the engine is refused here too.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from ternary_jax import terminal
from ternary_jax.config.checks import length, unit
from ternary_jax.engine import stopping
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.compiling import CHUNK_COMPILER_OPTIONS, Program, figures, peak
from ternary_jax.engine.plan import Plan, plan, traced_steps
from ternary_jax.engine.program import make_train, measured_metrics
from ternary_jax.tables import size


class DryRun(NamedTuple):
    """The size of a training.

    task: the name of the task
    static: the static values of the config
    plan: lengths and cadences, in steps
    parameters: number of parameters of one run, by group
    state_bytes: bytes of the state of all runs, which is also the size of a checkpoint before compression
    costly: names of the costly metrics that are measured
    program: None if it was not compiled
    """

    task: str
    static: Any
    plan: Plan
    parameters: dict[str, int]
    state_bytes: int
    costly: list[str]
    program: Program | None


def measure(config: Any, compiled: bool = False) -> DryRun:
    """The size of a training; a ConfigError where its config or task is refused. compiled: compile a chunk."""
    task, static, hypers = assemble(config)
    metrics = measured_metrics(task, static)
    stopping.check(static, metrics)
    traced_steps(static, plan(static, task.samples_per_epoch))
    init, chunk = make_train(task, static)
    state = jax.eval_shape(init, hypers)
    traced, program = chunk.program.trace(*chunk.inputs(state, hypers)), None
    if compiled:
        with terminal.waiting("compiling a chunk"):
            program = figures(traced.lower().compile(CHUNK_COMPILER_OPTIONS))
    sizes = {group: sum(leaf.size for leaf in jax.tree.leaves(tree)) for group, tree in state.params.items()}
    return DryRun(
        task=task.name,
        static=static,
        plan=plan(static, task.samples_per_epoch),
        parameters={group: size // static.runs for group, size in sizes.items()},
        state_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
        costly=[name for name, metric in metrics.items() if metric.costly],
        program=program,
    )


def text(found: DryRun) -> str:
    """The dry run as lines of at most 80 characters."""
    steps, static, runs = found.plan, found.static, found.static.runs
    epochs = f": {length(static.train):,} epochs of {steps.unit:,} steps" * (unit(static.train) == "epochs")
    calls = steps.total // steps.chunk
    rows = [
        ["runs", f"{runs:,}"],
        ["batch", f"{static.train.batch_size:,} samples of each run"],
        ["length", f"{steps.total:,} steps" + epochs],
        ["chunk", f"{steps.chunk:,} steps, {calls:,} call{'s' * (calls > 1)} of one program"],
        ["evaluations", _times(steps, steps.cheap)],
        ["costly metrics", _costly(found)],
        ["checkpoints", f"{_times(steps, steps.checkpoint)}; {size(found.state_bytes)} before compression"],
        ["parameters", f"{sum(found.parameters.values()):,} of each run"],
        *([f"  {group}", f"{size:,}"] for group, size in found.parameters.items()),
    ]
    rows += _program_rows(found.program) if found.program else []
    width = max(len(name) for name, _ in rows)
    return "\n".join([found.task, *(f"{name:{width}}  {value}" for name, value in rows)])


# --- inside -----------------------------------------------------------------------------------------------------------


def _program_rows(program: Program) -> Iterator[list[str]]:
    words = {
        "argument": "arguments: state, schedules and data",
        "output": "outputs: state and report",
        "alias": "of these outputs in the place of arguments",
        "temp": "temporary",
        "generated_code": "code",
    }
    most = peak(program)
    yield ["program", "XLA does not say its memory" if most is None else f"memory of {size(most)}"]
    yield from ([f"  {size(n)}", words[kind]] for kind, n in program.memory.items())
    yield ["FLOPs", _flops(program.flops)]


def _flops(flops: float | None) -> str:
    if flops is None:
        return "XLA does not say them"
    return f"{flops:.3g}, of one step and an evaluation: XLA counts a loop once"


def _times(steps: Plan, every: int) -> str:
    """How often an event of this cadence is due, and when."""
    times = math.ceil(steps.total / every)
    return f"{times:,}, every {every:,} steps" if times > 1 else "1, after the last step"


def _costly(found: DryRun) -> str:
    if not found.costly:
        return "never"
    return _times(found.plan, found.plan.costly) if found.plan.costly else "1, after the last step"
