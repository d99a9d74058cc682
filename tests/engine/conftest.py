"""What the tests of the engine share: programs that one of them has compiled, also those of processes of their own."""

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory):
    """One cache for all workers of a session: most tests train one toy, and to compile it is most of their time."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if root.name.startswith("popen") else root) / "programs"
    settings = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))
        yield
