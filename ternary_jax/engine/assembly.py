"""Assembly of a training from a config: the task that the config names, with the extensions that the config enables."""

from typing import Any

from ternary_jax.config import keys_of, split
from ternary_jax.config.table import extensions
from ternary_jax.config.validate import validated_again
from ternary_jax.engine import declared
from ternary_jax.engine.columns import refuse_colliding_metrics
from ternary_jax.engine.task import Task
from ternary_jax.errors import ConfigError


def assemble(config: Any) -> tuple[Task, Any, Any]:
    """(task, static, hypers): the pure functions, the values compiled into them, the arrays that they take.

    Nothing is compiled or trained. The values are checked again, as a locked config takes new values unchecked. An
    extension is a module with `extend(task, static, hypers) -> task`; an extension that the config does not enable
    returns the task unchanged.
    """
    config = validated_again(config)
    static, hypers = split(config)
    _, module = keys_of(config.task)
    if not hasattr(module, "make_task"):
        raise ConfigError(f"config.task={config.task} has no make_task(static), so nothing can be trained")
    task = declared.task_of(module.make_task(static), config.task)
    for extension in extensions():
        task = extension.extend(task, static, hypers)
    refuse_colliding_metrics(task)
    return task, static, hypers
