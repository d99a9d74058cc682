"""StateNet: network and controller against numpy, the effect of each output, bounds, intervals, gradients, files."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import equations

from ternary_jax.control.chain import Controls, Signals
from ternary_jax.vae.controllers import corrections, statenet, statenet_network
from ternary_jax.vae.controllers.corrections import KNOB_RULES, OUTPUTS
from ternary_jax.vae.controllers.statenet import Sources
from ternary_jax.vae.controllers.statenet_network import DOCUMENTS, GROUPS, INPUTS, Kind

pytestmark = pytest.mark.usefixtures("strict_dtypes")

OF_STEP = ("entropy_A", "entropy_B", "kl_A", "kl_B", "radius_A", "radius_B", "radial")
RUNNING = ("coverage_A", "coverage_B", "ranking_A", "ranking_B")
KNOBS = ("rho", "lambda_1", "lambda_2", "lambda_3", "sigma", "c", "tau")
SOURCES = Sources(
    {name: f"the_{name}" for name in OF_STEP},
    {name: f"of_batch_{name}" for name in RUNNING},
    ("encoder_A", "decoder_A"),
    ("encoder_B",),
)
MOVING = {"trend_loss": "loss", **{f"trend_{name}": f"of_batch_{name}" for name in ("coverage_A", "coverage_B")}}
NORMS = ("gradient/encoder_A", "gradient/decoder_A", "gradient/encoder_B")
STEPS, DECAY = 21, 0.8
# Default knobs of the tests, inside all bounds.
SET: Any = dict(rho=0.2, lambda_1=0.7, lambda_2=0.6, lambda_3=0.3, ranking=0.4, sigma=0.8, c=1.1, tau=0.4)
ALL: Any = SET | {"rate": 1.0}  # a factor on all rates, which is moved as the knobs are


TRAINED = statenet.path_of("statenet.npz")


def network(seed=0, size=1.0, kind=DOCUMENTS) -> Any:
    """Random parameters of the network, none of them 0."""
    rng, shapes = (
        np.random.default_rng(seed),
        jax.eval_shape(lambda key: statenet_network.init(key, kind), jax.random.key(0)),
    )
    return jax.tree.map(lambda x: np.float32(size * rng.normal(size=x.shape) / np.sqrt(x.shape[0])), shapes)


def saying(values):
    """Parameters of a network whose output is `values` for every input."""
    params = jax.tree.map(np.zeros_like, network())
    params["decoder_1"]["bias"] = np.float32(np.arctanh(values))
    return params


@contextlib.contextmanager
def float64():
    """Flax's layer norm needs float64 promoted with float32."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def world(seed=0):
    """STEPS rows of random signals, by name; all are unknown (inf) in row 0."""
    rng = np.random.default_rng(seed)
    rows = {name: rng.lognormal(0, 1, STEPS).astype(np.float32) for name in (*SOURCES.signals(), "loss")}
    for name in rows:
        rows[name][0] = np.inf
    return rows


def run(params, rows, interval, knobs, rise, kind=DOCUMENTS):
    """Rates, knobs and offsets of each step, by name, (STEPS,); tau rises by `rise` at each step."""
    sources = SOURCES._replace(trends=MOVING) if kind.trends else SOURCES
    member = statenet.statenet(lambda hypers: (hypers, 0.1), sources, interval, DECAY, kind)
    dtype = rows[NORMS[0]].dtype

    def step(state, xs):
        n, row = xs
        before = {name: jnp.asarray(x, dtype) for name, x in knobs.items()}
        before["tau"] += rise * n.astype(dtype)
        controls = Controls({"slope": jnp.asarray(2, dtype)}, None, before)
        state, after, _ = member.update(state, Signals(n, {}, row, {}), controls)
        return state, after.rates | after.knobs | {"offsets": jnp.stack(list(state.offsets.values()))}

    return jax.lax.scan(step, member.init(params), (jnp.arange(STEPS, dtype=jnp.int32), rows))[1]


QUICK: Any = {"xla_backend_optimization_level": 0}  # halves the time to compile
compiled = jax.jit(run, static_argnums=5, compiler_options=QUICK)
says = jax.jit(lambda params, inputs: statenet_network.delta(params, inputs)[0], compiler_options=QUICK)
start = jax.jit(statenet_network.init, static_argnums=1, compiler_options=QUICK)


def ran(params, rows, interval, knobs=None, rise=0.0, kind=DOCUMENTS):
    """The result of `run`, as numpy arrays."""
    return jax.device_get(compiled(params, rows, interval, knobs or SET, rise, kind))


# --- in numpy ---------------------------------------------------------------------------------------------------------


def network_in_numpy(params, s, memory=None, kind=DOCUMENTS):
    """delta of the inputs s of the kind, and the memory after them, float64."""
    s = np.where(np.isfinite(s), s, 0)
    x = np.sign(s) * np.log(1 + np.abs(s))

    def dense(name, h):
        layer = params[name]
        return h @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)

    a = np.exp(dense("attention", x))
    weight_of = {name: weight for group, weight in zip(kind.groups(), a / a.sum(), strict=True) for name in group}
    h = dense("encoder_0", np.array([weight_of[name] for name in kind.inputs()]) * x)
    h = (h - h.mean()) / np.sqrt(h.var() + 1e-6)
    h = np.tanh(h * np.float64(params["norm"]["scale"]) + np.float64(params["norm"]["bias"]))
    h = dense("encoder_2", np.maximum(dense("encoder_1", h), 0))
    if memory is not None:
        memory = h = gru_in_numpy(params["memory"], h, memory)
    return np.tanh(dense("decoder_1", np.maximum(dense("decoder_0", h), 0))), memory


def gru_in_numpy(params, x, m):
    """Cho et al., arXiv 1406.1078, with the bias inside the reset of the candidate, as flax and cuDNN have it."""

    def of(name, v):
        return v @ np.asarray(params[name]["kernel"], np.float64) + np.asarray(params[name].get("bias", 0), np.float64)

    reset, keep = (1 / (1 + np.exp(-of(f"i{gate}", x) - of(f"h{gate}", m))) for gate in "rz")
    return (1 - keep) * np.tanh(of("in", x) + reset * of("hn", m)) + keep * m


def moved_in_numpy(offsets, knobs, said):
    """The reference works on knobs, not on offsets: each knob moves and is clipped to its bounds."""
    for (name, rule), delta in zip(KNOB_RULES.items(), said, strict=True):
        v, times = knobs[name], name in ("rate", "ranking")
        low, high = (rule.low * v, rule.high * v) if times else (min(v, rule.low), max(v, rule.high))
        if name in ("lambda_1", "lambda_2", "lambda_3", "tau"):
            offsets[name] = np.clip(v + offsets[name] + rule.scale * delta, low, high) - v
        else:
            factor = 1 + rule.scale * delta if times else np.exp(rule.scale * delta)
            offsets[name] = np.clip(v * offsets[name] * factor, low, high) / v


def knobs_in_numpy(offsets, knobs):
    add = ("lambda_1", "lambda_2", "lambda_3", "tau")
    return knobs | {name: knobs[name] + o if name in add else knobs[name] * o for name, o in offsets.items()}


def none_yet():
    return {name: 0.0 if rule.kind == "add" else 1.0 for name, rule in KNOB_RULES.items()}


def looped(params, rows, interval, kind=DOCUMENTS):
    """The reference: the controller by a loop over floats, for constant schedules of the knobs."""
    offsets, found, running = none_yet(), [], dict.fromkeys(RUNNING, 0.0)
    memory, means = np.zeros(kind.memory) if kind.memory else None, {}
    for n in range(len(rows[NORMS[0]])):
        row = {name: float(x[n]) for name, x in rows.items()}
        if n:
            running = {name: DECAY * mean + (1 - DECAY) * row[f"of_batch_{name}"] for name, mean in running.items()}
            for name, source in MOVING.items():
                old = means.get(name, [row[source]] * 2)
                means[name] = [d * mean + (1 - d) * row[source] for mean, d in zip(old, (DECAY, 0.95), strict=True)]
        if n % interval == 0:
            knobs = knobs_in_numpy(offsets, ALL)
            seen = {name: row[f"the_{name}"] for name in OF_STEP}
            seen |= running | {name: knobs[name] for name in KNOBS}
            seen["missing"] = 1 - max(seen["coverage_A"], seen["coverage_B"])
            seen["gradient_ratio"] = row[NORMS[2]] / np.hypot(row[NORMS[0]], row[NORMS[1]]) if n else 0
            seen |= {name: np.subtract(*means[name]) if name in means else 0 for name in MOVING}
            said, memory = network_in_numpy(params, np.array([seen[name] for name in kind.inputs()]), memory, kind)
            moved_in_numpy(offsets, ALL, said)
        now = knobs_in_numpy(offsets, ALL)
        found.append(now | {"slope": 2 * now.pop("rate")})
    return {name: [row[name] for row in found] for name in found[0]}


def test_there_are_20_inputs_in_12_groups_and_8_outputs():
    assert [len(group) for group in GROUPS] == [1, 1, 1, 1, 2, 3, 3, 2, 2, 2, 1, 1]
    assert len(set(INPUTS)) == 20
    assert OUTPUTS == ("rate", "lambda_1", "lambda_2", "lambda_3", "ranking", "sigma", "c", "tau")


def test_there_are_8274_parameters():
    """The 8,484 of the documents less two attention heads, 126 and 84, whose weights no output used."""
    sizes = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in network().items()}
    encoder = sum(size for name, size in sizes.items() if name.startswith(("encoder", "norm")))
    decoder = sum(size for name, size in sizes.items() if name.startswith("decoder"))
    assert (encoder, decoder, sizes["attention"]) == (6542, 1480, 252)
    assert sum(sizes.values()) == 8274 == 8484 - 126 - 84


@pytest.mark.parametrize("values", [1.0, 1e5, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("seed", range(3))
def test_the_network_agrees_with_numpy(values, seed):
    rng = np.random.default_rng(seed)
    s = rng.normal(size=len(INPUTS)) * (values if np.isfinite(values) else 1)
    s[rng.random(len(INPUTS)) < 0.3] = values
    with float64():
        params = jax.tree.map(np.float64, network(seed))
        found = says(params, dict(zip(INPUTS, s, strict=True)))
    np.testing.assert_allclose(found, network_in_numpy(params, s)[0], rtol=1e-10)


@pytest.mark.parametrize("interval", [1, 3, 7])
def test_the_controller_agrees_with_a_loop(interval):
    params, rows = network(1), world()
    found, expected = ran(params, rows, interval), looped(params, rows, interval)
    assert found.keys() - {"offsets"} == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)


def test_a_scale_multiplies_the_outputs():
    said = np.linspace(-0.3, 0.3, len(OUTPUTS))
    rows = {name: jnp.asarray(x) for name, x in world().items()}
    members = [
        statenet.statenet(lambda hypers, s=size: (saying(s * said), 0.1), SOURCES, 1, DECAY, scale=scale)
        for size, scale in ((1, 3.0), (3, 1.0))
    ]
    signals = Signals(jnp.int32(0), {}, {name: x[1] for name, x in rows.items()}, {})
    knobs = {name: jnp.float32(x) for name, x in SET.items()}
    after = [member.update(member.init(None), signals, Controls({}, None, knobs))[0].offsets for member in members]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *after)


def test_the_controller_with_memory_and_trends_agrees_with_a_loop():
    kind = Kind(memory=5, trends=True)
    params, rows = network(1, kind=kind), world()
    found, expected = ran(params, rows, 3, kind=kind), looped(params, rows, 3, kind)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)


# --- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [network(2), statenet_network.load(TRAINED)], ids=["random", "trained"])
def test_each_input_is_read_from_its_source_and_changes_the_output(params):
    rows = world()
    of_step = {name: rows[name][1] for name in SOURCES.signals()}
    so_far: Any = {name: np.float32(0.3 + 0.1 * k) for k, name in enumerate(RUNNING)}

    @jax.jit
    def seen(of_step, knobs):
        signals = Signals(jnp.int32(0), {}, of_step, {})
        running = statenet.updated_means(so_far, signals, SOURCES, DECAY)
        by_name = statenet.observe(signals, running, knobs, SOURCES)
        return by_name, statenet_network.delta(params, by_name)[0]

    before, said = seen(of_step, SET)
    assert before.keys() == set(INPUTS)
    changed = {f"the_{name}": {name} for name in OF_STEP} | {name: {"gradient_ratio"} for name in NORMS}
    changed |= {f"of_batch_{name}": {name} for name in RUNNING} | {name: {name} for name in KNOBS}
    greater = max(("coverage_A", "coverage_B"), key=lambda name: before[name])
    changed[f"of_batch_{greater}"] |= {"missing"}
    for source, expected in changed.items():
        given = [part | {source: part[source] + 0.1} if source in part else part for part in (of_step, SET)]
        now, later = seen(*given)
        assert {name for name in INPUTS if now[name] != before[name]} == expected, source
        assert (np.abs(later - said) > 1e-6).any(), source
    assert set().union(*changed.values()) == set(INPUTS)


def test_before_the_first_step_all_inputs_are_finite():
    unseen: Any = {name: rows[0] for name, rows in world().items()}
    signals = Signals(jnp.int32(0), {}, unseen, {})
    running = statenet.updated_means(dict.fromkeys(RUNNING, jnp.float32(0)), signals, SOURCES, DECAY)
    assert not any(running.values())
    seen = statenet.observe(signals, running, SET, SOURCES)
    assert seen["gradient_ratio"] == 0
    nothing = {name: SET.get(name, 0.0) for name in INPUTS} | {"missing": 1.0}
    np.testing.assert_array_equal(says(network(), seen), says(network(), nothing))


# --- outputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, -0.7, 3.0])
def test_the_initial_network_changes_no_knob(shift):
    """The initial network leaves all knobs bit-identical, even knobs that are set beyond the bounds."""
    knobs = {name: x + shift if name in ("lambda_1", "lambda_2", "lambda_3", "tau") else x for name, x in SET.items()}
    knobs |= {name: knobs[name] * np.exp(shift) for name in ("ranking", "sigma", "c")}
    found = ran(start(jax.random.key(3)), world(), 1, knobs)
    for name, value in (knobs | {"slope": 2.0}).items():
        np.testing.assert_array_equal(found[name], np.float32(value), err_msg=name)
    assert not found["offsets"].any()


@pytest.mark.parametrize("delta", [-0.9, -0.2, 0.2, 0.9])
@pytest.mark.parametrize("output", OUTPUTS)
def test_each_output_changes_the_knob_of_its_name_and_nothing_else(output, delta):
    said = delta * (np.array(OUTPUTS) == output)
    found = ran(saying(said), world(), 7)
    times = 1 + np.arange(STEPS) // 7
    expected = {
        "rate": 2 * np.clip((1 + 0.1 * delta) ** times, 0.02, 2.0),
        "lambda_1": 0.7 + 0.02 * delta * times,
        "lambda_2": 0.6 + 0.02 * delta * times,
        "lambda_3": 0.3 + 0.02 * delta * times,
        "ranking": 0.4 * np.clip((1 + 0.3 * delta) ** times, 0.1, 1.5),
        "sigma": 0.8 * np.exp(0.05 * delta * times),
        "c": 1.1 * np.exp(0.02 * delta * times),
        "tau": 0.4 + 0.1 * delta * times,
    }[output]
    for name, value in (SET | {"slope": 2.0}).items():
        if name == output or (name, output) == ("slope", "rate"):
            np.testing.assert_allclose(found[name], expected, rtol=1e-5)
        else:
            np.testing.assert_array_equal(found[name], np.float32(value), err_msg=name)


def test_corrections_add_up_within_bounds_as_in_a_loop():
    """Schedules move the knobs, also beyond the bounds, and series of equal deltas drive them into the bounds."""
    rng, steps = np.random.default_rng(0), 400
    said = np.tanh(rng.normal(size=(steps, 8)) + 3 * np.sign(np.sin(np.arange(steps) / 25))[:, None])
    wave = 0.5 + 0.7 * np.sin(np.arange(steps) / 90)
    knobs = {name: np.abs(wave * ALL[name] * 2) + 0.01 for name in KNOB_RULES}

    @jax.jit
    def run(said, knobs):
        def step(offsets, row):
            said, knobs = row
            offsets = corrections.new_offsets(knobs, offsets, said)
            return offsets, corrections.corrections(knobs, offsets)

        return jax.lax.scan(step, dict.fromkeys(KNOB_RULES, 0.0), (said, knobs))[1]

    with float64():
        found = jax.device_get(run(said, knobs))
    offsets, met = none_yet(), {name: set() for name in KNOB_RULES}
    for n in range(steps):
        now = {name: x[n] for name, x in knobs.items()}
        moved_in_numpy(offsets, now, said[n])
        for name, value in knobs_in_numpy(offsets, now).items():
            assert found[name][n] == pytest.approx(value, rel=1e-10), (name, n)
            rule, v = KNOB_RULES[name], now[name]
            ends = (rule.low * v, rule.high * v) if rule.kind == "multiply" else (rule.low, rule.high)
            assert min(v, ends[0]) * (1 - 1e-12) <= value <= max(v, ends[1]) * (1 + 1e-12)
            met[name] |= {end for end in ends if value == pytest.approx(end, rel=1e-9)}
    assert all(met.values())


# --- when -------------------------------------------------------------------------------------------------------------


def test_corrections_are_held_between_renewals_while_knobs_follow_their_schedules():
    found = ran(network(4), world(), 4, rise=0.01)
    renewed = np.flatnonzero(np.any(np.diff(found["offsets"], axis=0) != 0, -1)) + 1
    assert renewed.tolist() == [4, 8, 12, 16, 20]
    assert found["offsets"][0].any()
    offset = found["tau"] - (0.4 + 0.01 * np.arange(STEPS))
    np.testing.assert_allclose(offset, np.repeat(offset[::4], 4)[:STEPS], atol=1e-6)
    assert len(np.unique(found["lambda_1"])) == 6


def test_a_corrected_knob_is_clipped_unless_its_schedule_exceeds_the_bound():
    said = 0.9 * (np.array(OUTPUTS) == "tau")
    v = 0.4 + 0.04 * np.arange(STEPS)
    found = ran(saying(said), world(), 7, rise=0.04)["tau"]
    expected = np.clip(v + 0.09 * (1 + np.arange(STEPS) // 7), 0, np.maximum(1, v))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (expected == 1).sum() > 3
    assert expected[-1] > 1


def test_under_vmap_a_renewal_stays_a_cond():
    """A `cond`, not a `select`, which would compute the network at each step."""
    shapes = jax.tree.map(lambda x: jnp.stack([x] * 2), network())
    many = jax.make_jaxpr(jax.vmap(lambda params: run(params, world(), 2, SET, 0.0)))(shapes)
    assert equations(many.jaxpr).count("cond") == 1


def test_runs_with_networks_of_their_own_are_as_alone():
    each = [network(seed) for seed in (5, 6, 7)]
    rows = world()
    together = jax.jit(jax.vmap(lambda params: run(params, rows, 2, SET, 0.0)), compiler_options=QUICK)(
        jax.tree.map(lambda *x: jnp.stack(x), *each)
    )
    for k, params in enumerate(each):
        alone = ran(params, rows, 2)
        for name in alone:
            np.testing.assert_allclose(together[name][k], alone[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert len(np.unique(together["c"][:, -1])) == 3


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_knobs_are_differentiable_in_all_parameters():
    """Gradients through the controller over several renewals agree with finite differences, in float64."""
    with float64():
        params = jax.tree.map(np.float64, network(8))
        rows = {name: np.where(np.isfinite(x), x, 0).astype(np.float64) for name, x in world().items()}

        def value(params):
            found = run(params, rows, 5, SET, 0.0)
            return sum(jnp.sum(jnp.sin((k + 1) * found[name])) for k, name in enumerate(("slope", *SET)))

        both = jax.jit(jax.value_and_grad(value), compiler_options=QUICK)
        slope = both(params)[1]
        assert all(np.any(np.abs(x) > 1e-8) for x in jax.tree.leaves(slope))
        rng = np.random.default_rng(0)
        for _ in range(3):
            way = jax.tree.map(lambda x: rng.normal(size=x.shape), params)
            ends = [jax.tree.map(lambda x, u, h=h: x + h * u, params, way) for h in (1e-5, -1e-5)]
            ahead, behind = (float(both(end)[0]) for end in ends)
            along = sum(np.sum(a * b) for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(way), strict=True))
            assert (ahead - behind) / 2e-5 == pytest.approx(float(along), rel=1e-5)


def test_an_initial_network_has_a_gradient_in_its_last_layer_alone():
    params = start(jax.random.key(0))
    seen: Any = dict.fromkeys(INPUTS, 0.3)
    before: Any = dict.fromkeys(KNOB_RULES, 0.0)

    def sigma(params):
        said = statenet_network.delta(params, seen)[0]
        return corrections.corrections(ALL, corrections.new_offsets(ALL, before, said))["sigma"]

    slope = jax.jit(jax.grad(sigma), compiler_options=QUICK)(params)
    reached = {name for name, part in slope.items() if any(np.any(x) for x in jax.tree.leaves(part))}
    assert reached == {"decoder_1"}
    np.testing.assert_allclose(slope["decoder_1"]["bias"], 0.05 * 0.8 * (np.array(OUTPUTS) == "sigma"), rtol=1e-5)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_it_descends_by_adam():
    member = statenet.statenet(lambda hypers: (hypers, 0.1), SOURCES, 1, DECAY)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on promotion
        _descends(member.init(network(9)))


def _descends(state):
    rng = np.random.default_rng(0)
    slopes = [jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), state.params) for _ in range(2)]
    after = jax.jit(statenet.descend)(state, slopes[0])
    after = jax.jit(statenet.descend)(after, slopes[1])
    first, second = (np.float64(slope["decoder_1"]["kernel"]) for slope in slopes)
    m, v = 0.09 * first + 0.1 * second, 0.000999 * first**2 + 0.001 * second**2
    expected = state.params["decoder_1"]["kernel"] - 0.1 * first / (np.abs(first) + 1e-8)
    expected -= 0.1 * m / (1 - 0.9**2) / (np.sqrt(v / (1 - 0.999**2)) + 1e-8)
    np.testing.assert_allclose(after.params["decoder_1"]["kernel"], expected, rtol=1e-4, atol=5e-6)


# --- in a file --------------------------------------------------------------------------------------------------------


def test_a_saved_network_loads_unchanged(tmp_path):
    params = network(10)
    statenet_network.save(tmp_path / "net.npz", params)
    jax.tree.map(np.testing.assert_array_equal, statenet_network.load(tmp_path / "net.npz"), params)
    params = network(10, kind=Kind(6, True))
    statenet_network.save(tmp_path / "net.npz", params)
    jax.tree.map(np.testing.assert_array_equal, statenet_network.load(tmp_path / "net.npz", Kind(6, True)), params)


@pytest.mark.parametrize("wrong", ["missing", "unknown", "shape"])
def test_a_file_of_another_network_is_refused_with_the_difference(tmp_path, wrong):
    params = jax.tree.map(np.asarray, network(10))
    layer = "decoder_1"
    if wrong == "missing":
        del params[layer]["bias"]
    elif wrong == "unknown":
        params["decoder_2"] = params[layer]
    else:
        params[layer]["bias"] = np.zeros(9, np.float32)
    statenet_network.save(tmp_path / "net.npz", params)
    with pytest.raises(ValueError, match="decoder_2/bias, decoder_2/kernel in" if wrong == "unknown" else "_1/bias in"):
        statenet_network.load(tmp_path / "net.npz")
