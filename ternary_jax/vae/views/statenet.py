"""StateNet over time: what it reads, and what it turns. Read from the log alone.

The log has the signals behind the inputs, and the knobs after all controllers. What StateNet adds to a knob is not in
the log: on top of schedules, a knob is the schedule and the correction together.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ternary_jax.vae.controllers import statenet, statenet_network
from ternary_jax.vae.controllers.corrections import KNOB_RULES
from ternary_jax.workdir import Run


class Signal(NamedTuple):
    """A value over time: its name, and the column of the log that it is read from."""

    name: str
    column: str
    values: NDArray


class Statenet(NamedTuple):
    """Inputs and outputs of StateNet. unit: of time, "epoch" or "step"; at (n,): the evaluations.

    inputs: of INPUTS, those that the log has, without the knobs that are outputs too; each value is the mean over the
        steps since the evaluation before
    outputs: the knobs of KNOB_RULES, and the factor on all rates as that of the first group of parameters
    schedule: whether schedules act on the knobs before StateNet does
    """

    unit: str
    at: NDArray
    inputs: tuple[Signal, ...]
    outputs: tuple[Signal, ...]
    schedule: bool


def data(run: Run, k: int) -> Statenet | None:
    """Inputs and outputs of run k; None where StateNet is off, and without an evaluation."""
    if "statenet" not in run.config["control"]:
        return None
    rows, unit = run.rows(k), "epoch" if run.config["train.epochs"] else "step"
    if unit not in rows:
        return None
    sources = statenet.sources_of({"A": (), "B": ()})
    columns = {name: f"control/{name}" for name in statenet_network.INPUTS if name not in KNOB_RULES}
    columns["gradient_ratio"] = "control/balance/ratio"
    for name, signal in (sources.last | sources.running).items():  # a signal may be a term of the loss
        columns[name] = signal if signal in rows else f"loss/{signal}"
    inputs = [
        Signal(name, column, np.asarray(rows[column], np.float64)) for name, column in columns.items() if column in rows
    ]
    first = next(column for column in rows if column.startswith("rate/"))
    turned = {"rate": first} | {name: f"control/{name}" for name in KNOB_RULES if name != "rate"}
    outputs = [
        Signal(name, column, np.asarray(rows[column], np.float64)) for name, column in turned.items() if column in rows
    ]
    at = np.asarray(rows[unit], np.float64)
    return Statenet(unit, at, tuple(inputs), tuple(outputs), "schedules" in run.config["control"])
