"""Checks that a task is one, and, while a program is traced, that it gives what it declares.

They protect from an error of JAX that compares two pytrees, or of Python that names a key, but not the task.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.engine.task import Loss, Task
from ternary_jax.errors import ConfigError
from ternary_jax.metric import Metric


def task_of(task: Any, source: str) -> Task:
    """The Task that a module's make_task has returned; a ConfigError if it is none, or has a field of another type.

    source: the name of the module
    """
    if not isinstance(task, Task):
        raise ConfigError(f"make_task of {source} returns {type(task).__name__}: return a ternary_jax.engine.task.Task")
    if not isinstance(task.metrics, tuple | list) or not all(isinstance(one, Metric) for one in task.metrics):
        raise ConfigError(f"Task.metrics of {task.name} is no tuple of Metric: give (Metric(...),), with its comma")
    samples = task.samples_per_epoch
    if samples is not None and (not isinstance(samples, int) or samples < 1):
        raise ConfigError(f"Task.samples_per_epoch of {task.name} is {samples}: give an int of 1 or more, or None")
    return task


def loss(task: Task, found: Any) -> Loss:
    """The Loss that `Task.loss` has returned; a ConfigError if it is none, or its total is no scalar."""
    if not isinstance(found, Loss):
        what = "an array" if isinstance(found, Array) else type(found).__name__
        raise ConfigError(f"Task.loss of {task.name} returns {what}: return a ternary_jax.engine.task.Loss")
    if shape := jnp.shape(found.total):
        raise ConfigError(f"Loss.total of {task.name} has the shape {shape}: give a scalar, the mean over the batch")
    return found


def streamed(task: Task, found: Any, n: int) -> Any:
    """The rows that `Task.stream` has returned for n steps; a ConfigError if an array has another number of rows."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        if np.shape(leaf)[:1] != (n,):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ConfigError(
                f"Task.stream of {task.name} gives {name or 'an array'} of the shape {np.shape(leaf)} for {n} steps: "
                "give a row for each step"
            )
    return found


def params(task: Task, found: Any) -> Any:
    """The parameters that `Task.init` has returned; a ConfigError if one has no gradient."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name, dtype = jax.tree_util.keystr(path, simple=True, separator="."), jnp.result_type(leaf)
            raise ConfigError(f"the parameter {name} of {task.name} is {dtype}: make it a float, or use Task.state")
    return found


def metrics(task: Task, found: Any, costly: bool) -> dict[str, Array]:
    """The metrics that `Task.evaluate`, or `Task.costly`, has returned, in float32.

    They are those that `Task.metrics` declares as such, and scalars; a ConfigError names the first that is not.
    """
    where = f"Task.{'costly' if costly else 'evaluate'}"
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} of {task.name} returns {type(found).__name__}: return a dict of metrics by name")
    declared = [metric.name for metric in task.metrics if metric.costly == costly]
    if undeclared := [name for name in found if name not in declared]:
        raise ConfigError(_undeclared(task, where, str(undeclared[0]), declared, costly))
    if missing := [name for name in declared if name not in found]:
        raise ConfigError(
            f"Task.metrics of {task.name} declares {missing[0]}, which {where} does not return: it returns "
            f"{_listed(found)}; return it too, or do not declare it"
        )
    if wide := [name for name, value in found.items() if jnp.ndim(value)]:
        shape = jnp.shape(found[wide[0]])
        raise ConfigError(f"{where} of {task.name} returns {wide[0]} of shape {shape}: a metric is a scalar of one run")
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def signals(task: Task, readable: Mapping[str, Array]) -> dict[str, Array]:
    """The values of this step that `Task.signals` lists; a ConfigError names the first that no step has."""
    if unknown := [name for name in task.signals if name not in readable]:
        wrong = f"Task.signals of {task.name} lists {unknown[0]}, which no step of it gives"
        raise ConfigError(f"{wrong}{_nearest(unknown[0], readable)}; there are {_listed(readable)}")
    return {name: readable[name] for name in task.signals}


def check_costly(task: Task, params: Any, context: Any) -> None:
    """Check the costly metrics where no chunk measures them, so that a long run does not end with their error."""
    jax.eval_shape(lambda: metrics(task, task.costly(params, context), costly=True))


# --- inside -----------------------------------------------------------------------------------------------------------


def _undeclared(task: Task, where: str, name: str, declared: list[str], costly: bool) -> str:
    """The sentence on a metric that is returned and not declared, or declared for the other function."""
    if name in [metric.name for metric in task.metrics]:
        fix = f"declare it with costly={costly}, or return it from Task.{'evaluate' if costly else 'costly'}"
        return f"{where} of {task.name} returns {name}, which Task.metrics declares with costly={not costly}: {fix}"
    return (
        f"{where} of {task.name} returns {name}, which Task.metrics does not declare{_nearest(name, declared)}; "
        f"declared are {_listed(declared)}: declare it, or do not return it"
    )


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*names], 1)
    return f": the nearest is {near[0]}" if near else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "none"
