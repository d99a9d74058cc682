"""Controllers in the ternary task: every knob is in the gradient path, and StateNet's inputs and outputs are live."""

import functools
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

import ternary_jax
from ternary_jax import poincare
from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Controls
from ternary_jax.engine import assembly, program
from ternary_jax.engine.step import prng_keys
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.vae import control, task
from ternary_jax.vae.controllers import exploration, statenet, statenet_network
from ternary_jax.vae.controllers.corrections import OUTPUTS
from ternary_jax.vae.data import Indices
from ternary_jax.vae.losses import registry

D, N = small.D, small.N
ROWS = np.array([0, 80, 27, 9, 13, 54, 40, 3, 1, 30, 18, 31, 40, 27, 36, 7], np.int32)
# Small linear networks, with every loss that a knob scales.
BOTH: dict[str, Any] = {
    "model__cross_injection": True,
    "model__curvature": "controlled",
    "losses__prior__on": "AB",
    "losses__stratification__on": "AB",
    "losses__ranking__on": "AB",
    "losses__alignment__on": "AB",
    "losses__entropy__on": "B",
}
for _b in "AB":
    BOTH |= {
        f"model__{_b}__encoder": "plain",
        f"model__{_b}__hidden": (),
        f"model__{_b}__decoder_hidden": (),
        f"model__{_b}__projection": "exp_map",
        f"model__{_b}__posterior": "wrapped",
    }
CHUNK = 8  # steps
STATENET = BOTH | {"control": "schedules+statenet", "statenet__interval": 2, "train__clip_norm": 0.0}
# knob -> (usual value, another value)
KNOBS = {
    "rho": (0.2, 0.4),
    "temperature_A": (1.0, 0.7),
    "temperature_B": (0.9, 0.5),
    "beta_A": (0.3, 0.6),
    "beta_B": (0.2, 0.5),
    "lambda_1": (0.7, 0.8),
    "lambda_2": (0.7, 0.6),
    "lambda_3": (0.3, 0.6),
    "balance_A": (1.0, 1.5),
    "balance_B": (1.0, 0.6),
    "ranking": (1.0, 0.5),
    "sigma": (1.0, 0.7),
    "c": (0.7, 1.1),
    "tau": (0.5, 0.2),
}
# knob or output -> the only groups whose gradients it changes
AB = {"encoder_A", "encoder_B", "decoder_A", "decoder_B"}
MOVES = {
    "rho": AB,
    "temperature_A": {"encoder_A", "decoder_A"},  # the other branch too, if the sign of H_A - H_B changes
    "temperature_B": {"encoder_B", "decoder_B"},
    "beta_A": {"encoder_A"},
    "beta_B": {"encoder_B"},
    "lambda_1": {"encoder_A", "decoder_A"},
    "lambda_2": {"encoder_B", "decoder_B"},
    "lambda_3": AB,
    "balance_A": {"encoder_A", "decoder_A"},
    "balance_B": {"encoder_B", "decoder_B"},
    "ranking": {"encoder_A", "encoder_B"},
    "sigma": {"encoder_A", "encoder_B"},
    "c": AB,
    "tau": {"encoder_A", "encoder_B"},
}


@functools.cache
def slope():
    """knobs -> the gradient of the parameters, by group, of one batch."""
    made, _, hypers, params = small.setting(**STATENET)

    def total(params, knobs):
        return made.loss(params, Indices(ROWS), small.context(made, hypers, knobs=knobs)).total

    gradient = small.jit(jax.grad(total))
    return lambda knobs: gradient(params, {name: jnp.float32(x) for name, x in knobs.items()})


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_is_in_the_gradient_of_what_it_names_and_of_nothing_else(name):
    before = {name: x for name, (x, _) in KNOBS.items()}
    one, other = slope()(before), slope()(before | {name: KNOBS[name][1]})
    moved = {group for group in one if np.abs(small.flat(one[group]) - small.flat(other[group])).max() > 1e-6}
    assert (moved >= MOVES[name]) if name.startswith("temperature") else (moved == MOVES[name])


@functools.cache
def with_schedules():
    """Steps of a run under the schedules, the homeostat of the prior and the curriculum, each of other knobs."""
    homeostat = dict(prior__homeostat=True, prior__decay=0.5, prior__c_rate=0.5, prior__sigma_rate=0.5)
    curriculum = dict(curriculum__on=True, curriculum__rate=0.05, curriculum__aim=0.2)
    return small.steps(**BOTH, **homeostat, **curriculum, control="schedules", train__epochs=10)


def test_the_schedules_are_followed_and_are_the_rows_of_the_run():
    steps = with_schedules()
    assert set(exploration.KNOBS) <= set(steps.rows)
    _, info = steps.step(steps.state, 25)
    for name in exploration.KNOBS:
        assert float(info.knobs[name]) == pytest.approx(float(steps.rows[name][25])), name
    assert len({float(steps.rows[name][25]) for name in exploration.KNOBS}) == len(exploration.KNOBS)
    assert small.setting()[0].schedules == {}
    assert control.knobs(small.setting()[1], small.setting()[2]) == {}


def test_the_homeostat_moves_sigma_and_c_and_what_is_measured_sees_them():
    steps = with_schedules()
    state, info = steps.step(steps.state)
    for number in range(1, 8):
        state, info = steps.step(state, number)
    c, sigma = float(state.knobs["c"]), float(state.knobs["sigma"])
    assert c == float(info.knobs["c"]) != pytest.approx(0.7, rel=0.05)
    assert sigma != pytest.approx(1, rel=0.05)
    exported = small.jit(steps.made.export)(state.params, small.context(steps.made, steps.hypers, knobs=state.knobs))
    assert float(exported["c"]) == pytest.approx(c)
    radius = 2 / np.sqrt(c) * np.arctanh(np.sqrt(c) * np.linalg.norm(np.float64(exported["z_B"]), axis=1))
    np.testing.assert_allclose(exported["radius_B"], radius, rtol=1e-4)


def test_prior_coverage_counts_what_draws_of_the_prior_decode_to():
    made, _, hypers, params = small.setting(**BOTH, prior__homeostat=True)
    costly = small.jit(made.costly)
    knobs = {s: {"sigma": jnp.float32(s), "c": jnp.float32(0.7)} for s in (0.01, 2)}
    found = {s: costly(params, small.context(made, hypers, knobs=own)) for s, own in knobs.items()}
    noise = np.asarray(jax.random.normal(jax.random.key(0), (N, small.DIM)), np.float64)
    layer = params["decoder_A"]["out"]
    for sigma, metrics in found.items():
        logits = sigma * noise / 2 @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
        distinct = np.unique(logits.reshape(N, D, 3).argmax(-1), axis=0)
        assert float(metrics["prior_coverage_A"]) == pytest.approx(len(distinct) / N)
    assert found[0.01]["prior_coverage_A"] < found[2]["prior_coverage_A"]
    by_name = {metric.name: metric for metric in made.metrics}
    assert by_name["prior_coverage_B"].chance == pytest.approx(1 - (1 - 1 / N) ** N)
    assert by_name["prior_coverage_B"].costly
    assert "prior_coverage_A" not in {metric.name for metric in small.setting()[0].metrics}


# --- StateNet ---------------------------------------------------------------------------------------------------------


@functools.cache
def with_statenet():
    """Steps of a run under StateNet."""
    return small.steps(**STATENET)


def of(state):
    return state.control["statenet"]


def replaced(state, net):
    return state._replace(control=state.control | {"statenet": net})


def saying(net, said):
    params = jax.tree.map(jnp.zeros_like, net.params)
    bias = jnp.asarray(np.arctanh(said), jnp.float32)
    return net._replace(params=params | {"decoder_1": params["decoder_1"] | {"bias": bias}})


@pytest.mark.parametrize("output", OUTPUTS)
def test_each_output_changes_the_next_parameters(output):
    steps = with_statenet()
    state = steps.state
    after = {}
    for delta in (0.0, 0.9):
        net = saying(of(state), delta * (np.array(OUTPUTS) == output))
        after[delta], _ = steps.step(replaced(state, net), 4)

    def differ(a, b):
        return {group for group in a if np.abs(small.flat(a[group]) - small.flat(b[group])).max() > 1e-7}

    if output == "rate":
        assert differ(after[0.0].params, after[0.9].params) == AB
    else:
        assert differ(*(small.gradient(after[delta]) for delta in after)) == MOVES[output]
        # Adam's first step is the sign of the gradient, which a common factor does not change; the second step differs.
        later = [steps.step(after[delta], 5)[0].params for delta in after]
        assert differ(*later) >= MOVES[output]


def test_each_input_is_live():
    """All 20 inputs of the network change from step to step of a run."""
    steps = with_statenet()
    rng = np.random.default_rng(0)
    net = of(steps.state)
    net = net._replace(
        params=jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32) / 3, net.params)
    )
    state, shown = replaced(steps.state, net), []
    sources = statenet.sources_of({"A": ("encoder_A", "decoder_A"), "B": ("encoder_B", "decoder_B")})
    for number in range(16):
        state, info = steps.step(state, number)
        signals: Any = type("Seen", (), {"last": state.last})
        seen = statenet.observe(signals, of(state).running, info.knobs, sources)
        shown.append([float(seen[name]) for name in statenet_network.INPUTS])
    spread = np.ptp(np.array(shown)[1:], axis=0)
    assert np.isfinite(shown).all()
    assert (spread > 1e-6).all(), dict(zip(statenet_network.INPUTS, spread.tolist(), strict=True))


@pytest.mark.slow
def test_statenet_looks_ahead_with_a_detector_in_the_chain():
    """The state keeps its structure with the detector in the chain. Only traced: it takes a minute to compile."""
    epochs = {"train__epochs": 20, "evaluate__cheap_every": 1, "evaluate__costly_every": 20, "checkpoint__every": 20}
    changes = STATENET | {"statenet__learn": "lookahead", "statenet__interval": 2, "statenet__share": 0.5} | epochs
    made, static, hypers = assembly.assemble(small.config(**changes, grokking__on=True))
    init, chunk = program.make_train(made, static)
    begun = jax.eval_shape(init, hypers)
    after, report = jax.eval_shape(chunk.program, begun, jnp.int32(0), hypers, *chunk.shared)
    assert {"statenet", "grokking"} <= begun.control.keys()
    assert [*made.controllers][-2:] == ["statenet", "grokking"]
    assert jax.tree.structure(after) == jax.tree.structure(begun)
    assert "events" in report.info.control["grokking"]
    assert "tau" in report.info.knobs


@pytest.mark.slow
def test_it_learns_by_the_gradient_of_differences_one_step_ahead(compiled_soon):
    """The gradient of the last biases, through losses, clipping and Adam, agrees with finite differences.

    It is taken in the second chunk. In Adam's first step only the signs of a gradient count, so no knob would matter.
    """
    changes = STATENET | {"statenet__learn": "lookahead", "statenet__interval": CHUNK, "statenet__share": 0.5}
    static, hypers = split(small.config(**changes | {"train__clip_norm": 0.3}))
    made = task.make_task(static)
    init, chunk = program.make_train(made, static)
    first, _ = chunk(init(hypers), jnp.int32(0), hypers)
    assert first.stop.at[0] == CHUNK  # so the second chunk begins with a step that learns
    begun, one = jax.tree.map(lambda x: x[0], (jax.device_get(first), hypers))
    after, _ = chunk(first, jnp.int32(CHUNK), hypers)
    mean, before = (x.control["statenet"].adam.mu["decoder_1"]["bias"] for x in (after, begun))
    slope = 10 * (mean[0] - 0.9 * before)

    steps = small.steps(**changes | {"train__clip_norm": 0.3})
    key, learner = prng_keys(one)[1], cast(Any, made.look_ahead)
    reference, sample = small.jit(learner.reference), small.jit(made.sample)

    def of(bias):
        net = begun.control["statenet"]
        moved = net.params["decoder_1"]["bias"] + jnp.float32(bias)
        phi = net.params | {"decoder_1": net.params["decoder_1"] | {"bias": moved}}
        state = begun._replace(control=begun.control | {"statenet": learner.put(net, phi)})
        rows = {name: jnp.float32(row[CHUNK]) for name, row in steps.rows.items()}
        last, _ = steps.compiled(state, (jnp.int32(CHUNK), rows), key, one, steps.made.data)
        key_batch, key_loss = jax.random.split(jax.random.fold_in(key, CHUNK + 1))
        context = Context(jnp.int32(CHUNK + 1), key_batch, Controls({}, None, last.knobs), one, steps.made.data)
        batch = jax.tree.map(lambda rows: rows[: len(rows) // 2], sample(context))
        return float(reference(last.params, batch, context._replace(key=key_loss)))

    h = 0.1
    expected = [(of(h * e) - of(-h * e)) / (2 * h) for e in np.eye(len(OUTPUTS))]
    np.testing.assert_allclose(slope, expected, rtol=0.05, atol=5e-5)  # R is rounded to float32
    assert np.count_nonzero(np.abs(expected) > 1e-4) >= 5


def test_the_curriculum_moves_tau_by_the_radial_loss_of_the_last_step():
    steps = with_schedules()
    state, tau, losses = steps.state, [], []
    for number in range(4):
        state, info = steps.step(state, number)
        tau.append(float(info.knobs["tau"]))
        losses.append(float((info.terms["stratification_A"] + info.terms["stratification_B"]) / 2))
    expected = [0.5]
    for loss in losses[:-1]:
        expected.append(expected[-1] + 0.05 * np.clip(1 - loss / 0.2, -1, 1))
    np.testing.assert_allclose(tau, expected, rtol=1e-5)
    assert len({*tau}) == 4


def test_the_network_is_that_of_the_file(tmp_path):
    steps = with_statenet()
    net = saying(of(steps.state), 0.9 * (np.array(OUTPUTS) == "tau"))
    statenet_network.save(tmp_path / "net.npz", net.params)
    made, _, hypers, _ = small.setting(**STATENET, statenet__params=str(tmp_path / "net.npz"))
    begun = made.controllers["statenet"].init(hypers)
    jax.tree.map(np.testing.assert_array_equal, begun.params, net.params)
    assert not any(np.any(x) for x in jax.tree.leaves(begun.adam))


@pytest.mark.slow
def test_statenet_without_schedules_changes_the_rate_alone(tmp_path):
    """control="statenet" has no schedule except the learning rate; other knobs keep the values of the config."""
    steps = with_statenet()
    net = saying(of(steps.state), -0.9 * (np.array(OUTPUTS) == "rate"))
    statenet_network.save(tmp_path / "net.npz", net.params)
    alone = STATENET | dict(control="statenet", model__rho=0.25, statenet__params=str(tmp_path / "net.npz"))
    steps, rates = small.steps(**alone), []
    assert steps.rows.keys() == {"learning_rate"}
    state = steps.state
    for number in range(6):
        state, info = steps.step(state, number)
        rates.append(float(info.rates["encoder_A"]))
        assert float(info.knobs["rho"]) == 0.25
        assert float(info.knobs["tau"]) == 0.5
    np.testing.assert_allclose(rates, np.repeat((1 - 0.09) ** np.arange(1, 4), 2), rtol=1e-5)


def test_a_name_without_a_file_is_one_of_the_assets():
    """A bare name works from every folder; the old path of the asset is refused with the new name."""
    made, _, hypers, _ = small.setting(**STATENET, statenet__params="statenet.npz")
    stored = statenet_network.load(Path(ternary_jax.__file__).parent / "assets" / "statenet.npz")
    jax.tree.map(np.testing.assert_array_equal, made.controllers["statenet"].init(hypers).params, stored)
    with pytest.raises(
        ConfigError, match=r"results/statenet.npz is now an asset .*: set config.statenet.params=statenet.npz"
    ):
        small.setting(**STATENET, statenet__params="results/statenet.npz")


def test_a_file_that_is_none_is_refused_with_what_to_give():
    with pytest.raises(ConfigError, match=r"config.statenet.params=nowhere.npz can.t be used: .*No such file.* Give a"):
        small.setting(**STATENET, statenet__params="nowhere.npz")


WRONG = [
    (dict(prior__homeostat=True), "config.model.curvature=controlled goes with config.prior.homeostat=True"),
    (dict(model__curvature="controlled"), "config.model.curvature=controlled goes with"),
    (
        BOTH | dict(prior__homeostat=True, losses__prior__on="none"),
        "config.prior.homeostat=True moves a prior that is off",
    ),
    (dict(control="schedules"), "has the knob rho, which only the cross-injection reads: set config.model.cross"),
    (dict(curriculum__on=True), "config.curriculum.on=True follows the radial losses"),
    (STATENET | dict(losses__alignment__on="none"), "changes sigma and lambda_3: set config.losses.prior.on=AB"),
    (STATENET | dict(losses__ranking__on="none"), "changes the mix of radial and ranking losses"),
    (
        STATENET | dict(control="statenet", train__schedule="cosine"),
        "config.control=statenet has no fixed schedule: set config.train.schedule=constant, which is cosine",
    ),
    (dict(statenet__learn="lookahead"), "need a StateNet, and there is none with config.control=none"),
    (dict(statenet__params="net.npz"), "need a StateNet, and there is none with config.control=none"),
    (STATENET | dict(statenet__learn="lookahead", statenet__share=0.1), "leaves no triplets for the reference"),
    (dict(schedules__rho__at=(0.2, 0.1, 0.3)), "config.schedules.rho.at=0.2,0.1,0.3 has to be in rising order"),
    (dict(schedules__rho__levels=(0.2, 0.1)), "to have a time for each of config.schedules.rho.levels=0.2,0.1"),
    (dict(schedules__rho__at=(), schedules__rho__levels=()), "config.schedules.rho.at="),
    (BOTH | dict(prior__homeostat=True, model__c=20.0), "config.model.c=20.0 is outside config.prior.least=0.1 to"),
    (BOTH | dict(prior__homeostat=True, prior__sigma=0.05), "config.prior.sigma=0.05 is outside"),
    (dict(balance__weights=True, balance__least=0.96), "config.balance.least=0.96 has to be less than"),
    (
        BOTH | dict(prior__homeostat=True, model__A__projection="direction_radius"),
        "config.prior.homeostat=True moves one c for both branches",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG)
def test_contradicting_settings_are_refused_in_one_sentence(overrides, message):
    with pytest.raises(ConfigError, match=message.replace("+", r"\+").replace(".", r"\.")):
        small.setting(**overrides)


def test_points_stay_in_the_ball_at_every_c():
    """In the originals most points were outside the ball at c = 4."""
    made, _, hypers, params = small.setting(**BOTH, prior__homeostat=True)
    for c in (0.1, 1.0, 4.0):
        knobs = {"c": jnp.float32(c), "sigma": jnp.float32(1)}
        found = small.jit(made.export)(params, small.context(made, hypers, knobs=knobs))
        poincare.check(found["z_A"], c)


# --- configs/v5_10.py -------------------------------------------------------------------------------------------------

OF_ALL = {"reconstruction", "stratification", "alignment", "entropy"}
TRADE_OFFS = {
    "": OF_ALL | {"prior", "ranking_v2"},
    ":statenet": OF_ALL | {"prior", "ranking_v2"},
    ":disabled": OF_ALL | {"kl"},
    ":prior": OF_ALL | {"prior"},
    ":ranking": OF_ALL | {"prior", "ranking_hyperbolic"},
    ":all": OF_ALL | {"prior", "ranking_hyperbolic", "focus", "centroid"},
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", TRADE_OFFS)
def test_each_row_of_the_table_of_trade_offs_has_its_losses_and_can_be_trained(variant):
    sizes = {"data.n_digits": 4, "data.high_from": 2, "train.batch_size": 16, "compilation_cache": False}
    static, hypers = split(load_config(f"{small.CONFIGS / 'v5_10.py'}{variant}", sizes))
    assert registry.on(static.losses).keys() == TRADE_OFFS[variant]
    init, chunk = program.make_train(task.make_task(static), static)
    state = jax.eval_shape(init, jax.device_put(hypers))
    _, report = jax.eval_shape(chunk.program, state, jnp.int32(0), hypers, *chunk.shared)
    terms = {name.rsplit("_", 1)[0] for name in report.info.terms}
    assert {"reconstruction", "stratification", "entropy"} < terms


def test_its_networks_have_the_documented_sizes():
    static, hypers = split(load_config(small.CONFIGS / "v5_10.py"))
    one = jax.tree.map(lambda x: x[0], hypers)
    shapes = jax.eval_shape(task.make_task(static).init, jax.random.key(0), one)
    sizes = {group: sum(x.size for x in jax.tree.leaves(tree)) for group, tree in shapes.items()}
    assert sizes == dict(encoder_A=45_792, encoder_B=45_792, decoder_A=4_411, decoder_B=71_707)
