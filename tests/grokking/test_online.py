"""The detector in a run: it changes nothing, reads the means that the log has, and agrees with the analysis."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from histories import STANDARD
from jaxprs import equations

from ternary_jax import workdir
from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Control, Controls, Signals
from ternary_jax.engine import host
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.program import make_train
from ternary_jax.engine.task import Loss
from ternary_jax.errors import ConfigError
from ternary_jax.grokking import definitions, detection, history
from ternary_jax.grokking.definitions import Evaluation, Watched
from ternary_jax.grokking.online import REPORTED, detector
from ternary_jax.metric import Metric

CONFIG = Path(__file__).parents[1] / "toy_config.py"
METRICS = (Watched("held_out_accuracy", 1, 1.0), Watched("other", -1, 1.0))
EVERY, EVALUATIONS = 8, 60


CASES = ("grows", "rests", "frozen", "slowed")  # of the runs, by their seeds
SUDDEN = EVERY * 39


def meddling():
    """A controller that freezes a group in the run of seed 2, and halves its rate in that of seed 3, from a step on."""

    def update(seed, signals, controls):
        later = signals.step >= SUDDEN
        rates = controls.rates | {"offset": jnp.where((seed == 3) & later, 0.5, 1.0) * controls.rates["offset"]}
        frozen = {"slope": jnp.array(False), "offset": (seed == 2) & later}
        return seed, controls._replace(rates=rates, frozen=frozen, knobs={"rho": jnp.float32(0.5)}), {}

    return Control(lambda hypers: hypers.seed, update)


def scripted(static):
    """Two metrics that rise at evaluation 40, as a parameter passes a bound; the loss is noise. The parameter rises
    evenly, as its gradient is always -1, and Adam takes steps of the rate.
    """
    task = toy.make_task(static)

    def loss(params, batch, context):
        w = jnp.mean(params["slope"]["w"])
        total = 0.5 + 0.01 * jax.random.normal(context.key) - (w - jax.lax.stop_gradient(w))
        return Loss(total, {"total": total}, {})

    def evaluate(params, context):
        hypers = context.hypers
        way = jnp.mean(params["slope"]["w"]) / hypers.train.learning_rate - EVERY * 39.5
        risen = jnp.where(hypers.seed == 1, 0, jax.nn.sigmoid(way / 2))
        wave = 0.003 * jnp.sin(way)
        return {"held_out_accuracy": 0.1 + 0.8 * risen + wave, "other": 0.9 - 0.7 * risen + wave}

    nan = float("nan")
    return task._replace(
        loss=loss,
        init=lambda key, hypers: {"slope": {"w": jnp.zeros(3)}, "offset": {"b": jnp.zeros(3)}},
        metrics=(Metric("held_out_accuracy", 1, 1.0, 0.0, nan), Metric("other", -1, 0.0, 1.0, nan)),
        evaluate=evaluate,
        costly=lambda params, context: {},
        controllers={"meddling": meddling()},
        signals=(),
    )


CHANGES = {
    "train.epochs": EVALUATIONS * EVERY // 4,
    "evaluate.cheap_every": EVERY // 4,
    "evaluate.costly_every": 0,
    "checkpoint.every": EVALUATIONS * EVERY // 4,
    "train.schedule": "constant",
    "train.learning_rate": 1e-2,
    "train.clip_norm": 0.0,
    "stop.watch": "held_out_accuracy",
    "stop.divergence": 0.0,
    "toy.noise": 0.0,
    "grokking.on": True,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The columns of metrics.jsonl of four runs at once."""
    config = load_config(CONFIG, CHANGES | {"runs": len(CASES)})
    with config.unlocked():
        del config["targets"]
    folder = tmp_path_factory.mktemp("online") / "run"
    with pytest.MonkeyPatch.context() as patch:
        task = scripted(split(config)[0])
        patch.setattr(toy, "make_task", lambda static: task)
        patch.delitem(toy.KEYS, "targets.error")
        host.run(config, folder)
    return workdir.open(folder).rows()


def test_the_log_says_what_the_detector_knew_and_the_analysis_agrees(rows):
    found = history.histories(rows)
    told = history.rises(found, METRICS, STANDARD)
    for case, one, about in zip(CASES, found, told, strict=True):
        online = {name: one.columns[f"control/grokking/{name}"] for name in REPORTED}
        events, aside = ([rise for rise in about["rises"] if rise["event"] == event] for event in (True, False))
        assert len(events) == (case == "grows")
        assert len(aside) == (case in ("frozen", "slowed"))
        # A row's controls were set by the evaluation before it.
        steps, known = one.columns["step"], np.array([rise["known"]["step"] for rise in events])
        np.testing.assert_array_equal(online["events"][1:], [np.sum(known <= step) for step in steps[:-1]])
        np.testing.assert_array_equal(online["confirmed"], online["events"])
        known_then = dict(zip(steps[:-1], online["plateau"][1:], strict=True))
        assert online["plateau"][0] == 0
        for plateau in about["plateaus"]:
            assert known_then.get(plateau["end"]["step"], plateau["evaluations"]) == plateau["evaluations"]
        assert online["severity"][-1] == 3 * (case == "grows")
        assert online["excluded"][-1] == len(aside)
        if aside:
            bar = {"frozen": "freeze", "slowed": "schedule"}[case]
            assert [name for name, outcome in aside[0]["checked"].items() if outcome == "explains it"] == [bar]
        for rise in events:
            assert rise["confirmed"]
            assert abs(rise["step"] / EVERY - 40) <= 2
            assert set(rise["checked"].values()) == {"ruled out"}


def test_the_detector_sees_means_since_the_last_evaluation_and_no_step_twice():
    """The reference is the same machine, fed with means computed by numpy."""
    rng = np.random.default_rng(0)
    n, every = 13 * 6 + 1, 6
    losses, figures = rng.normal(size=n).astype(np.float32), rng.normal(size=(14, 2)).astype(np.float32)
    rates, knobs, flags = rng.random((n, 1)), rng.random((n, 1)), rng.random((n, 1)) < 0.5
    turned = Controls({"slope": jnp.float32(1)}, None, {"rho": jnp.float32(1)})
    member = detector(lambda hypers: turned, "total", METRICS, (), every, STANDARD)

    @jax.jit
    def run(losses, figures, rates, knobs, flags):
        def step(state, i):
            last = jnp.where(i > 0, losses[i - 1], jnp.inf)
            measured = {"held_out_accuracy": figures[i // every, 0], "other": figures[i // every, 1]}
            controls = Controls({"slope": rates[i, 0]}, {"slope": flags[i, 0]}, {"rho": knobs[i, 0]})
            state, after, _ = member.update(state, Signals(i, {}, {"total": last}, measured), controls)
            return state, (after.rates, after.frozen)

        return jax.lax.scan(step, member.init(None), jnp.arange(n))

    state, (after, frozen) = run(losses, figures, *(np.float32(x) for x in (rates, knobs)), flags)
    np.testing.assert_allclose(after["slope"], rates[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(frozen["slope"], flags[:, 0])
    memory = definitions.begin(STANDARD, 2, 2, 1)
    observe = jax.jit(lambda memory, seen: definitions.observe(memory, seen, METRICS, STANDARD)[0])
    for k in range(13):
        part = slice(k * every, (k + 1) * every)
        turned = np.concatenate([rates, knobs], 1)[part].mean(0)
        seen = Evaluation(losses[part].mean(), figures[k + 1], turned, flags[part].mean(0))
        memory = observe(memory, Evaluation(*(jnp.asarray(x, jnp.float32) for x in seen)))
    for found, wanted in zip(jax.tree.leaves(state.memory), jax.tree.leaves(memory), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.controls, [rates[-1, 0], knobs[-1, 0]], rtol=1e-6)


def detected(task, static):
    """The task as the assembly hands it to the engine."""
    return detection.detecting(task, static) if static.grokking.on else task


def programs(*changes):
    """The jaxpr of a chunk of three runs of the scripted task, for each of the changes."""
    for one in changes:
        static, hypers = split(load_config(CONFIG, CHANGES | {"runs": 3} | one))
        init, chunk = make_train(detected(scripted(static), static), static)
        yield jax.make_jaxpr(chunk.program)(jax.eval_shape(init, hypers), jnp.int32(0), hypers, *chunk.shared).jaxpr


def test_between_evaluations_the_detector_only_adds_under_vmap_too():
    """The machine is in a `cond` with a scalar predicate, which vmap does not turn into a select."""
    found, without = (equations(one) for one in programs({}, {"grokking.on": False}))
    assert found.count("cond") == without.count("cond") + 1
    assert found.count("sort") > without.count("sort") == 0


def test_a_detector_that_is_off_leaves_no_equation():
    """With grokking.on=False, other settings of the group do not change the program either."""
    off = {"grokking.on": False}
    one, other = map(str, programs(off, off | {"grokking.memory": 17, "grokking.metrics": ("other",)}))
    assert one == other


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grokking.metrics": ("missing", "other")}, "config.grokking.metrics=missing is not measured at every evalu"),
        (
            {"grokking.metrics": ("other",)},
            "config.grokking.together=2 is more than the 1 metrics that the detector reads: .*; there are",
        ),
        ({"grokking.metrics": ("other", "other")}, "config.grokking.metrics has other twice"),
        ({"train.epochs": 5, "evaluate.cheap_every": 1}, "there are 5: set config.train.epochs to 14 or more"),
        ({"evaluate.cheap_every": 60}, "needs more than 13 evaluations, and there are 2: set .* to 8 or less"),
    ],
    ids=lambda one: None if isinstance(one, dict) else one[:24],
)
def test_what_the_detector_cannot_watch_is_refused(changes, said, monkeypatch):
    config = load_config(CONFIG, CHANGES | changes)
    task = scripted(split(config)[0])
    monkeypatch.setattr(toy, "make_task", lambda static: task)
    with pytest.raises(ConfigError, match=said):
        assemble(config)


def test_the_detector_names_its_metrics_or_takes_all_that_have_a_scale():
    static, _ = split(load_config(CONFIG, CHANGES))
    task = scripted(static)
    assert detection.metrics_of(task, static) == METRICS
    own = static._replace(grokking=static.grokking._replace(metrics=("other", "held_out_accuracy")))
    assert detection.metrics_of(task, own) == METRICS[::-1]


def test_no_gradient_goes_through_the_detector():
    member = detector(lambda hypers: Controls({"slope": jnp.float32(1)}, None, {}), "total", METRICS, (), 2, STANDARD)

    def f(x):
        state, info = member.init(None), {}
        for step in range(4):
            signals = Signals(jnp.int32(step), {}, {"total": x}, {"held_out_accuracy": x, "other": x})
            state, _, info = member.update(state, signals, Controls({"slope": x}, None, {}))
        return sum(jnp.sum(jnp.float32(leaf)) for leaf in jax.tree.leaves(info)) + x

    assert jax.jit(jax.grad(f))(jnp.float32(0.3)) == 1
