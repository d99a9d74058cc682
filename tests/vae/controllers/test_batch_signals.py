"""The batch signals of controllers, against loops."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import judge

from ternary_jax.vae.branch import Latent, Points
from ternary_jax.vae.controllers import batch_signals
from ternary_jax.vae.outputs import Batch, BranchOutput

D = small.D
ROWS = np.array([0, 80, 27, 9, 13, 54, 40, 3, 1, 30, 18, 31, 40, 27, 36, 7], np.int32)


def test_figures_of_a_batch_are_those_of_a_loop():
    rng: Any = np.random.default_rng(0)
    rows: Any = ROWS
    n, c = len(ROWS), 0.7
    z = rng.normal(size=(n, 4))
    z *= rng.uniform(0.1, 0.9, (n, 1)) / np.linalg.norm(z, axis=1, keepdims=True) / np.sqrt(c)
    x: Any = judge.trits(D)[ROWS].astype(np.int8)
    logits = rng.normal(size=(n, D, 3)) + 3 * (x[:, :, None] == np.array([-1, 0, 1]))
    points = Points(*(jnp.asarray(a, jnp.float32) for a in (z, z, z[:, 0])))
    seen = BranchOutput(
        batch=Batch(rows, rows, x, None, None),
        latent=Latent(points.z, None),
        points=points,
        noise=None,
        drawn=points,
        logits=jnp.asarray(logits, jnp.float32),
        c=jnp.float32(c),
        c0=jnp.float32(c),
        sigma=None,
        targets=jnp.zeros(D + 1),
    )
    found = small.jit(batch_signals.of_branch)(seen, jnp.array([3, 7]))
    assert set(found) == {"entropy", "coverage", "ranking"}
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert float(found["entropy"]) == pytest.approx(np.mean(-np.sum(p * np.log(p), -1)), rel=1e-5)
    right = [all(logits[i].argmax(-1) - 1 == x[i]) for i in range(n)]
    assert 0 < sum(right) < n
    assert float(found["coverage"]) == pytest.approx(np.mean(right))
    in_order = []
    for i in range(n):
        j, k = (i - 3) % n, (i - 7) % n
        v = [int(judge.valuation_of_integer(np.array([abs(int(ROWS[i]) - int(ROWS[a]))]), D)[0]) for a in (j, k)]
        d = [float(judge.geodesic(z[i][None], z[a][None], c)[0]) for a in (j, k)]
        in_order += [(d[0] < d[1]) == (v[0] > v[1])] if v[0] != v[1] else []
    assert 0 < sum(in_order) < len(in_order) < n
    assert float(found["ranking"]) == pytest.approx(np.mean(in_order))
    one = jax.tree.map(lambda a: a, seen)._replace(batch=seen.batch._replace(rows=np.zeros_like(ROWS)))
    assert float(batch_signals.of_branch(one, jnp.array([3, 7]))["ranking"]) == 0.5
