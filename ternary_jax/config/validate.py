"""The check of a whole config: every value by its key, then the rules between keys, of the engine and of the task."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from ternary_jax.config.checks import check, check_runs_differ, runs_by_values
from ternary_jax.config.keys import Key, allowed, flat, nested, value_of
from ternary_jax.config.table import extensions, keys_of
from ternary_jax.errors import ConfigError


def validated(
    given: Mapping[str, tuple[Any, str]], table: dict[str, Key], module: ModuleType, source: str, infer_runs: bool
) -> ConfigDict:
    """The locked config of these values, or the ConfigError of the first rule that they break.

    given: (value, where it was set) by dotted key
    table, module: of the task, from `keys_of`
    source: what lacks a key that is not given, for the message
    infer_runs: where `runs` is 1, take the number of values of the traced keys
    """
    values = {key: value_of(key, value, where, table) for key, (value, where) in given.items()}
    for key in table:
        if key not in values:
            raise ConfigError(f"{source} has no config.{key}: set it to {allowed(table[key])}")
    trains = not hasattr(module, "report")
    if infer_runs and trains and values["runs"] == 1:
        values["runs"] = value_of("runs", runs_by_values(values, table), "", table)
    config = ConfigDict(nested(values)).lock()
    if trains:
        check(config, table)
    for one in [*(extensions() if trains else []), module]:
        if hasattr(one, "check"):
            one.check(config)
    return config


def validated_again(config: Any) -> ConfigDict:
    """The config, checked as it is now: a locked ConfigDict refuses new keys, but takes any value of the old type."""
    table, module = keys_of(config.task)
    given = {key: (value, "") for key, value in flat(config).items()}
    return to_train(validated(given, table, module, "the config", infer_runs=False), table, module)


def to_train(config: ConfigDict, table: dict[str, Key], module: ModuleType) -> ConfigDict:
    """The config, after the check of what may be read from a workdir, and not be trained."""
    if not hasattr(module, "report"):
        check_runs_differ(config, table)
    if hasattr(module, "check_to_train"):
        module.check_to_train(config)
    return config
