"""Results of a training that ends: the last costly metrics, the exports, summary.json."""

from collections.abc import Sequence
from typing import Any

import jax

from ternary_jax.engine import stopping
from ternary_jax.engine.endings import endings
from ternary_jax.engine.host_context import Clock, Training
from ternary_jax.engine.program import evaluation_context, untrained
from ternary_jax.engine.rows import run_table
from ternary_jax.engine.step import TrainState
from ternary_jax.metric import Metric
from ternary_jax.provenance import provenance
from ternary_jax.workdir import exports, files, rows, summary, tensorboard

# Compiler options of a program that runs once: no optimisation.
RUN_ONCE_COMPILER_OPTIONS = {"xla_backend_optimization_level": 0}


def measure_last(training: Training, board: tensorboard.Board, state: TrainState, stop: Any) -> None:
    """Add the costly metrics to the last row of each run whose last evaluation did not measure them."""
    steps, runs = training.plan, range(training.static.runs if training.static.evaluate.costly_every else 0)
    missing = [k for k in runs if not (steps.costly and steps.due(stop.at[k], steps.costly))]
    missing = [k for k in missing if stop.reason[k] not in stopping.DIVERGED]
    if not missing:
        return

    def costly(state, hypers, data):
        return training.task.costly(state.params, evaluation_context(state, state.stop.at, hypers, data))

    data = jax.device_put(training.task.data)
    metrics = jax.device_get(jax.jit(jax.vmap(costly, (0, 0, None)))(state, training.hypers, data))
    amended = rows.amend(board.log, {k: {name: float(value[k]) for name, value in metrics.items()} for k in missing})
    tensorboard.show(board, amended)


def export(training: Training, state: TrainState) -> None:
    """Write the exported arrays of every run, if the task has an export."""
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
    """Write summary.json; -> its content."""
    facts = {
        "finished": finished,
        "compile_s": clock.compile_s,
        "first_step_s": clock.stepped - training.started if clock.stepped else None,
        "watch": training.static.stop.watch,
        "notes": training.task.notes,
        "describes": training.task.verbs is not None and training.task.verbs.describes,
        "criteria": [criteria._asdict() for criteria in training.task.criteria],
        "samples_per_s": clock.samples / clock.busy_s if clock.busy_s else None,
        "device": jax.devices()[0].device_kind,
        **provenance(),
    }
    runs = [run | {"stop": end} for run, end in zip(run_table(training), endings(training, stop), strict=True)]
    log, targets = rows.read(training.workdir), stopping.targets_of(training.static)
    content = summary.summarise(log, training.task.name, _with_untrained(training), runs, targets, **facts)
    files.write_json(training.workdir / "summary.json", content)
    return content


def _with_untrained(training: Training) -> Sequence[Metric]:
    """The metrics; an untrained value that the task does not know is measured on run 0 before its first step."""
    task, metrics = training.task, [*training.metrics.values()]
    unknown = [metric for metric in metrics if metric.untrained is None]
    if not unknown:
        return metrics

    def before(hypers, data):
        given = untrained(task, hypers, data)
        return task.evaluate(*given) | (task.costly(*given) if any(metric.costly for metric in unknown) else {})

    first = jax.tree.map(lambda x: x[0], training.hypers)
    found = jax.device_get(
        jax.jit(before, compiler_options=RUN_ONCE_COMPILER_OPTIONS)(first, jax.device_put(task.data))
    )
    return [m if m.untrained is not None else m._replace(untrained=float(found[m.name])) for m in metrics]
