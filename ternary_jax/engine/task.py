"""What a model family hands to the engine: a task, made of pure functions of one run. The engine knows nothing else."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from ternary_jax.control.chain import Control, Controls, Learner


class RunError(RuntimeError):
    """A run that can't go on. Its text is one sentence: what happened, where, and what to do."""


class Metric(NamedTuple):
    """What a figure is called, and what it is to be compared with.

    better: +1 where higher is better, -1 where lower
    best, chance, untrained: of this metric; nan where it has none
    costly: measured at the rare, full evaluations only
    """

    name: str
    better: int
    best: float
    chance: float
    untrained: float
    costly: bool = False

    def beyond(self, value: Any) -> Any:
        """Whether a value, or each of an array, is better than the best possible, as that of a collapse is."""
        return self.better * value > self.better * self.best + 1e-4  # False where no best is known

    def meets(self, value: Any, target: float) -> Any:
        """Whether a value, or each of an array, is as good as the target, and not beyond the best."""
        above = self.better * value - self.better * target
        return (above >= 0) & (above <= self.better * (self.best - target) + 1e-4 if math.isfinite(self.best) else True)


class Context(NamedTuple):
    """What one step of one run has to go by.

    step: its number, the same for all runs
    key: its randomness, a function of (seed, step) alone; another one in `sample` than in `loss`
    controls: what the controllers have turned
    hypers: the traced values of the config
    data: `Task.data`, on the device
    """

    step: Array
    key: Array
    controls: Controls
    hypers: Any
    data: Any


class Loss(NamedTuple):
    """total: what is descended; terms: its parts, unweighted, by name; signals: what else is worth seeing, by name."""

    total: Array
    terms: dict[str, Array]
    signals: dict[str, Array]


class Network(NamedTuple):
    """A network that can be asked what its units read, also at inputs that are none of the task's.

    inputs: (n, d), of all that the task has
    preactivations: inputs (m, d) -> {layer: (m, units)}, what each unit applies its function to
    """

    inputs: Array
    preactivations: Callable[[Array], dict[str, Array]]


class Inner(NamedTuple):
    """What a task shows of the inside of its model; both are traced, and only where they are asked for.

    representations: params, knobs, hypers, data -> {name: (n, d)}, a row for each of n inputs
    networks: params, knobs, hypers, data -> {name: Network}
    """

    representations: Callable[[Any, Any, Any, Any], dict[str, Array]]
    networks: Callable[[Any, Any, Any, Any], dict[str, Network]]


class Task(NamedTuple):
    """All functions are pure, of one run, and traced; the engine maps them over runs.

    name: as it is called in reports
    data: arrays that all runs share, moved to the device once; what is closed over instead becomes part of the program
    samples_per_epoch: an epoch is this many samples, rounded up to whole batches
    metrics: what `cheap` and `costly` return, in the order of a report
    init: key, hypers -> params, a dict of trees; its keys are the groups that rates and freezing speak of
    knobs: hypers -> the knobs before any controller; what is measured sees them as the last step had them
    sample: Context -> batch, a pytree with a leading axis of batch_size
    loss: params, batch, Context -> Loss; the mean over the batch, as microbatches are averaged
    cheap, costly: params, knobs, hypers, data -> metrics by name
    export: params, knobs, hypers, data -> arrays by name, written to embeddings/run_NNN.npz
    control: what turns the controls at every step
    schedules: further arrays of one row a step, by name, for `control`
    signals: names that `control` sees of the last step: of Loss.signals, Loss.terms, "gradient/GROUP", or "loss"
    ratio: two groups, whose gradient norms' ratio is reported
    notes: sentences below the table of a run, on how to read it
    learner: what a controller learns by, if one does; reference: params, knobs, batch, Context -> the objective of
        constant weights that it is to lower. With the weights that it turns it would win by lowering these
    inner: what can be seen inside the model, for the emergence metrics; None where nothing can
    """

    name: str
    data: Any
    samples_per_epoch: int
    metrics: tuple[Metric, ...]
    init: Callable[[Array, Any], dict[str, Any]]
    knobs: Callable[[Any], dict[str, Array]]
    sample: Callable[[Context], Any]
    loss: Callable[[Any, Any, Context], Loss]
    cheap: Callable[[Any, Any, Any, Any], dict[str, Array]]
    costly: Callable[[Any, Any, Any, Any], dict[str, Array]]
    export: Callable[[Any, Any, Any, Any], dict[str, Array]]
    control: Control
    schedules: dict[str, Any]
    signals: tuple[str, ...]
    ratio: tuple[str, str] | None
    notes: tuple[str, ...] = ()
    learner: Learner | None = None
    reference: Callable[[Any, Any, Any, Context], Array] | None = None
    inner: Inner | None = None
