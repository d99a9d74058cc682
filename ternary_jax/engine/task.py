"""The interface between a model family and the engine: a `Task`, made of pure functions of one run."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax import Array

from ternary_jax.control.chain import Control, Controls
from ternary_jax.control.look_ahead import LookAhead
from ternary_jax.metric import Metric


class Context(NamedTuple):
    """The arguments of a task's functions beside the parameters, in a step of one run or in an evaluation.

    step: number of the step, the same for all runs; in an evaluation, the number of steps done
    key: PRNG key, a function of (seed, step, microbatch), another one in `sample`; None in an evaluation
    controls: outputs of the controllers; in an evaluation, the knobs of the last step
    hypers: the traced values of the config
    data: `Task.data`, on the device
    state: the arrays of `Task.state`; () without
    signals: the `Signals` that the controllers read; None in an evaluation
    streamed: the row of `Task.stream` of this step; () without, and in an evaluation
    """

    step: Array
    key: Any
    controls: Controls
    hypers: Any
    data: Any
    state: Any = ()
    signals: Any = None
    streamed: Any = ()


class Loss(NamedTuple):
    """The result of `Task.loss`.

    total: the scalar whose gradient is taken
    terms: its parts, unweighted, by name
    signals: other values to log or to control by, by name
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
    """A network whose preactivations can be computed at any input, also at inputs outside the data.

    inputs: (n, d), all inputs of the task
    preactivations: inputs (m, d) -> {layer: (m, units)}, the argument of each unit's activation function
    """

    inputs: Array
    preactivations: Callable[[Array], dict[str, Array]]


class Inner(NamedTuple):
    """Internals of a model for the emergence metrics; both are only traced where the config enables such a metric.

    representations: params, Context -> {name: (n, d)}, a row for each of n inputs
    networks: params, Context -> {name: Network}
    """

    representations: Callable[[Any, Context], dict[str, Array]]
    networks: Callable[[Any, Context], dict[str, Network]]


class Verbs(NamedTuple):
    """What a trained model can be asked: a family's part of `ternary_jax.load`. Nothing of it is called in a training.

    make: params, Context, part -> {name: function}, the attributes of the loaded model. A function checks what a user
        gives it, and raises a QuestionError; the first line of its docstring is shown in the list of the verbs
    parts: names of the parts of a model that are asked one by one, the main part first; () where it is one
    table: params, Context, part -> {column: an array (n,) or (n, d)}, a row for each thing that the model has learned
        a place of; None where there are none
    describes: whether `make` gives the verb `describe`, so that `python -m ternary_jax.query` answers
    """

    make: Callable[[Any, Context, str], Mapping[str, Callable[..., Any]]]
    parts: tuple[str, ...] = ()
    table: Callable[[Any, Context, str], dict[str, Any]] | None = None
    describes: bool = False


class View(NamedTuple):
    """Something to look at in a training: a family's part of `ternary_jax.plot` and of the report of a workdir.

    Nothing of it is called in a training. The figure and the panel are two drawings of the same data.

    title: one line, which says what is seen
    data: reader of a workdir, number of a run -> a NamedTuple of numpy arrays and texts, or None where this run has
        none of it; it reads alone
    figure: data -> a figure of matplotlib
    panel: data -> a model of bokeh, for the report; None: the report has no such panel
    needs: what a run must have for it, as a noun phrase: the message where `data` is None
    text: data -> what is seen, in sentences with numbers, for a reader who does not see the panel
    table: data -> (caption, head, rows) of texts, for what is read rather than seen, or None where there is none; the
        report has it below the panel
    """

    title: str
    data: Callable[[Any, int], Any]
    figure: Callable[[Any], Any]
    panel: Callable[[Any], Any] | None = None
    needs: str = ""
    text: Callable[[Any], str] | None = None
    table: Callable[[Any], Any] | None = None


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


class Task(NamedTuple):
    """A model family at the values of a config. All functions are pure and traced, of one run; the engine vmaps them.

    Required:
    name: the name in reports
    data: arrays that all runs share, moved to the device once; an array that is closed over becomes a program constant.
        What the device has no room for is given by `stream`
    metrics: what `evaluate` and `costly` return, in the order of a report
    init: key, hypers -> params, a dict of trees; its keys are the parameter groups of `Controls.rates` and `.frozen`
    sample: Context -> batch, a pytree with a leading axis of batch_size
    loss: params, batch, Context -> Loss; the mean over the batch, as microbatches are averaged
    evaluate: params, Context -> metrics by name

    With defaults:
    about: a sentence on what is trained, for a report
    samples_per_epoch: an epoch is this many samples, rounded up to whole batches; None: runs are counted in steps
    costly: params, Context -> the costly metrics by name
    export: params, Context -> arrays by name, which `workdir.exports` writes when all runs have ended
    knobs: hypers -> the knobs before any controller
    controllers: by name, in the order in which they change the controls of a step
    schedules: arrays of one row a step, by name, for the controllers
    stream: first step, n -> new arrays of numpy with a row for each of n steps, which all runs share. It is called for
        each chunk, while the device computes the chunk before, and once for the shapes. It gives the same rows when it
        is called again for a step, as after a rollback, and does not write to arrays that it gave
    signals: values of the last step that the controllers read: of Loss.signals, Loss.terms, "gradient/GROUP", or "loss"
    state: arrays that are carried beside the parameters
    look_ahead: how a controller learns from the steps that follow
    inner: internals of the model, for the emergence metrics
    criteria: levels of success, for the analysis
    notes: sentences on how to read the table of a run, printed below it
    warm_start: how a new run starts from the parameters of a workdir, for a message
    verbs: what a trained model can be asked
    views: what can be looked at in a training, by name, in the order of a report
    """

    name: str
    data: Any
    metrics: tuple[Metric, ...]
    init: Callable[[Array, Any], dict[str, Any]]
    sample: Callable[[Context], Any]
    loss: Callable[[Any, Any, Context], Loss]
    evaluate: Callable[[Any, Context], dict[str, Array]]
    about: str = ""
    samples_per_epoch: int | None = None
    costly: Callable[[Any, Context], dict[str, Array]] = _nothing
    export: Callable[[Any, Context], dict[str, Array]] | None = None
    knobs: Callable[[Any], dict[str, Array]] = _nothing
    controllers: Mapping[str, Control] = MappingProxyType({})
    schedules: Mapping[str, Any] = MappingProxyType({})
    stream: Callable[[int, int], Any] | None = None
    signals: tuple[str, ...] = ()
    state: TaskState | None = None
    look_ahead: LookAhead | None = None
    inner: Inner | None = None
    criteria: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    warm_start: str = ""
    verbs: Verbs | None = None
    views: Mapping[str, View] = MappingProxyType({})
