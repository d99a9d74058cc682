"""Training a workdir longer than it was begun: allowed where the steps that are done would have been the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ternary_jax.config.checks import length, unit
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import plan, schedule_rows
from ternary_jax.engine.program import carried_metrics
from ternary_jax.engine.task import Task
from ternary_jax.errors import ConfigError


def check(task: Task, static: Any, config: Any, earlier: Mapping[str, int], workdir: Path) -> None:
    """Raise a ConfigError where the steps that are done differ from those of a run of this config.

    task, static: of the config; earlier: {key: value} of the shorter training, in which it differs
    The rows of all schedules are compared; a controller must read the length of a run through a schedule, as those of
    this package do. At the end of the shorter training nothing may have been measured that is not due there now.
    """
    before, static_before, _ = assemble(_with(config, earlier))
    now, units = length(static.train), unit(static.train)
    longer = f"config.train.{units}={now} cannot go on from {workdir}, which has {length(static_before.train)} {units}"
    fix = "train in another --workdir" + (f"; {task.warm_start}" if task.warm_start else "")
    old, new = schedule_rows(before, static_before), schedule_rows(task, static)
    if changed := [name for name, row in new.items() if not np.array_equal(row[: len(old[name])], old[name])]:
        raise ConfigError(
            f"{longer}: {', '.join(changed)} depends on the length of the run, as a cosine does, so its first values "
            f"would have been different; {fix}"
        )
    end, due = plan(static_before, before.samples_per_epoch).total, plan(static, task.samples_per_epoch)
    if end % due.cheap or (due.costly and end % due.costly):
        raise ConfigError(
            f"{longer}: it ended with an evaluation that is not due there now, by config.evaluate.cheap_every="
            f"{static.evaluate.cheap_every} and .costly_every={static.evaluate.costly_every}; {fix}"
        )
    if carried_metrics(before, static_before).keys() != carried_metrics(task, static).keys():
        raise ConfigError(
            f"{longer}: its costly metrics were measured after the last step only; set config.evaluate.costly_every="
            f"{now} too"
        )


def _with(config: Any, changes: Mapping[str, Any]) -> Any:
    """The config with other values of some keys."""
    changed: Any = ConfigDict(config.to_dict())
    for key, value in changes.items():
        group, name = key.split(".")
        changed[group][name] = value
    return changed.lock()
