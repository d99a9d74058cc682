"""Strict by default: what jax, numpy or pytest would quietly repair or only warn of is an error here."""

import functools
import gc
import itertools
import os
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as the package does, and says why; jax reads it when imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers take all cores; numpy reads it when imported

import hypothesis
import jax
import pytest
import traced_keys
from jax.experimental.compilation_cache import compilation_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
traced_keys.install()


LEVEL_0 = "--xla_backend_optimization_level=0"


def pytest_configure(config):
    """Set the XLA flags. The fast tier compiles with less optimisation, which saves a third of its time.

    The slow tier has the flags of a user, so its float32 accuracy is that of users' programs. XLA ends the process at
    an unknown flag; the releases that were tried know the last flag below.
    """
    if config.getoption("markexpr") == "not slow" and jax.__version_info__[:2] == (0, 10):
        quick = f"{LEVEL_0} --xla_llvm_disable_expensive_passes=true"
        quick += " --xla_cpu_parallel_codegen_split_count=1"  # the workers take all cores: parts cost, and save no time
        os.environ.setdefault("XLA_FLAGS", f"{quick} --xla_cpu_use_fusion_emitters=false")


def pytest_collection_finish():
    """Let Python look for garbage less often: tracing makes many objects, and most of them live on in caches."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory):
    """One cache of compiled programs for a session: for all workers, all modules, and child processes.

    jax decides at its first program whether it has a cache, and modules have compiled some when they were imported.
    """
    from ternary_jax.engine import compiling  # here, so that the process that only hands out tests does not import it

    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if root.name.startswith("popen") else root) / "programs"
    settings = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.05}
    compilation_cache.reset_cache()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))
        if LEVEL_0 in os.environ.get("XLA_FLAGS", ""):  # else the program of a run has its level 1, at twice the time
            patch.setitem(compiling.CHUNK_COMPILER_OPTIONS, "xla_backend_optimization_level", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_contexts():
    """Lower 50 programs one after another in one MLIR context, which saves 4 ms of CPU time a program.

    jax makes a context for each program, and most of that time is loading the dialects. A context keeps the constants
    of its programs, so all of a session in one would need their memory. Other threads than the main one make their own.
    """
    if jax.__version_info__[:2] != (0, 10):  # a private function of jax: without it, the tests only take longer
        yield
        return
    from jax._src.interpreters import mlir

    make, programs = mlir.make_ir_context, itertools.count()
    of_block = functools.lru_cache(maxsize=1)(lambda block: make())

    def shared():
        return of_block(next(programs) // 50) if threading.current_thread() is threading.main_thread() else make()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlir, "make_ir_context", shared)
        yield


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
