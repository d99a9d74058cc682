"""The cost of wrapped normals against a prior: densities in numpy, an integral over the disc, and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from scipy.stats import norm

from ternary_jax import poincare
from ternary_jax.vae.losses import prior

pytestmark = pytest.mark.usefixtures("strict_dtypes")

tangent_kl = small.jit(prior.wrapped_kl)


def of_draw(z, mean, scale, sigma, c):
    """The wrapped KL of points z (n, dim) drawn around `mean` (n, dim), from the tangent vectors that lead to them."""
    v = jax.vmap(lambda z, m: poincare.conformal_factor(m, c) * poincare.log(m, z, c))(z, mean)
    return prior.wrapped_kl(v, jax.vmap(poincare.log0, (0, None))(z, c), scale, sigma, c)


wrapped_kl = small.jit(of_draw)


def mobius_add(x, y, c):
    xy, xx, yy = (np.sum(a * b, -1, keepdims=True) for a, b in ((x, y), (x, x), (y, y)))
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)


def log_prob(z, mean, scale, c):
    """The textbook log density per Riemannian volume, of rows: the tangent vector at the mean, moved to the origin."""
    way = mobius_add(-mean, z, c)
    size = np.sqrt(c) * np.linalg.norm(way, axis=-1, keepdims=True)
    v = 2 * np.arctanh(size) / size * way
    length = np.sqrt(c) * np.linalg.norm(v, axis=-1)
    return norm.logpdf(v, scale=scale).sum(-1) - (z.shape[-1] - 1) * np.log(np.sinh(length) / length)


def draws(n, dim, c, scale, seed=0):
    """(eps, mean, scale, z), one row each; float32 but eps."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, dim))
    mean *= rng.uniform(0, 0.8, (n, 1)) / np.linalg.norm(mean, axis=1, keepdims=True) / np.sqrt(c)
    scale = scale * np.exp(rng.normal(size=(n, dim)) / 3)
    eps, mean, scale = (a.astype(np.float32) for a in (rng.normal(size=(n, dim)), mean, scale))
    return eps, mean, scale, moved(mean, scale * eps, c)


def drawn(mean, v, c):
    return jax.vmap(lambda m, v: poincare.exp(m, poincare.transport0(m, v / 2, c), c))(mean, v)


moved = small.jit(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("dim", "scale"), [(2, 0.7), (5, 0.3), (16, 0.4)])
def test_it_is_the_mean_of_the_log_ratio_of_the_densities(dim, scale, c):
    _, mean, scale, z = draws(50, dim, c, scale)
    wide, m, s = (np.asarray(a, np.float64) for a in (z, mean, scale))
    expected = np.mean(log_prob(wide, m, s, c) - log_prob(wide, np.zeros_like(wide), 0.6, c))
    assert float(wrapped_kl(z, mean, scale, 0.6, c)) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    ours = jax.vmap(poincare.wrapped_normal_log_prob, (0, 0, 0, None))
    ratio = ours(z, mean, scale, c) - ours(z, jnp.zeros_like(z), jnp.full_like(scale, 0.6), c)
    assert float(jnp.mean(ratio)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_from_the_noise_it_is_the_same_with_the_same_gradient():
    c = 1.3
    eps, mean, scale, _ = draws(20, 4, c, 0.5, 1)

    def of_points(mean, scale, sigma, c):
        return of_draw(drawn(mean, scale * eps, c), mean, scale, sigma, c)

    def of_tangents(mean, scale, sigma, c):
        u = jax.vmap(poincare.log0, (0, None))(drawn(mean, scale * eps, c), c)
        return prior.wrapped_kl(scale * eps, u, scale, sigma, c)

    at = mean, scale, jnp.float32(0.6), jnp.float32(c)
    found = [small.jit(jax.value_and_grad(f, (0, 1, 2, 3)))(*at) for f in (of_points, of_tangents)]
    assert float(found[0][0]) == pytest.approx(float(found[1][0]), rel=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def test_tangent_vectors_serve_where_the_ball_ends():
    """v = 2u at the origin, so the ratio is that of two normals, of length 60: float32 points end at 13."""
    u = np.array([[30.0, 0, 0]], np.float32)
    found = float(tangent_kl(2 * u, u, np.full((1, 3), 20.0, np.float32), 40.0, 1.0))
    assert found == pytest.approx(3 * np.log(2) + 60**2 / 2 * (1 / 40**2 - 1 / 20**2), rel=1e-5)


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_it_is_0_where_q_is_p(c):
    rng = np.random.default_rng(0)
    v = (0.6 * rng.normal(size=(30, 5))).astype(np.float32)
    mean = np.zeros_like(v)
    assert float(wrapped_kl(moved(mean, v, c), mean, np.full_like(v, 0.6), 0.6, c)) == pytest.approx(0, abs=1e-6)
    assert float(tangent_kl(v, v / 2, np.full_like(v, 0.6), 0.6, c)) == pytest.approx(0, abs=1e-6)


CASES = [((0.5, 0.2), (0.4, 0.9), 0.7, 1.0), ((0.0, 0.0), (0.3, 0.3), 0.7, 1.0), ((-0.4, 0.1), (0.6, 0.5), 0.5, 2.0)]


@pytest.mark.parametrize(("mean", "scale", "sigma", "c"), CASES)
def test_in_the_mean_it_is_the_integral_over_the_disc(mean, scale, sigma, c):
    """The noise at the nodes of Gauss and Hermite, against a quadrature of q log(q / p)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    eps = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2).astype(np.float32)
    at, size = (np.broadcast_to(np.float32(a), eps.shape) for a in (mean, scale))
    each = small.jit(jax.vmap(lambda z, m, s: of_draw(z[None], m[None], s[None], np.float32(sigma), c)))
    share = np.outer(weights, weights).ravel() / weights.sum() ** 2
    found = share @ np.asarray(each(moved(at, size * eps, c), at, size), np.float64)

    # Over the disc with sqrt(c)|z| = tanh(t), whose area is 2 sinh(2t) / c dt d(angle).
    t, dt = np.polynomial.legendre.leggauss(200)
    t, angle = (a.ravel() for a in np.meshgrid(2.5 * t + 2.5, np.arange(256) * 2 * np.pi / 256, indexing="ij"))
    z = (np.tanh(t) / np.sqrt(c) * np.stack([np.cos(angle), np.sin(angle)])).T
    q, p = log_prob(z, np.array([mean]), scale, c), log_prob(z, np.zeros((1, 2)), sigma, c)
    area = np.repeat(2.5 * dt, 256) * 2 * np.pi / 256 * 2 * np.sinh(2 * t) / c
    expected = np.sum(area * np.exp(q) * (q - p))
    assert np.sum(area * np.exp(q)) == pytest.approx(1, abs=1e-6)
    assert expected > 0.05
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dim", [2, 8])
def test_in_the_mean_over_draws_it_is_not_negative(dim):
    """If q and p nearly agree, about half of the single draws are negative; their mean is not."""
    for seed, (scale, centre) in enumerate([(0.5, 0.0), (0.52, 0.0), (0.5, 0.05), (0.3, 0.3)]):
        eps = np.random.default_rng(seed).normal(size=(20_000, dim)).astype(np.float32)
        mean = np.zeros_like(eps)
        mean[:, 0] = centre
        v = np.float32(scale) * eps
        found = float(wrapped_kl(moved(mean, v, 1.0), mean, np.full_like(v, scale), 0.5, 1.0))
        assert found > -0.01
        assert (found > 0.1) == (scale == 0.3)


@pytest.mark.parametrize("held", ["tangent vector", "share of the radius"])
def test_with_c_it_rises_at_the_same_tangent_vector_and_falls_at_the_same_share_of_the_radius(held):
    """The homeostat of the prior relies on this."""
    rng = np.random.default_rng(5)
    y, eps = (0.4 * rng.normal(size=(300, 16))).astype(np.float32), rng.normal(size=(300, 16)).astype(np.float32)
    scale, found = np.full_like(y, 0.3), []
    for c in (0.5, 1.0, 2.0):
        at = np.float32(c if held == "tangent vector" else 1.0)
        mean = jax.vmap(poincare.exp0, (0, None))(y, at) * jnp.sqrt(at / np.float32(c))
        found.append(float(wrapped_kl(moved(mean, scale * eps, np.float32(c)), mean, scale, 1.0, np.float32(c))))
    assert found == sorted(found, reverse=held != "tangent vector")
    assert max(found) > 1.1 * min(found)
