"""The excluded release of jax, and the wrong results that are the reason."""

import itertools
import tomllib
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from packaging.requirements import Requirement

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(("dtype", "rows"), [(np.float64, 3**9), (np.float32, 2**15 + 1)])
def test_one_matrix_times_many_rows(dtype, rows):
    """|m r|^2 for many rows r under jit: jax 0.10.2 is wrong on CPU from row 2^14 (float64), 2^15 (float32) on.

    https://github.com/jax-ml/jax/issues/39103. The sum over a row has to stand inside the vmap, as here, and float32
    is wrong at few numbers of rows only (3^9 and 3^10 are right).
    """
    rng = np.random.default_rng(0)
    m, x = rng.normal(size=(3, 3)).astype(dtype), rng.normal(size=(rows, 3)).astype(dtype)
    expected = np.square(x.astype(np.float64) @ m.T.astype(np.float64)).sum(-1)
    with jax.enable_x64(True):
        actual = np.asarray(jax.jit(jax.vmap(lambda m, row: jnp.sum((m @ row) ** 2), (None, 0)))(m, x))
    assert actual.dtype == dtype
    wrong = np.flatnonzero(np.abs(actual - expected) > 1e-5 * expected)
    assert wrong.size == 0, f"{wrong.size} of {rows} rows are wrong, the first is {wrong[0]}: not a jax to compute with"


def requirements_of(distribution: str) -> list[Requirement]:
    everywhere = itertools.chain(PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"].values())
    return [r for r in map(Requirement, everywhere) if r.name == distribution]


@pytest.mark.parametrize("distribution", ["jax", "jaxlib"])
def test_the_release_is_excluded(distribution):
    found = requirements_of(distribution)
    assert found
    for requirement in found:
        assert not requirement.specifier.contains("0.10.2"), f"{requirement} allows 0.10.2"
        assert requirement.specifier.contains("0.10.1")
        assert requirement.specifier.contains("0.11.1")


@pytest.mark.parametrize("distribution", ["jax", "jaxlib"])
def test_the_installed_release_meets_the_requirements(distribution):
    assert version(distribution) != "0.10.2"
    assert all(r.specifier.contains(version(distribution)) for r in requirements_of(distribution))
