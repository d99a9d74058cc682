"""What a model family hands to the engine: a task, made of pure functions of one run. The engine knows nothing else."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax import Array

from ternary_jax.control.chain import Control, Controls
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.metric import Metric


class Context(NamedTuple):
    """What a function of a task goes by, beside the parameters: in a step of one run, or where it is measured.

    step: number of the step, the same for all runs; of an evaluation, how many steps were done
    key: randomness, a function of (seed, step, microbatch); one of its own in `sample`; None in an evaluation
    controls: what the controllers have turned; where it is measured, the knobs of the last step
    hypers: the traced values of the config
    data: `Task.data`, on the device
    state: the arrays of `Task.state`; () without
    signals: the `Signals` that the controllers saw; None where it is measured
    """

    step: Array
    key: Any
    controls: Controls
    hypers: Any
    data: Any
    state: Any = ()
    signals: Any = None


class Loss(NamedTuple):
    """What a loss gives.

    total: what is descended
    terms: its parts, unweighted, by name
    signals: what else is worth seeing, by name
    aux: arrays with a row for each row of the batch, for `TaskState.advance`
    """

    total: Array
    terms: dict[str, Array]
    signals: dict[str, Array]
    aux: Any = ()


class TaskState(NamedTuple):
    """Arrays that a run carries beside its parameters: vmapped, rolled back and checkpointed, never differentiated.

    init: key, hypers -> arrays
    advance: arrays, batch, aux -> arrays; once a step, after the gradient, over the whole batch, with `Loss.aux`
    """

    init: Callable[[Array, Any], Any]
    advance: Callable[[Any, Any, Any], Any]


class Network(NamedTuple):
    """A network that can be asked what its units read, also at inputs that the task does not have.

    inputs: (n, d), of all that the task has
    preactivations: inputs (m, d) -> {layer: (m, units)}, what each unit applies its function to
    """

    inputs: Array
    preactivations: Callable[[Array], dict[str, Array]]


class Inner(NamedTuple):
    """What a task shows of the inside of its model; both are traced, and only where they are asked for.

    representations: params, Context -> {name: (n, d)}, a row for each of n inputs
    networks: params, Context -> {name: Network}
    """

    representations: Callable[[Any, Context], dict[str, Array]]
    networks: Callable[[Any, Context], dict[str, Network]]


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


class Task(NamedTuple):
    """A model family at the values of a config. All functions are pure, of one run, and traced; the engine maps them.

    Required:
    name: as it is called in reports
    data: arrays that all runs share, moved to the device once; what is closed over instead becomes part of the program
    metrics: what `evaluate` and `costly` return, in the order of a report
    init: key, hypers -> params, a dict of trees; its keys are the groups that rates and freezing speak of
    sample: Context -> batch, a pytree with a leading axis of batch_size
    loss: params, batch, Context -> Loss; the mean over the batch, as microbatches are averaged
    evaluate: params, Context -> metrics by name

    With defaults:
    samples_per_epoch: an epoch is this many samples, rounded up to whole batches; None: runs are counted in steps
    costly: params, Context -> the costly metrics by name
    export: params, Context -> arrays by name, which `workdir.exports` writes when all runs have ended
    knobs: hypers -> the knobs before any controller
    controllers: by name, in the order in which they turn the controls of a step
    schedules: arrays of one row a step, by name, for the controllers
    signals: names that the controllers see of the last step: of Loss.signals, Loss.terms, "gradient/GROUP", or "loss"
    state: what is carried beside the parameters
    look_ahead: how a controller learns from the steps that follow
    inner: what can be seen inside the model, for the emergence metrics
    criteria: levels of success, for the analysis
    notes: sentences below the table of a run, on how to read it
    """

    name: str
    data: Any
    metrics: tuple[Metric, ...]
    init: Callable[[Array, Any], dict[str, Any]]
    sample: Callable[[Context], Any]
    loss: Callable[[Any, Any, Context], Loss]
    evaluate: Callable[[Any, Context], dict[str, Array]]
    samples_per_epoch: int | None = None
    costly: Callable[[Any, Context], dict[str, Array]] = _nothing
    export: Callable[[Any, Context], dict[str, Array]] | None = None
    knobs: Callable[[Any], dict[str, Array]] = _nothing
    controllers: Mapping[str, Control] = MappingProxyType({})
    schedules: Mapping[str, Any] = MappingProxyType({})
    signals: tuple[str, ...] = ()
    state: TaskState | None = None
    look_ahead: LookAhead | None = None
    inner: Inner | None = None
    criteria: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
