"""Strict by default: what jax would quietly repair is an error here."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_debug_key_reuse", True)
