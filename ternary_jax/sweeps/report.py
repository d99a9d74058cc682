"""What a sweep says: its plan before it trains, whether it has to be confirmed, and how its runs ended."""

import time
from collections import Counter
from pathlib import Path

import jax

from ternary_jax import terminal
from ternary_jax.engine import compiling
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import plan as plan_of_steps
from ternary_jax.engine.program import make_train
from ternary_jax.sweeps import plan as plans
from ternary_jax.sweeps.plan import SweepPlan
from ternary_jax.tables import command_of, counted, size, span
from ternary_jax.workdir import sweep

ASKS_FROM = 64  # a sweep of more runs has to be confirmed at a terminal
ASKS_FROM_S = 3600.0  # and one of more seconds


def plan(found: SweepPlan) -> str:
    """The plan, as a table with a row for each group: its static settings, runs, steps, and the memory of its states.

    A program takes more than its states: what XLA says of it is printed when it is compiled, by `dry_run` for all.
    """
    sizes = {}
    for g, group in enumerate(found.groups):
        task, static, hypers = assemble(group.config)
        state = jax.eval_shape(make_train(task, static)[0], hypers)
        sizes[g] = f"{size(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)))} of states"
    return plans.text(found, sizes)


def dry_run(found: SweepPlan, compiled: bool, at_once: int | None) -> str:
    """The plan; with the memory of the program of each group, if it is to be compiled."""
    if not compiled:
        return plans.text(found)
    memory = {}
    for g, group in enumerate(found.groups):
        n = len(group.runs) if at_once is None else plans.most_at_once(len(group.runs), at_once)
        with terminal.waiting(f"compiling group {g} of {len(found.groups)}, {counted(n, 'run')}"):
            made = compiling.ahead(plans.config_of(group, range(n)))
        needed = compiling.peak(compiling.figures(made.chunk.program))
        memory[g] = f"{size(needed) if needed is not None else '?'} for {n:,} at once"
    return plans.text(found, memory)


def asks(found: SweepPlan) -> str:
    """Why a sweep has to be confirmed; "" if it need not be. A sweep of few runs is timed, which compiles a program."""
    if (runs := len(found.runs)) > ASKS_FROM:
        return f"this sweep has {runs:,} runs, more than {ASKS_FROM}"
    terminal.say("timing a run of the first group ...")
    with terminal.waiting("timing it"):
        seconds = estimate(found)
    return f"this sweep takes about {span(seconds)}, by the time of one run" if seconds > ASKS_FROM_S else ""


def estimate(found: SweepPlan) -> float:
    """Seconds of a sweep without its compiling and evaluations: those of a sample of the first run times all samples.

    On a CPU, runs that are trained at once take about as long as one after the other; elsewhere they take less.
    """
    config = plans.config_of(found.groups[0], [0])
    config.train.chunk = 1  # of an epoch, or of a step where the config counts steps
    made, batch = compiling.ahead(config), config.train.batch_size
    hypers = jax.device_put(assemble(config)[2])
    task, static, _ = assemble(config)
    steps = plan_of_steps(static, task.samples_per_epoch).chunk
    state, _ = made.chunk(made.begin(hypers), 0, hypers)
    begun = time.monotonic()
    jax.block_until_ready(made.chunk(state, steps, hypers))
    of_sample = (time.monotonic() - begun) / (steps * batch)
    return of_sample * sum(len(g.runs) * g.steps * g.config.train.batch_size for g in found.groups)


def ended(path: Path, finished: bool, again: str) -> str:
    """How the runs ended, in a line; and what to type next."""
    rows = sweep.open(path).table()
    counts = ", ".join(f"{n:,} {ending}" for ending, n in Counter(row.ending for row in rows).items())
    head = f"{len(rows):,} runs: {counts}; {path / 'runs.csv'} has a row for each"
    following = f"next: {command_of('ternary_jax.analyze', str(path))}" if finished else f"to go on: {again}"
    return f"{head}\n{following}"
