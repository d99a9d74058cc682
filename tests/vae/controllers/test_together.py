"""All controllers in one chain, in runs of the toy task, whose two groups stand for the two branches."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from ternary_jax.config import load_config, split
from ternary_jax.control import schedules
from ternary_jax.engine.plan import plan
from ternary_jax.engine.program import make_train
from ternary_jax.vae.controllers import balance, curriculum, exploration, prior, statenet, statenet_network

CONFIG = Path(__file__).parents[2] / "toy_config.py"
OF_STEP = ("entropy_A", "entropy_B", "kl_A", "kl_B", "radius_A", "radius_B", "radial")
SOURCES = statenet.Sources(
    dict.fromkeys(OF_STEP, "fit"),
    dict.fromkeys(("coverage_A", "coverage_B", "ranking_A", "ranking_B"), "fit"),
    ("slope",),
    ("offset",),
)
CHANGES = {"train.epochs": 8, "train.schedule": "constant", "losses.pull.on": False, "runs": 2}
QUICK: Any = {"xla_backend_optimization_level": 0}
RULE = prior.Rule(
    decay=0.9, kl=0.1, falls=True, sigma_rate=0.01, c_rate=0.01, sigma_bounds=(0.1, 3.0), c_bounds=(0.5, 2.0)
)


def saying_something(hypers):
    """Initial parameters of StateNet with a nonzero last bias, so that its output is not 0."""
    params = statenet_network.init(jax.random.key(hypers.seed))
    params["decoder_1"]["bias"] += 0.3
    return params


def controlled(static):
    """The toy task with all controllers; its loss does not use their knobs."""
    task = toy.make_task(static)
    t = exploration.done(plan(static, task.samples_per_epoch).total)
    rows = {
        "permeability": exploration.permeability(t, (0.2, 0.5, 0.9), (0.1, 0.3, 0.7)),
        "alignment": exploration.entropy_alignment(t, 0.3, 0.15, 0.1),
    }
    weights = balance.Weights(4, 0.02, (0.8, 1.25), (0.5, 0.95))
    controllers = {
        "schedules": schedules.follow(rho="permeability", lambda_3="alignment"),
        "balance": balance.balance(("slope",), ("offset",), 0.9, (0.5, 2.0), weights),
        "prior": prior.homeostat(lambda hypers: (0.5, 1.0), RULE, 2, ("fit",), ("fit",)),
        "curriculum": curriculum.curriculum(lambda hypers: 0.0, 0.01, 0.1, ("fit",)),
        "statenet": statenet.statenet(lambda hypers: (saying_something(hypers), 0.0), SOURCES, 4, 0.9),
    }
    set_to = {name: jnp.float32(x) for name, x in dict(lambda_1=0.7, lambda_2=0.7, ranking=0.4).items()}
    signals = tuple({*SOURCES.signals()})
    return task._replace(controllers=controllers, knobs=lambda hypers: set_to, schedules=rows, signals=signals)


@pytest.fixture(scope="module")
def trained():
    """Reports of each chunk, and the last state, of runs with seeds 0 and 1, and of 1 and 2, by one program."""
    each, found = [split(load_config(CONFIG, CHANGES | {"seed": seeds})) for seeds in ((0, 1), (1, 2))], []
    static = each[0][0]
    task, each = controlled(static), [jax.device_put(hypers) for _, hypers in each]
    steps, (init, chunk) = plan(static, task.samples_per_epoch), make_train(task, static)
    lowered = chunk.program.lower(jax.eval_shape(init, each[0]), jnp.int32(0), each[0], *chunk.shared)
    chunk = chunk._replace(program=lowered.compile(QUICK))
    for hypers in each:
        state, reports = init(hypers), []
        for begin in range(0, steps.total, steps.chunk):
            state, report = chunk(state, jnp.int32(begin), hypers)
            reports.append(jax.device_get(report))
        found.append((reports, jax.device_get(state)))
    return found


def test_everything_is_finite_and_each_knob_moves(trained):
    (reports, state), _ = trained
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.control))
    knobs = [report.info.knobs for report in reports]
    names = {"rho", "ranking", "tau", "sigma", "c", "balance_A", "balance_B", "lambda_1", "lambda_2", "lambda_3"}
    assert set(knobs[0]) == names
    for name in names:
        assert np.ptp([row[name][0] for row in knobs]) > 1e-4, name
    ratios = [report.info.control["balance"]["ratio"][0] for report in reports]
    assert np.ptp(ratios) > 1e-4
    assert 1 < reports[0].info.rates["slope"][0] < reports[-1].info.rates["slope"][0] <= 2


def test_a_run_is_the_same_in_other_company_and_unlike_others(trained):
    first, second = (jax.tree.leaves(found) for found in trained)
    for x, y in zip(first, second, strict=True):
        np.testing.assert_array_equal(x[1], y[0])
    assert any(np.any(x[0] != x[1]) for x in first)
