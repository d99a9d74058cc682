"""What a run is judged by in worlds: how far it is from the goal of a user.

    J = mean of sqrt(x),  x of  1 - coverage_A,  1 - coverage_B,  1 - hierarchy_B / ceiling,
                                (1 - triplet_accuracy_B) / (1 - 1/2)

Each x is 0 at its ceiling and 1 at chance, but for coverage, which has a chance of almost 0; each is cut at LAST, and a
value that is not finite counts as LAST. So J knows no weight of a loss, no knob and no unit. The root is there because
runs differ by a tenth in triplets and by 1 in the hierarchy: a plain mean ranks them by the hierarchy.

It takes the place of R, the weighted sum of the losses, which does not rank runs by their triplets
(`statenet_worlds.py predict`). J has no gradient; an evolution strategy needs none.
"""

from typing import Any

import numpy as np

from ternary_jax.vae import references

TRIPLETS = "triplet_accuracy_B"  # the costly metric of J
LAST = 2.0
QUARTERS = np.array([1.0, 1.0, 1.0, 3.0]) / 6  # weights of J at the quarters of a run


def terms(metrics: dict[str, Any], n_digits: int) -> dict[str, np.ndarray]:
    """The x of J by the name of their metric, of metrics of any shape."""
    ceiling = references.hierarchy_ceiling(n_digits)
    found = {name: 1 - np.asarray(metrics[name], np.float64) for name in ("coverage_A", "coverage_B")}
    found["hierarchy_B"] = 1 - np.asarray(metrics["hierarchy_B"], np.float64) / ceiling
    found[TRIPLETS] = 2 - 2 * np.asarray(metrics[TRIPLETS], np.float64)
    return {name: np.where(np.isfinite(x), np.clip(x, 0, LAST), LAST) for name, x in found.items()}


def shortfall(outcome: Any, n_digits: int) -> np.ndarray:
    """J of an `Outcome` of `lab_players.play`, at the points at which TRIPLETS was measured, (runs, points)."""
    points = outcome.pairs[TRIPLETS].shape[-1]
    at_points = {name: x[:, -points:] for name, x in outcome.metrics.items()}
    return np.mean(
        [np.sqrt(x) for x in terms(at_points | {TRIPLETS: outcome.pairs[TRIPLETS]}, n_digits).values()], axis=0
    )


def over_a_run(outcome: Any, n_digits: int) -> np.ndarray:
    """The mean of J at the quarters of a run, of which the last counts three times, (runs,)."""
    return shortfall(outcome, n_digits) @ QUARTERS
