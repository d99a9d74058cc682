"""Configs: the table of keys; reading, overriding and checking; splitting into static and traced values."""

from ternary_jax.config.load import (
    check_variant,
    config_name,
    has_sweep,
    listed_runs,
    load_config,
    read,
    values_and_keys,
)
from ternary_jax.config.split import differences, resolved, split
from ternary_jax.config.table import keys_of
from ternary_jax.errors import ConfigError

__all__ = [
    "ConfigError",
    "check_variant",
    "config_name",
    "differences",
    "has_sweep",
    "keys_of",
    "listed_runs",
    "load_config",
    "read",
    "resolved",
    "split",
    "values_and_keys",
]
