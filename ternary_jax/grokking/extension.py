"""The extension of any task by the grokking detector and by emergence metrics, as the config asks for them."""

from collections.abc import Mapping
from typing import Any

from ternary_jax.config.keys import Key, flag, integer, integers, real, reals, words
from ternary_jax.errors import ConfigError

KEYS: dict[str, Key] = {
    "emergence.weight_norm": flag(),
    "emergence.weight_rank": flag(),
    "emergence.representation_rank": flag(),
    "emergence.local_complexity": flag(),
    "emergence.radius": real(0, 10**6, excluded=(0,)),
    "emergence.points": integer(1, 10**7),
    "emergence.directions": integer(1, 10**7),
    "grokking.on": flag(),
    "grokking.metrics": words(),
    "grokking.memory": integer(1, 10**4),
    "grokking.flat": real(0, 1e6),
    "grokking.floor": real(0, 1),
    "grokking.plateaus": integers(1, 10**7),
    "grokking.gains": reals(0, 1),
    "grokking.within": integer(1, 1000),
    "grokking.kept": integer(1, 1000),
    "grokking.together": integer(1, 100),
    "grokking.over": real(0, 1e6),
    "grokking.jump": real(0, 1),
    "grokking.steps": real(0, 1e6),
}


def check(config: Any) -> None:
    """Check the thresholds of a config."""
    check_thresholds(config.grokking)


def check_thresholds(group: Mapping[str, Any]) -> None:
    """Check the order of the thresholds, and that the memory holds the shortest plateau. group: `grokking`, by key."""
    for name in ("plateaus", "gains"):
        levels = group[name]
        if len(levels) != 3 or list(levels) != sorted(levels):
            shown = ",".join(map(str, levels))
            raise ConfigError(f"config.grokking.{name}={shown} has to be three numbers that rise: micro,standard,major")
    least, memory = group["plateaus"][0], group["memory"]
    if memory < least:
        raise ConfigError(f"config.grokking.memory={memory} is shorter than the least of .plateaus, {least}: give more")


def extend(task: Any, static: Any, hypers: Any) -> Any:
    """The task with the parts that its config asks for; without any, the task itself, and no module is imported."""
    asked = static.emergence
    if asked.weight_norm or asked.weight_rank or asked.representation_rank or asked.local_complexity:
        from ternary_jax.grokking import emergence

        task = emergence.measuring(task, static, hypers)
    if static.grokking.on:
        from ternary_jax.grokking import detection

        task = detection.detecting(task, static)
    return task
