"""What a sweep says: its plan before it trains, whether it has to be confirmed, and how its runs ended."""

from collections import Counter
from pathlib import Path

from ternary_jax.engine import compiling
from ternary_jax.sweeps import plan as plans
from ternary_jax.sweeps.plan import SweepPlan
from ternary_jax.tables import size
from ternary_jax.workdir import sweep

ASKS_FROM = 64  # a sweep of more runs has to be confirmed at a terminal


def plan(found: SweepPlan) -> str:
    """The plan, as a table with a row for each group."""
    return plans.text(found)


def dry_run(found: SweepPlan, compiled: bool, at_once: int | None) -> str:
    """The plan; with the memory of the program of each group, if it is to be compiled."""
    if not compiled:
        return plans.text(found)
    memory = {}
    for g, group in enumerate(found.groups):
        n = len(group.runs) if at_once is None else plans.most_at_once(len(group.runs), at_once)
        needed = compiling.peak_bytes(compiling.ahead(plans.config_of(group, range(n))))
        memory[g] = f"{size(needed) if needed is not None else '?'} for {n:,} at once"
    return plans.text(found, memory)


def asks(found: SweepPlan) -> str:
    """Why a sweep has to be confirmed; "" if it need not be."""
    runs = len(found.runs)
    return f"this sweep has {runs:,} runs, more than {ASKS_FROM}" if runs > ASKS_FROM else ""


def ended(path: Path, finished: bool, again: str) -> str:
    """How the runs ended, in a line; and what to type next."""
    rows = sweep.open(path).table()
    counts = ", ".join(f"{n:,} {ending}" for ending, n in Counter(row.ending for row in rows).items())
    head = f"{len(rows):,} runs: {counts}; {path / 'runs.csv'} has a row for each"
    to_go_on = f"to go on: {again}"
    return "\n".join([head, f"next: python -m ternary_jax.analyze {path}" if finished else to_go_on])
