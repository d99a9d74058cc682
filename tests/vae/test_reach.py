"""The groups that the gradient of each loss reaches: those of its own branch, and a learned curvature."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import registry

ROWS: Any = np.array([0, 80, 27, 9, 13, 54, 40, 3, 1, 30, 18, 31, 40, 27, 36, 7], np.int32)  # the latter half: partners
# Some losses are on for one branch only, to save compiling.
ON = dict.fromkeys(registry.table(), "AB")
JOINT = {name for name, loss in registry.table().items() if loss.joint}
del ON["prior"]  # it needs another posterior than the KL
ON |= {"ranking": "B", "ranking_v2": "A", "ranking_hyperbolic": "B", "centroid": "A"}
EVERYWHERE = {"encoder", "projection", "decoder"}
REACHES = {  # part -> groups of its own branch that its gradient reaches
    **dict.fromkeys(("reconstruction", "entropy", "focus", "alignment"), EVERYWHERE),
    "kl": {"encoder"},
}


@pytest.fixture(scope="module")
def slopes():
    """(Loss, {term: gradient of the parameters}) of a step with everything on, and a learned curvature."""
    on = {f"losses__{name}__on": branches for name, branches in ON.items()}
    stochastic = {f"model__{b}__posterior": "gaussian" for b in "AB"}
    made, _, hypers, params = small.setting(**on, **stochastic, data__partners=True, model__curvature="learned")
    half = len(ROWS) // 2
    batch = Indices(ROWS[:half], ROWS[half:])

    def terms(params):
        found = made.loss(params, batch, small.context(made, hypers))
        return found.terms, found

    @small.jit
    def slope(params, cotangent):
        _, pull, found = jax.vjp(terms, params, has_aux=True)
        return pull(cotangent)[0], found

    shapes = jax.eval_shape(lambda: terms(params)[0])
    zero = {name: jnp.float32(0) for name in shapes}
    found = {name: slope(params, zero | {name: jnp.float32(1)}) for name in shapes}
    moved = {}
    for h in (-0.01, 0.01):
        there = params | {"curvature": {"theta": params["curvature"]["theta"] + np.float32(h)}}
        moved[h] = slope(there, zero)[1].terms
    return found[next(iter(found))][1], {name: gradient for name, (gradient, _) in found.items()}, moved


def test_a_loss_reaches_the_branch_that_it_is_on_for_and_no_other(slopes):
    _, gradients, _ = slopes
    assert len(gradients) > len(ON)
    for term, gradient in gradients.items():
        part, branches = (term, "AB") if term in JOINT else term.rsplit("_", 1)
        reached = REACHES.get(part, {"encoder", "projection"})
        for group, tree in gradient.items():
            if group != "curvature":
                own = group in {f"{one}_{b}" for one in reached for b in branches}
                assert np.any(small.flat(tree)) == own, (term, group)


def test_a_learned_curvature_is_in_the_gradient_of_every_loss_that_depends_on_it(slopes):
    _, gradients, moved = slopes
    assert moved[0.01].keys() == gradients.keys()
    for term, gradient in gradients.items():
        slope = float(gradient["curvature"]["theta"])
        secant = float(moved[0.01][term] - moved[-0.01][term]) / 0.02
        if term[:-2] in ("kl", "zero_correlation"):  # of the latent vector, and of radii at any scale
            assert slope == pytest.approx(0, abs=1e-5), term
        else:
            assert slope == pytest.approx(secant, rel=0.02, abs=2e-3), term
            assert abs(slope) > 1e-3 or term[:-2] == "rich_floor", term


def test_the_prior_reaches_what_makes_the_points_and_sees_sigma_and_c():
    on = dict(losses__reconstruction__on="none", losses__prior__on="A", losses__prior__weight=1.0)
    kinds = {f"model__{b}__posterior": "wrapped" for b in "AB"}
    made, _, hypers, params = small.setting(**on, **kinds, model__curvature="controlled", prior__homeostat=True)

    @small.jit
    def slope(params, knobs):
        def of(params, knobs):
            return made.loss(params, Indices(ROWS), small.context(made, hypers, knobs=knobs)).total

        return jax.grad(of, (0, 1))(params, knobs)

    by_group, by_knob = slope(params, {"sigma": jnp.float32(0.8), "c": jnp.float32(1.2)})
    reached = {group for group, tree in by_group.items() if np.any(small.flat(tree))}
    assert reached == {"encoder_A", "projection_A"}
    assert abs(by_knob["sigma"]) > 0.1
    assert abs(by_knob["c"]) > 1e-3
