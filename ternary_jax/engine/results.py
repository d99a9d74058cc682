"""What a training leaves when it ends: the last costly metrics, the exports, summary.json."""

from collections.abc import Sequence
from typing import Any

import jax

from ternary_jax.engine import stopping
from ternary_jax.engine.endings import endings
from ternary_jax.engine.host_context import Clock, Training
from ternary_jax.engine.program import evaluation_context, untrained
from ternary_jax.engine.rows import runs as described
from ternary_jax.engine.step import TrainState
from ternary_jax.metric import Metric
from ternary_jax.provenance import provenance
from ternary_jax.workdir import exports, files, rows, summary, tensorboard

# A program that runs once is compiled without optimisation.
ONCE = {"xla_backend_optimization_level": 0}


def measure_last(training: Training, book: tensorboard.Board, state: TrainState, stop: Any) -> None:
    """Add the costly metrics to the last row of each run whose last evaluation did not have them."""
    steps, wanted = training.plan, range(training.static.runs if training.static.evaluate.costly_every else 0)
    early = [k for k in wanted if not (steps.costly and steps.due(stop.at[k], steps.costly))]
    early = [k for k in early if stop.reason[k] not in stopping.DIVERGED]
    if not early:
        return

    def costly(state, hypers, data):
        return training.task.costly(state.params, evaluation_context(state, state.stop.at, hypers, data))

    data = jax.device_put(training.task.data)
    metrics = jax.device_get(jax.jit(jax.vmap(costly, (0, 0, None)))(state, training.hypers, data))
    amended = rows.amend(book.log, {k: {name: float(value[k]) for name, value in metrics.items()} for k in early})
    tensorboard.show(book, amended)


def export(training: Training, state: TrainState) -> None:
    """Write what the task exports of every run, if it exports anything."""
    if (exported := training.task.export) is None:
        return
    data = jax.device_put(training.task.data)

    @jax.jit
    def arrays(state, hypers, data):
        return exported(state.params, evaluation_context(state, state.stop.at, hypers, data))

    for k in range(training.static.runs):
        own, hypers = jax.tree.map(lambda x, k=k: x[k], (state, training.hypers))
        exports.write(training.workdir, k, jax.device_get(arrays(own, hypers, data)))


def summarise(training: Training, clock: Clock, stop: Any, finished: bool) -> dict[str, Any]:
    """Write summary.json; -> what it says."""
    facts = {
        "finished": finished,
        "compile_s": clock.compile_s,
        "first_step_s": clock.stepped - training.started if clock.stepped else None,
        "notes": training.task.notes,
        "criteria": [criteria._asdict() for criteria in training.task.criteria],
        "samples_per_s": clock.samples / clock.busy_s if clock.busy_s else None,
        "device": jax.devices()[0].device_kind,
        **provenance(),
    }
    each = [run | {"stop": end} for run, end in zip(described(training), endings(training, stop), strict=True)]
    task, targets, found = training.task, stopping.targets_of(training.static), rows.read(training.workdir)
    told = summary.summarise(found, task.name, _with_untrained(training), each, targets, **facts)
    files.write_json(training.workdir / "summary.json", told)
    return told


def _with_untrained(training: Training) -> Sequence[Metric]:
    """The metrics; those that the task knows no untrained value of are measured of run 0 before its first step."""
    task, metrics = training.task, [*training.metrics.values()]
    unknown = [metric for metric in metrics if metric.untrained is None]
    if not unknown:
        return metrics

    def before(hypers, data):
        given = untrained(task, hypers, data)
        return task.evaluate(*given) | (task.costly(*given) if any(metric.costly for metric in unknown) else {})

    first = jax.tree.map(lambda x: x[0], training.hypers)
    found = jax.device_get(jax.jit(before, compiler_options=ONCE)(first, jax.device_put(task.data)))
    return [m if m.untrained is not None else m._replace(untrained=float(found[m.name])) for m in metrics]
