"""Strict by default: what jax, numpy or pytest would quietly repair or only warn of is an error here."""

import os

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_debug_key_reuse", True)


def pytest_configure(config):
    """Set the XLA flags. The fast tier compiles with less optimisation, which saves a third of its time.

    The slow tier has the flags of a user, so its float32 accuracy is that of users' programs. XLA ends the process at
    an unknown flag; the releases that were tried know the last flag below.
    """
    if config.getoption("markexpr") == "not slow" and jax.__version_info__[:2] == (0, 10):
        quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        os.environ.setdefault("XLA_FLAGS", f"{quick} --xla_cpu_use_fusion_emitters=false")


# Compilation makes the first example slow, so no deadline; the same examples every time, so a failure is the code's.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def strict_dtypes():
    """Make implicit promotion between dtypes an error. It is no default, because optax relies on promotion.

    A module of numeric tests requests it by `pytestmark = pytest.mark.usefixtures("strict_dtypes")`.
    """
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def compiled_soon():
    """Compile with less optimisation: most of the time of a short run is compiling."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def kept_programs(tmp_path_factory):
    """A compilation cache that all workers of a session share, and their child processes."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if root.name.startswith("popen") else root) / "programs"
    settings = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))
        yield
