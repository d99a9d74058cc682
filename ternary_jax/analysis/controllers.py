"""What controlled a run over time: the rates of its groups, the knobs, and what the controllers report."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.analysis import curves
from ternary_jax.analysis import data as findings
from ternary_jax.analysis.curves import Span
from ternary_jax.config import stored
from ternary_jax.grokking.history import DETECTOR
from ternary_jax.workdir import Run


class Series(NamedTuple):
    """A column of the log, or several that are equal at every evaluation: names, and the values (n,) float64."""

    names: tuple[str, ...]
    values: NDArray


class Controllers(NamedTuple):
    """Rates, knobs and controllers of a run. All times are in its unit, "epoch" or "step".

    task: its name; run: its number; unit: of time
    at (n,): the evaluations; a value is the mean over the steps since the evaluation before
    rates: factors on the learning rate, by group of parameters; a frozen group has rate 0
    knobs: outputs of the controllers that are no rates
    reports: what the controllers report beside them, as CONTROLLER/NAME; that of the grokking detector is in `curves`
    constant: knobs and reports that never change, as (name, value), which have no series
    phases: of the rates; freezes: of groups of parameters
    """

    task: str
    run: int
    unit: str
    at: NDArray
    rates: tuple[Series, ...]
    knobs: tuple[Series, ...]
    reports: tuple[Series, ...]
    constant: tuple[tuple[str, float], ...]
    phases: tuple[Span, ...]
    freezes: tuple[Span, ...]


def data(run: Run, k: int) -> Controllers | None:
    """The controllers of run k; None where it has no evaluation yet."""
    run = run._replace(config=stored.of_engine(run.config))
    rows, unit = run.rows(k), findings.unit_of(run.config)
    if unit not in rows:
        return None
    at = np.asarray(rows[unit], np.float64)
    found: dict[str, dict[str, NDArray]] = {"rate": {}, "knob": {}, "report": {}}
    for column in rows:
        if column.startswith("rate/"):
            found["rate"][column.removeprefix("rate/")] = np.asarray(rows[column], np.float64)
        elif column.startswith("control/") and not column.startswith(DETECTOR):
            name = column.removeprefix("control/")
            found["report" if "/" in name else "knob"][name] = np.asarray(rows[column], np.float64)
    still = {name: x for kind in ("knob", "report") for name, x in found[kind].items() if _constant(x)}
    moving = {kind: {name: x for name, x in own.items() if name not in still} for kind, own in found.items()}
    return Controllers(
        task=run.summary.get("task", run.config["task"]),
        run=k,
        unit=unit,
        at=at,
        rates=_merged(moving["rate"]),
        knobs=_merged(moving["knob"]),
        reports=_merged(moving["report"]),
        constant=tuple((name, float(x[np.isfinite(x)][0])) for name, x in still.items() if np.isfinite(x).any()),
        phases=curves.phases(run.config),
        freezes=curves.freezes(rows, at),
    )


def _constant(x: NDArray) -> bool:
    """Whether the finite values are one; a mean over steps of a constant differs from it by rounding."""
    known = x[np.isfinite(x)]
    return bool(known.size == 0 or np.ptp(known) <= 1e-6 * np.abs(known).max())


def _merged(columns: dict[str, NDArray]) -> tuple[Series, ...]:
    """The columns, those of equal values as one."""
    found: list[Series] = []
    for name, x in columns.items():
        for k, one in enumerate(found):
            if np.array_equal(one.values, x, equal_nan=True):
                found[k] = one._replace(names=(*one.names, name))
                break
        else:
            found.append(Series((name,), x))
    return tuple(found)
