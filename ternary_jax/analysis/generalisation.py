"""The curves of what is trained on and of what is held out, and when each gets to its level: grokking, or not."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.grokking import generalisation
from ternary_jax.workdir import Run


class Pair(NamedTuple):
    """A held-out metric and its counterpart on the training data, scaled so that 0 is chance and 1 is the best.

    name: of the held-out metric
    fit, held_out (n,): float64, nan where not measured
    verdict: one of `grokking.generalisation.VERDICTS`
    t_fit, t_gen: steps at which the curves first hold the level; nan where they do not; ratio: t_gen / t_fit
    """

    name: str
    fit: NDArray
    held_out: NDArray
    verdict: str
    t_fit: float
    t_gen: float
    ratio: float


class Generalisation(NamedTuple):
    """Held-out curves of a run. step (n,): the evaluations; level: that counts as reached; pairs: of metrics."""

    task: str
    run: int
    step: NDArray
    level: float
    pairs: tuple[Pair, ...]


def data(run: Run, k: int) -> Generalisation | None:
    """The held-out curves of run k; None where nothing is held out."""
    rows, found = run.rows(k), []
    if "step" not in rows:
        return None
    step = np.asarray(rows["step"], np.float64)
    for pair in generalisation.pairs(run.metrics.values(), rows):
        fit, held_out = (np.asarray(x, np.float64) for x in pair.curves(rows))
        if not np.isfinite(held_out).any():
            continue
        one = generalisation.assess(step, fit, held_out)
        found.append(Pair(pair.held_out, fit, held_out, one.verdict, one.t_fit, one.t_gen, one.ratio))
    task = run.summary.get("task", run.config["task"])
    return Generalisation(task, k, step, generalisation.STANDARD.reached, tuple(found)) if found else None
