"""Training a workdir longer than it was begun: allowed where the steps that are done would have been the same."""

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


def check(task: Task, static: Any, config: Any, earlier: int, workdir: Path) -> None:
    """Raise a ConfigError where the first `earlier` epochs or steps of this config differ from a run of that length.

    task, static: of the config. The rows of all schedules are compared; a controller must read the length of a run
    through a schedule, as those of this package do.
    """
    before, static_before, _ = assemble(_of_length(config, earlier))
    now, units = length(static.train), unit(static.train)
    longer = f"config.train.{units}={now} cannot go on from the {earlier} {units} in {workdir}"
    fix = f"train in another --workdir{f', with config.start.workdir={workdir}' if 'start' in config else ''}"
    old, new = schedule_rows(before, static_before), schedule_rows(task, static)
    changed = [name for name, row in new.items() if not np.array_equal(row[: len(old[name])], old[name])]
    if changed:
        raise ConfigError(
            f"{longer}: {', '.join(changed)} depends on the length of the run, as a cosine does, so these would "
            f"have been different; {fix}"
        )
    cheap = plan(static, task.samples_per_epoch).cheap
    if plan(static_before, before.samples_per_epoch).total % cheap:
        raise ConfigError(f"{longer}: their last evaluation is no multiple of config.evaluate.cheap_every; {fix}")
    if carried_metrics(before, static_before).keys() != carried_metrics(task, static).keys():
        raise ConfigError(
            f"{longer} with config.evaluate.costly_every={static.evaluate.costly_every}: costly metrics were measured "
            f"after the last step only; set config.evaluate.costly_every={now} too"
        )


def _of_length(config: Any, units: int) -> Any:
    """The config with another length."""
    changed: Any = ConfigDict(config.to_dict())
    changed.train[unit(config.train)] = units
    return changed.lock()
