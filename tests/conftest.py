"""Strict by default: what jax, numpy or pytest would quietly repair or only warn of is an error here."""

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_debug_key_reuse", True)

# Compilation makes the first example slow, so no deadline; the same examples every time, so a failure is the code's.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def strict_dtypes():
    """No implicit promotion between dtypes. Not everywhere, because optax relies on promotion.

    A module of numeric tests asks for it with `pytestmark = pytest.mark.usefixtures("strict_dtypes")`.
    """
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def compiled_soon():
    """Most of the time of a short run is compiling."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
