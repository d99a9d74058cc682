"""The tables of trials in worlds: means, and differences that are paired by world, with 95 % intervals."""

from collections.abc import Mapping
from typing import Any

import lab_worlds
import numpy as np
from lab_intervals import interval

from ternary_jax.tables import columns

AGAINST = "course"
FIGURES = ("J", "triplet_accuracy_B", "hierarchy_B", "coverage_B", "steps", "met", "diverged")
FORMS = {"J": ".4f", "triplet_accuracy_B": ".4f", "hierarchy_B": ".3f", "coverage_B": ".3f", "steps": ",.0f"}
COMPARED = ("J", "triplet_accuracy_B", "met")
POWER = 2.80  # z of 97.5 % and of 80 %: a difference of so many standard errors is seen in four of five experiments


def by_world(found: Mapping[str, Any], figure: str, worlds: int) -> np.ndarray:
    """The mean over the seeds of each world, (worlds,); a figure that is not finite counts as chance."""
    x = np.asarray(found[figure], np.float64)
    worst = {"triplet_accuracy_B": 0.5, "hierarchy_B": 0.0}.get(figure, 0.0)
    return np.where(np.isfinite(x), x, worst).reshape(worlds, -1).mean(1)


def gaps(trials: Mapping[str, Any], name: str, against: str, worlds: int) -> dict[str, tuple[float, float, float]]:
    """(mean, low, high) of the difference to another trial in each of COMPARED, over worlds."""
    return {x: interval(np.subtract(*(by_world(trials[of], x, worlds) for of in (name, against)))) for x in COMPARED}


def summary(trials: Mapping[str, Any], worlds: int, against: str = AGAINST) -> dict[str, Any]:
    """For each trial: the means over worlds, and its differences with their intervals."""
    found: dict[str, Any] = {}
    for name, one in trials.items():
        found[name] = {"means": {x: float(by_world(one, x, worlds).mean()) for x in FIGURES}}
        if name != against:
            found[name]["less"] = gaps(trials, name, against, worlds)
    return found


def table(title: str, found: Mapping[str, Any], against: str = AGAINST) -> str:
    """A line for each trial. J is 0 at the goal; met: share of the runs that meet the targets at one of the points."""
    lines = [[title, "J", f"J less {against}, 95 %", "triplets", f"less {against}, 95 %", "hierarchy", "steps", "met"]]
    for name, one in found.items():
        mean, less = one["means"], one.get("less")
        shown = [f"{a:+.4f} [{b:+.4f}, {c:+.4f}]" for a, b, c in (less[x] for x in COMPARED[:2])] if less else ["", ""]
        values = {x: f"{mean[x]:{FORMS.get(x, '.2f')}}" for x in FIGURES}
        lines.append([name, values["J"], shown[0], values["triplet_accuracy_B"], shown[1]])
        lines[-1] += [values[x] for x in ("hierarchy_B", "steps", "met")]
    return columns(lines)


def smallest(trials: Mapping[str, Any], name: str, worlds: int, against: str = AGAINST) -> dict[str, float]:
    """The smallest difference in each of COMPARED that the design sees in four of five experiments."""
    d = {x: np.subtract(*(by_world(trials[of], x, worlds) for of in (name, against))) for x in COMPARED}
    return {x: float(POWER * y.std(ddof=1) / np.sqrt(worlds)) for x, y in d.items()}


def by_kind(trials: Mapping[str, Any], name: str, drawn: lab_worlds.World, against: str = AGAINST) -> dict[str, Any]:
    """The difference in J by the kind of the shock, and by thirds of the rate and of the initial scale."""
    n = len(drawn.rate)
    d = np.subtract(*(by_world(trials[of], "J", n) for of in (name, against)))
    groups = {f"shock: {kind}": drawn.shock.kind == k for k, kind in enumerate(lab_worlds.KINDS)}
    for part in ("rate", "scale"):
        x = np.asarray(getattr(drawn, part))
        low, high = np.quantile(x, (1 / 3, 2 / 3))
        groups |= {f"{part} < {low:.2f}": x < low, f"{part} > {high:.2f}": x > high}
    return {group: {"worlds": int(of.sum()), "J": interval(d[of])} for group, of in groups.items() if of.sum() > 2}
