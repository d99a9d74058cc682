"""The learned controller of weights: bounds, rest values, its look-ahead against numpy, its effect on a step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from jax.flatten_util import ravel_pytree

from ternary_jax.control.chain import Signals
from ternary_jax.vae import forward
from ternary_jax.vae.controllers import learned_weights
from ternary_jax.vae.controllers.learned_weights import BOUNDS, INPUT_METRICS, INPUT_SIGNALS

HIDDEN = (6,)
SEEN = (*INPUT_SIGNALS, *INPUT_METRICS)


def network(seed=0, size=1.0):
    """Random parameters of the network, none of them 0."""
    shapes = jax.eval_shape(lambda: learned_weights.init(jax.random.key(0), HIDDEN))
    return jax.tree.map(lambda x: size * x, small.drawn({"controller": shapes}, seed)["controller"])


def signals(values):
    seen = {name: jnp.float32(x) for name, x in zip(SEEN, np.resize(values, len(SEEN)), strict=True)}
    return Signals(jnp.int32(0), {}, {k: seen[k] for k in INPUT_SIGNALS}, {k: seen[k] for k in INPUT_METRICS})


@small.jit
def said(params, signals, rho):
    return learned_weights.controls(params, HIDDEN, signals, learned_weights.neutral(rho))


def rest_of(rho):
    return {"rho": np.float32(rho), "geodesic_share": 0.5, "geodesic": 1, "radial": 1, "kl_A": 1, "kl_B": 1}


@pytest.mark.parametrize("values", [0.0, np.inf, [3.0, -2.0, 1e4], [np.inf, -np.inf, 0.1]])
@pytest.mark.parametrize("rho", [0.0, 0.2, 0.5])
def test_the_initial_network_leaves_all_controls_at_rest(values, rho):
    params = small.jit(lambda key: learned_weights.init(key, HIDDEN))(jax.random.key(3))
    outputs = said(params, signals(values), jnp.float32(rho))
    assert outputs.keys() == BOUNDS.keys()
    assert {name: float(x) for name, x in outputs.items()} == {k: float(v) for k, v in rest_of(rho).items()}


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_all_controls_stay_between_their_bounds(size):
    rng, met = np.random.default_rng(0), {name: set() for name in BOUNDS}
    for seed in range(40):
        values, rho = rng.normal(size=len(SEEN)) * 10 ** rng.uniform(-2, 6), rng.uniform(0, 0.5)
        outputs = said(network(seed, size), signals(values), jnp.float32(rho))
        for name, (low, high) in BOUNDS.items():
            assert low - 1e-6 <= outputs[name] <= high + 1e-6, name
            met[name] |= {end for end in (low, high) if abs(outputs[name] - end) < 1e-3}
    assert size == 1 or all(len(ends) == 2 for ends in met.values())


@pytest.mark.parametrize("x", [-3.0, -0.4, 0.4, 3.0])
def test_a_control_goes_from_its_rest_towards_a_bound(x):
    params = jax.tree.map(np.zeros_like, network())
    for k, (name, (low, high)) in enumerate(BOUNDS.items()):
        params["out"]["bias"] = np.float32(x * np.eye(len(BOUNDS))[k])
        outputs = said(params, signals(0.0), jnp.float32(0.2))
        rest = rest_of(0.2)
        end = high if x > 0 else low
        expected = rest | {name: rest[name] + (end - rest[name]) * abs(np.tanh(x))}
        for other, value in expected.items():
            assert float(outputs[other]) == pytest.approx(float(value), abs=1e-5), other


def test_unknown_inputs_are_0_and_each_input_changes_every_control():
    params = network()
    nothing = said(params, signals(0.0), jnp.float32(0.2))
    for unknown in (np.inf, -np.inf):
        assert said(params, signals(unknown), jnp.float32(0.2)) == nothing
    for k in range(len(SEEN)):
        outputs = said(params, signals(np.eye(len(SEEN))[k]), jnp.float32(0.2))
        assert all(abs(outputs[name] - nothing[name]) > 1e-5 for name in BOUNDS), SEEN[k]


# --- look-ahead -------------------------------------------------------------------------------------------------------

MATRIX, VECTOR = np.random.default_rng(1).normal(size=(2, 3, 3))
MATRIX = MATRIX @ MATRIX.T
REST: dict[str, Any] = {"a": 1.0, "b": 0.5, "t": 0.3}
TURNED: dict[str, Any] = {"a": 1.7, "b": -0.4, "t": 0.9}
THETA = np.array([0.6, -1.1, 0.4])


def toy(params, u):
    """F(theta, u) = a theta^T M theta / 2 + b^2 <q, theta> + sin(t) sum theta^3."""
    theta = params["theta"]
    return u["a"] * theta @ MATRIX @ theta / 2 + u["b"] ** 2 * VECTOR[0] @ theta + jnp.sin(u["t"]) * (theta**3).sum()


def toy_slope(theta, u):
    return u["a"] * MATRIX @ theta + u["b"] ** 2 * VECTOR[0] + np.sin(u["t"]) * 3 * theta**2


def toy_value(theta, u):
    return u["a"] * theta @ MATRIX @ theta / 2 + u["b"] ** 2 * VECTOR[0] @ theta + np.sin(u["t"]) * (theta**3).sum()


def ahead(theta, outputs) -> tuple[Any, Any]:
    with jax.enable_x64(True):
        return jax.value_and_grad(learned_weights.one_step_objective, (1, 2, 3))(
            toy, {"theta": jnp.asarray(theta)}, outputs, REST
        )


def test_the_look_ahead_is_that_of_numpy_with_its_gradient():
    value, (of_params, of_turned, of_rest) = ahead(THETA, TURNED)
    towards = toy_slope(THETA, REST)
    square = towards @ towards
    assert float(value) == pytest.approx(-(towards @ toy_slope(THETA, TURNED)) / square, rel=1e-12)
    by_control = {
        "a": MATRIX @ THETA,
        "b": 2 * TURNED["b"] * VECTOR[0],
        "t": np.cos(TURNED["t"]) * 3 * THETA**2,
    }
    for name, slope in by_control.items():
        assert float(of_turned[name]) == pytest.approx(-(towards @ slope) / square, rel=1e-12), name
    assert not small.flat((of_params, of_rest)).any()


def test_it_is_the_change_of_the_reference_by_a_small_step_of_descent():
    value, _ = ahead(THETA, TURNED)
    rate, slope = 1e-6, toy_slope(THETA, REST)
    after = [toy_value(THETA - sign * rate * toy_slope(THETA, TURNED), REST) for sign in (1, -1)]
    assert float(value) == pytest.approx((after[0] - after[1]) / (2 * rate) / (slope @ slope), rel=1e-6)


def test_the_look_ahead_is_minus_1_at_rest_and_0_without_a_gradient():
    assert float(ahead(THETA, REST)[0]) == pytest.approx(-1, rel=1e-12)

    def bowl(params, u):
        return u["a"] * (params["theta"] ** 2).sum()

    level = learned_weights.one_step_objective(bowl, {"theta": jnp.zeros(3)}, TURNED, REST)
    assert float(level) == 0


# --- in a step --------------------------------------------------------------------------------------------------------

PHASES = {"phases__structure_from": 1, "phases__geometry_from": 2, "phases__radial_after": 0.3}
# Small networks, as second derivatives take long to compile; smooth ones, as derivatives at a kink are undefined.
SMOOTH = {f"model__{name}_hidden": () for name in ("direction", "radius")}
for _b in "AB":
    SMOOTH |= {f"model__{_b}__encoder": "plain", f"model__{_b}__hidden": (), f"model__{_b}__decoder": "residual"}
MODEL = small.CONTROLLED | PHASES | SMOOTH | {"model__rho": 0.2, "train__clip_norm": 0.0}
ROWS = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]


@pytest.fixture(scope="module")
def on():
    return small.steps(**MODEL)


@pytest.fixture(scope="module")
def off():
    return small.steps(**MODEL | {"controller__on": False})


def turned_by(steps, bias):
    """The state with a network whose output is tanh(bias) for every input."""
    params = jax.tree.map(jnp.zeros_like, steps.state.params["controller"])
    params["out"]["bias"] = jnp.asarray(bias, jnp.float32)
    return steps.state._replace(params=steps.state.params | {"controller": params})


@pytest.mark.slow
@pytest.mark.parametrize(("structure", "geometry"), ROWS)
def test_at_rest_the_gradient_of_the_model_is_that_without_a_controller(on, off, structure, geometry):
    rows = dict(structure=structure, geometry=geometry)
    state = off.state._replace(params={k: v for k, v in on.state.params.items() if k != "controller"})
    with_it, info = on.step(turned_by(on, np.zeros(6)), **rows)
    without, info_without = off.step(state, **rows)
    gradients, expected = small.gradient(with_it), small.gradient(without)
    assert set(gradients) - set(expected) == {"controller"}
    for group, slope in expected.items():
        np.testing.assert_allclose(gradients[group], slope, rtol=1e-4, atol=1e-5 * np.abs(slope).max(), err_msg=group)
    for name, value in info_without.terms.items():
        assert float(info.terms[name]) == pytest.approx(float(value), rel=1e-6), name
    of_model = float(info.loss - learned_weights.WEIGHT * info.terms["controller"])
    assert of_model == pytest.approx(float(info_without.loss), rel=1e-5)
    assert {name: float(info.signals[f"turned_{name}"]) for name in BOUNDS} == {
        name: float(value) for name, value in rest_of(0.2).items()
    }
    assert np.any(gradients["controller"])


@pytest.mark.parametrize(("structure", "geometry"), ROWS)
def test_the_total_loss_follows_the_phase_and_the_controls(on, structure, geometry):
    bias = np.random.default_rng(int(structure + 2 * geometry)).normal(size=6)
    _, info = on.step(turned_by(on, bias), structure=structure, geometry=geometry)
    u = {name: float(info.signals[f"turned_{name}"]) for name in BOUNDS}
    low, high = np.array([*BOUNDS.values()]).T
    rest = np.array([rest_of(0.2)[name] for name in BOUNDS])
    expected = rest + np.where(bias > 0, high - rest, rest - low) * np.tanh(bias)
    np.testing.assert_allclose([*u.values()], expected, rtol=1e-5)

    h, terms, by_hand = on.hypers.losses, {name: float(x) for name, x in info.terms.items()}, 0.0
    later = structure * (0.3 if geometry else 1.0)
    for b in "AB":
        of_radial = terms[f"radial_{b}"] + float(h.radial.margin) * terms[f"radial_margin_{b}"]
        by_hand += float(h.reconstruction.weight) * terms[f"reconstruction_{b}"]
        by_hand += float(h.kl.weight) * u[f"kl_{b}"] * terms[f"kl_{b}"]
        by_hand += float(h.radial.weight) * u["radial"] * 2 * (1 - u["geodesic_share"]) * later * of_radial
        by_hand += (
            float(h.geodesic.weight) * u["geodesic"] * 2 * u["geodesic_share"] * geometry * terms[f"geodesic_{b}"]
        )
    assert float(info.loss) - learned_weights.WEIGHT * terms["controller"] == pytest.approx(by_hand, rel=1e-5)


def test_each_control_changes_the_gradient_of_the_model_and_learns(on):
    """The gradient of the controller is compared with finite differences of the look-ahead objective."""
    state, info = on.step(turned_by(on, np.zeros(6)), structure=1.0, geometry=1.0)
    _, tree = ravel_pytree(state.params["controller"])
    slope = 10 * np.asarray(tree(state.opt_state["controller"].mu)["out"]["bias"], np.float64) / learned_weights.WEIGHT
    for k, name in enumerate(BOUNDS):
        moved = []
        for h in (-0.02, 0.02):
            after, there = on.step(turned_by(on, h * np.eye(6)[k]), structure=1.0, geometry=1.0)
            moved.append(float(there.terms["controller"]))
        now, before = small.gradient(after), small.gradient(state)  # Adam's first step has only signs
        changed = {group for group in now if np.any(np.abs(now[group] - before[group]) > 1e-5)}
        reached = {"kl_A": {"encoder_A"}, "kl_B": {"encoder_B"}}.get(name, {"encoder_A", "encoder_B", "projection_A"})
        assert reached <= changed, name
        # The slopes above and below the rest value differ if the bounds are not symmetric; at 0 the upper one counts.
        above = (moved[1] - float(info.terms["controller"])) / 0.02
        assert slope[k] == pytest.approx(above, rel=0.1, abs=5e-4), name
        assert abs(slope[k]) > 1e-4, name
    assert float(info.terms["controller"]) == pytest.approx(-1, rel=1e-5)


def test_the_controller_learns_and_its_inputs_change_every_step(on):
    state, seen, outputs = turned_by(on, np.zeros(6)), [], []
    state.params["controller"].update(on.state.params["controller"] | {"out": state.params["controller"]["out"]})
    before = small.flat(state.params["controller"])
    for number in range(4):
        seen.append([float((state.last | state.metrics)[name]) for name in SEEN])
        state, info = on.step(state, number, structure=1.0, geometry=1.0)
        assert not any(name.startswith("seen_") for name in info.knobs)
        outputs.append([float(info.signals[f"turned_{name}"]) for name in BOUNDS])
        metrics = {name: jnp.float32(0.1 * number) for name in state.metrics}
        state = state._replace(metrics=state.metrics | metrics)
    assert np.isinf(seen[0]).all()
    assert all(len(set(column)) == 4 for column in zip(*seen, strict=True))
    assert np.abs(small.flat(state.params["controller"]) - before).max() > 1e-3
    assert (np.abs(np.array(outputs[-1]) - outputs[0]) > 1e-4).all()


def test_injection_mixes_the_codes_and_lets_no_gradient_across():
    y = {"A": jnp.array([1.0, 2.0]), "B": jnp.array([-3.0, 5.0])}
    mixed, pull = jax.vjp(lambda y: forward.cross_injected(y, 0.25), y)
    np.testing.assert_allclose(mixed["A"], [0.75 * 1 - 0.25 * 3, 0.75 * 2 + 0.25 * 5])
    np.testing.assert_allclose(mixed["B"], [-0.75 * 3 + 0.25 * 1, 0.75 * 5 + 0.25 * 2])
    (slope,) = pull({"A": jnp.ones(2), "B": jnp.zeros(2)})
    np.testing.assert_array_equal(slope["A"], [0.75, 0.75])
    np.testing.assert_array_equal(slope["B"], [0, 0])
