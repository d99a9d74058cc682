"""The reference objective R: no knob changes it, its gradient is that of the losses, and it has no unit of length."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import judge
from reference import losses as reference

from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import registry
from ternary_jax.vae.reference_objective import make_reference_terms

ROWS = np.array([0, 80, 27, 9, 13, 54, 40, 3, 1, 30, 18, 31], np.int32)
BATCH = Indices(ROWS[:6], ROWS[6:])
# Linear networks, so that a change of the unit of length is a change of their weights.
LINEAR: dict[str, Any] = {
    "model__cross_injection": True,
    "model__curvature": "controlled",
    "control": "schedules+statenet",
    "statenet__learn": "lookahead",
    "statenet__share": 0.5,
    "data__partners": True,
    "losses__stratification__on": "AB",
    "losses__ranking__on": "AB",
    "losses__prior__on": "AB",
    "losses__alignment__on": "AB",
}
for _b in "AB":
    LINEAR |= {
        f"model__{_b}__encoder": "plain",
        f"model__{_b}__hidden": (),
        f"model__{_b}__decoder_hidden": (),
        f"model__{_b}__projection": "exp_map",
        f"model__{_b}__posterior": "wrapped",
    }
# Value and turned value of every knob. Under the values each loss has its weight, c and sigma of the config at c = 1.
KNOBS = {
    **{"c": (1.0, 1.7), "sigma": (0.8, 0.5), "rho": (1.0, 0.3), "tau": (0.5, 0.2), "ranking": (1.0, 0.5)},
    **{f"{name}_{b}": (1.0, 0.6) for name in ("temperature", "beta", "balance") for b in "AB"},
    **{f"lambda_{k}": (1.0, 0.7) for k in (1, 2, 3)},
}


def values(which, **rho):
    return {name: jnp.float32(one[which]) for name, one in KNOBS.items()} | rho


def test_no_equation_of_r_reads_a_knob():
    """Of the R that look-ahead learning descends; the losses read all of these knobs."""
    made, _, hypers, params = small.setting(**LINEAR)
    reference_of = cast(Any, made.look_ahead).reference

    def read(f):
        traced = jax.make_jaxpr(lambda knobs: f(small.context(made, hypers, knobs=knobs)))(values(0))
        used = {id(x) for eqn in traced.jaxpr.eqns for x in eqn.invars}
        return [name for name, x in zip(sorted(KNOBS), traced.jaxpr.invars, strict=True) if id(x) in used]

    assert read(lambda context: reference_of(params, BATCH, context)) == []
    assert read(lambda context: made.loss(params, BATCH, context).total) == sorted(KNOBS)


@pytest.mark.slow
def test_r_and_its_gradient_are_those_of_the_losses_at_the_geometry_of_the_config():
    """Turned c, sigma and other knobs change no bit of R and its gradient."""
    made, _, hypers, params = small.setting(**LINEAR, model__c=1.0, prior__sigma=0.8)
    of = small.jit(jax.value_and_grad(cast(Any, made.look_ahead).reference))
    rest, turned = (of(params, BATCH, small.context(made, hypers, knobs=values(k))) for k in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, turned, rest)

    @small.jit
    def of_losses(params, knobs):
        context = small.context(made, hypers, knobs=knobs)
        return jax.value_and_grad(lambda params: made.loss(params, BATCH, context).total)(params)

    at_config = values(0, rho=jnp.asarray(hypers.model.rho))
    for a, b in zip(*map(jax.tree.leaves, (rest, of_losses(params, at_config))), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    for name in ("c", "sigma"):  # the losses do change
        other = of_losses(params, at_config | {name: jnp.float32(KNOBS[name][1])})
        assert abs(float(other[0] - rest[0])) > 1e-3


@pytest.mark.slow
def test_models_that_differ_by_the_unit_of_length_have_one_r():
    """At c0 = 0.6, and at c = 1 with means, scales and sigma times sqrt(c0), and a decoder that reads u / sqrt(c0)."""
    names = [name for name, loss in registry.table().items() if loss.posterior != "gaussian"]
    on = {f"losses__{name}__on": "AB" if name in ("prior", "alignment") else "A" for name in names}
    changes = LINEAR | on | {"losses__geodesic__furthest": 2.0}
    made, static, hypers, params = small.setting(**changes, model__c=0.6, prior__sigma=0.8)
    s = np.sqrt(np.float32(0.6))
    for b in "AB":  # narrow posteriors: draws near the edge of the ball magnify rounding
        params[f"encoder_{b}"]["log_variance"]["bias"] -= 4

    def in_other_unit(group, layers):
        if group.startswith("decoder"):
            return {"out": layers["out"] | {"kernel": layers["out"]["kernel"] / s}}
        wide = layers["log_variance"]
        mean = jax.tree.map(lambda x: s * x, layers["mean"])
        return {"mean": mean, "log_variance": wide | {"bias": wide["bias"] + 2 * np.log(s)}}

    moved = {group: in_other_unit(group, layers) for group, layers in params.items()}
    at_1 = hypers._replace(
        model=hypers.model._replace(c=np.float32(1)), prior=hypers.prior._replace(sigma=s * hypers.prior.sigma)
    )
    of = small.jit(make_reference_terms(static))
    r, terms = of(params, BATCH, small.context(made, hypers))
    other, others = of(moved, BATCH, small.context(made, at_1))
    assert len(terms) > len(names)
    for name, x in terms.items():
        np.testing.assert_allclose(others[name], x, rtol=2e-4, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(other, r, rtol=1e-5)
    _compare_with_loops(made, hypers, params, terms)


def _compare_with_loops(made, hypers, params, terms):
    """Two radial terms of A by loops in float64, from the exported points: lengths times sqrt(c0)."""
    context = small.context(made, hypers, knobs={"c": jnp.float32(0.6), "sigma": jnp.float32(0.8)})
    z = np.asarray(small.jit(made.export)(params, context)["z_A"], np.float64)[ROWS] * np.sqrt(0.6)
    r, v = 2 * np.arctanh(np.linalg.norm(z, axis=1)), judge.valuation_of_integer(ROWS, small.D)
    targets = reference.radial_targets(float(hypers.radii.inner), float(hypers.radii.outer), 1.0, small.D)
    expected = reference.stratification(r.tolist(), v.tolist(), targets)
    np.testing.assert_allclose(terms["stratification_A"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms["rich_means_A"], reference.level_means(r, v, targets), rtol=1e-5)
