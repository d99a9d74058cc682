"""The model card of an export, Markdown: what the model is, how good it is, what its files hold, how to use it."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ternary_jax.inference.model import Model
from ternary_jax.provenance import provenance
from ternary_jax.tables import cell, counted, reference_cell, span

HELD = {
    "params.safetensors": "the parameters of all branches, by the names of a checkpoint",
    "params.json": "shapes, config, metrics and versions",
}


def text(
    model: Model,
    metrics: Mapping[str, float],
    arrays: Mapping[str, Any],
    columns: Mapping[str, tuple[int, ...]],
    names: Sequence[str],
) -> str:
    """The card. metrics: as measured; arrays: the parameters; columns: shapes of the table; names: of the files."""
    about = model.about
    size = sum(array.size for array in arrays.values())
    parts = [
        f"# {about.task}, step {about.step:,}",
        f"A model of ternary_jax: task `{model.source.config['task']}`, {counted(size, 'parameter')} in "
        f"{counted(len(arrays), 'array')}, run {about.run} of `{about.path.name}`, {_training(model)}.",
        "## Metrics",
        "Measured on these parameters. The ceiling is the best possible value; chance is that of a guess.",
        _table(model, metrics),
        *(f"- {note}" for note in model.trained.task.notes),
        "## Files",
        "\n".join(f"- `{name}`: {_held(name, about.branch, columns)}" for name in names),
        "## Use",
        f"```python\nimport ternary_jax\nmodel = ternary_jax.load({_arguments(model)})\nprint(model)\n```",
        _versions(),
    ]
    return "\n\n".join(parts) + "\n"


def _training(model: Model) -> str:
    """How its training ended."""
    summary, about = model.source.summary, model.about
    if not about.finished:
        return "of a training that is not finished"
    run = summary["runs"][about.run]
    return f"seed {run['seed']}, trained in {span(summary.get('wall_s'))} until {run['stop']['reason']}"


def _table(model: Model, metrics: Mapping[str, float]) -> str:
    lines = ["| metric | value | ceiling | chance | better |", "| --- | --- | --- | --- | --- |"]
    for metric in model.trained.task.metrics:
        if (value := metrics.get(metric.name)) is None:
            continue
        better = "higher" if metric.better > 0 else "lower"
        ceiling, chance = (reference_cell(x if math.isfinite(x) else None) for x in (metric.best, metric.chance))
        lines.append(f"| `{metric.name}` | {cell(value)} | {ceiling} | {chance} | {better} |")
    return "\n".join(lines)


def _held(name: str, branch: str, columns: Mapping[str, tuple[int, ...]]) -> str:
    if name in HELD:
        return HELD[name]
    rows = next(iter(columns.values()))[0]
    named = [f"`{name}`" if len(shape) == 1 else f"`{name}_0` .. `{shape[1] - 1}`" for name, shape in columns.items()]
    return f"{counted(rows, 'row')}{f' of branch {branch}' * bool(branch)}: {', '.join(named)}"


def _arguments(model: Model) -> str:
    """The arguments of `load` that give this model."""
    about = model.about
    given = [json.dumps(str(about.path)), f"run={about.run}"]
    given += [f'branch="{about.branch}"'] if about.branch else []
    return ", ".join([*given, f"at={about.step}", *([f'task="{model.source.task}"'] if model.source.task else [])])


def _versions() -> str:
    found = provenance()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    return f"Exported with {versions}; commit {found['commit'] or 'unknown'}."
