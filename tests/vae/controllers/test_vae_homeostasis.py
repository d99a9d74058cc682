"""Homeostasis in the ternary task: frozen groups stay bit-identical, and wrong settings are refused in one sentence."""

import signal

import jax
import numpy as np
import pytest
import small

from ternary_jax import terminal
from ternary_jax.config import split
from ternary_jax.engine import host, program
from ternary_jax.errors import ConfigError
from ternary_jax.vae import task
from ternary_jax.workdir import rows

ON = {
    "homeostasis__on": True,
    "homeostasis__warmup": 0,
    "homeostasis__hysteresis": 0,
    "homeostasis__window": 2,
    "homeostasis__stall": 1,
    "homeostasis__progress": 2.0,  # no gain of a hierarchy counts as progress
    "train__epochs": 10,
    "evaluate__cheap_every": 1,
    "evaluate__costly_every": 10,  # only at the end, outside the chunk, which compiles in half the time
    "checkpoint__every": 10,
}


def trained(runs=1, chunks=10, **changes):
    """Train; returns the parameters of all runs after each epoch, and the infos of each epoch."""
    static, hypers = split(small.config(runs=runs, **(ON | changes)))
    init, chunk = program.make_train(task.make_task(static), static)
    state, params, infos = init(hypers), [], []
    params.append(jax.device_get(state.params))
    for k in range(chunks):
        epoch = -(-small.N // static.train.batch_size)
        state, report = chunk(state, np.int32(k * epoch), hypers)
        params.append(jax.device_get(state.params))
        infos.append(jax.device_get(report.info))
    return params, infos


def still(params, k, group):
    """Whether epoch k leaves the parameters of a group unchanged."""
    return bool((small.flat(params[k][group]) == small.flat(params[k + 1][group])).all())


def test_gates_close_and_open_by_evaluations_and_hold_what_they_hold():
    """Encoder A is frozen until its hierarchy stalls for two evaluations; encoder B is frozen once its own stalls.

    The thresholds of coverage are 0, so coverage changes no gate.
    """
    params, infos = trained(
        homeostasis__begins_frozen=True,
        homeostasis__floor=0.0,
        homeostasis__freeze_below=0.0,
        homeostasis__unfreeze_at=0.0,
        homeostasis__patience=1,
        homeostasis__relapse=2.0,
    )
    assert [still(params, k, "encoder_A") for k in range(10)] == [True] * 2 + [False] * 8
    assert [still(params, k, "encoder_B") for k in range(10)] == [False] * 2 + [True] * 8
    for group in ("decoder_A", "decoder_B", "projection_A", "projection_B"):
        assert not any(still(params, k, group) for k in range(10))
    assert [float(info.rates["encoder_A"][0]) for info in infos] == [0.0] * 2 + [1.0] * 8


@pytest.mark.slow
def test_without_it_there_is_no_freeze_flag_and_the_same_training():
    """Gates that never close train the same parameters as no gates."""
    never = {"homeostasis__warmup": 9, "train__epochs": 10}
    on = trained(chunks=3, **never)[0][-1]
    off = trained(chunks=3, **never, homeostasis__on=False)[0][-1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), on, off)


@pytest.mark.slow
def test_runs_at_once_close_their_gates_each_by_itself():
    solo = trained(runs=1, seed=1, homeostasis__patience=2)[0]
    both = trained(runs=2, homeostasis__patience=2)[0]
    last = [jax.tree.map(lambda x: x[1], both[-1]), jax.tree.map(lambda x: x[0], solo[-1])]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *last)


@pytest.mark.slow
def test_a_run_goes_on_with_its_gates_and_its_detector_where_it_was(tmp_path, monkeypatch, compiled_soon):
    """The run is interrupted after a gate closes and the detector has enough evaluations, and resumed."""
    changes = ON | {"train__epochs": 20, "checkpoint__every": 20, "grokking__on": True, "runs": 2}
    changes |= {"homeostasis__patience": 3, "evaluate__costly_every": 0}
    workdirs = [tmp_path / name for name in ("undisturbed", "interrupted")]
    host.run(small.config(**changes), workdirs[0])

    def line(*args, seen=[]):  # noqa: B006
        seen.append(args)
        if len(seen) == 15:
            signal.raise_signal(signal.SIGINT)
        return "..."

    with monkeypatch.context() as patch:
        patch.setattr(terminal, "progress_line", line)
        assert not host.run(small.config(**changes), workdirs[1])["finished"]
    assert 14 <= max(row["epoch"] for row in rows.read(workdirs[1])) < 20
    assert host.run(small.config(**changes), workdirs[1])["finished"]
    one, other = (
        [(name, row[name]) for row in rows.read(folder) for name in row if not clock(name)] for folder in workdirs
    )
    np.testing.assert_equal(one, other)
    told = dict(one)
    assert told["rate/encoder_B"] == 0
    assert told["control/grokking/frozen/encoder_B"] == 1
    assert told["control/grokking/plateau"] >= 0


def clock(name):
    return name.endswith("_s")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dict(homeostasis__coverage_groups=(), homeostasis__plateau_groups=()), "has no gate"),
        (dict(homeostasis__plateau_groups=("encoder_C",)), "encoder_C, which is no group"),
        (dict(homeostasis__plateau_groups=("encoder_A",)), "a group in common"),
        (dict(homeostasis__quiet_groups=("decoder_A",)), "config.controller.on=True"),
        (dict(homeostasis__floor=0.999), "in this order"),
        (dict(homeostasis__patience=20), "over .patience_most=15"),
        (dict(homeostasis__anneal=True, evaluate__costly_every=10), "is measured after"),
        (dict(homeostasis__warmup=10), "has to be less than config.train.epochs=10"),
        (dict(homeostasis__window=500, homeostasis__coverage_groups=()), "needs 505 evaluations .*, and there are 10"),
        (dict(evaluate__cheap_every=10, evaluate__costly_every=10), "needs 2 evaluations .*, and there are 1"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_setting(changes, says):
    with pytest.raises(ConfigError, match=says):
        small.config(**(ON | changes))
