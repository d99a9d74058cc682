"""A compilation cache that all tests of the engine share, including their child processes."""

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory):
    """One cache for all workers of a session: most tests compile the same toy task, which takes most of their time."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if root.name.startswith("popen") else root) / "programs"
    settings = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))
        yield
