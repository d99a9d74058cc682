"""Configs: the table of keys; reading, overriding and checking; splitting into static and traced values."""

from ternary_jax.config.load import check_variant, config_name, load_config, read
from ternary_jax.config.split import differences, resolved, split
from ternary_jax.config.table import keys_of
from ternary_jax.errors import ConfigError

__all__ = [
    "ConfigError",
    "check_variant",
    "config_name",
    "differences",
    "keys_of",
    "load_config",
    "read",
    "resolved",
    "split",
]
