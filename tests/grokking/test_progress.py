"""Generalisation during a run: at every evaluation, the verdict of `assess` on the curves so far."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ternary_jax.grokking import generalisation as g
from ternary_jax.grokking import progress

pytestmark = pytest.mark.usefixtures("strict_dtypes")

N, EVERY = 40, 10
LEVELS = (g.STANDARD, g.Levels(0.8, 1.5, 2, 0.05))


@functools.cache
def followed(levels):
    """fit, held_out (R, N) -> (verdict, t_fit, t_gen) (R, N) after every evaluation."""

    def one(fit, held_out):
        def step(p, x):
            number, fit, held_out = x
            p = progress.observe(p, number, fit, held_out, levels)
            return p, (progress.verdict(p, levels), p.fit.step, p.gen.step)

        steps = jnp.arange(1, N + 1, dtype=jnp.int32) * EVERY
        return jax.lax.scan(step, progress.begin(), (steps, fit, held_out))[1]

    return jax.jit(jax.vmap(one))


def curves(rng, runs):
    """Steps up and down between a few levels, with gaps: many cross a level once, or twice, or for one evaluation."""
    often = rng.choice([0.1, 0.4], (runs, 1, 1))
    x = np.where(rng.random((runs, 2, N)) < often, rng.choice([0.5, 0.85, 1.0], (runs, 2, N)), 0.0)
    x = np.maximum.accumulate(x, -1)
    x = x - rng.choice([0.0, 0.07, 0.15, 0.3], (runs, 2, 1)) * (np.arange(N) >= rng.integers(0, 2 * N, (runs, 2, 1)))
    x[rng.random(x.shape) < 0.05] = 0.0
    x[:, 1][rng.random((runs, N)) < 0.03] = np.nan
    x[rng.random(runs) < 0.1, 1] = np.nan
    return x.astype(np.float32)


@pytest.mark.slow
@settings(max_examples=4, phases=(Phase.explicit, Phase.generate))  # shrinking a seed gives no simpler case
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from(LEVELS))
def test_it_is_the_verdict_of_the_past_at_every_evaluation(seed, levels):
    x = curves(np.random.default_rng(seed), 16)
    finite = np.where(np.isfinite(x), x, np.float32(np.inf))
    verdicts, *times = followed(levels)(jnp.asarray(finite[:, 0]), jnp.asarray(finite[:, 1]))
    steps = np.arange(1, N + 1) * EVERY
    for run in range(len(x)):
        for k in range(N):
            past = g.assess(steps[: k + 1], x[run, 0, : k + 1].astype(float), x[run, 1, : k + 1].astype(float), levels)
            assert g.VERDICTS[verdicts[run, k]] == past.verdict
            for found, wanted in zip(times, (past.t_fit, past.t_gen), strict=True):
                if past.verdict != g.NOT_ASSESSABLE:
                    assert found[run, k] == (math.inf if math.isnan(wanted) else wanted)


def test_the_random_curves_have_every_verdict():
    """Check that the random curves cover every verdict, so that the test above covers them too."""
    x = curves(np.random.default_rng(0), 300).astype(float)
    steps = np.arange(1, N + 1) * EVERY
    assert {g.assess(steps, *one).verdict for one in x} == set(g.VERDICTS)
