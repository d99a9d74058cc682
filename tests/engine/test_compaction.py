"""Compaction: the runs that still train are stepped by a smaller program, and nothing else tells of it."""

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ternary_jax.config import load_config
from ternary_jax.engine import compaction, compiling, host
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.host_context import Within
from ternary_jax.workdir import rows as log

TOY = Path(__file__).parents[1] / "toy_config.py"
# Of four runs, two diverge in the first chunk, and one in the third.
POISONED = {"runs": 4, "toy.poison_step": (3.0, -1.0, 5.0, 19.0), "evaluate.costly_every": 0, "train.epochs": 12}


@pytest.fixture(autouse=True)
def with_nans():
    """Allow NaNs: runs diverge on purpose."""
    with jax.debug_nans(False):
        yield


@pytest.fixture(scope="module")
def made():
    """(programs of four runs, their hypers on the device)."""
    with jax.debug_nans(False):
        config = load_config(TOY, POISONED)
        return compiling.ahead(config), jax.device_put(assemble(config)[2])


@pytest.fixture
def at_once(monkeypatch):
    """Compile in the calling thread; -> the sizes that were compiled."""
    sizes, compile_few = [], compaction._compiled

    def submit(function, *args):
        done = Future()
        done.set_result(function(*args))
        return done

    monkeypatch.setattr(compaction, "ThreadPoolExecutor", lambda n: SimpleNamespace(submit=submit))
    monkeypatch.setattr(
        compaction, "_compiled", lambda made, hypers, size: sizes.append(size) or compile_few(made, hypers, size)
    )
    return sizes


@pytest.mark.slow
def test_a_chunk_of_some_runs_is_that_of_all(made):
    programs, hypers = made
    chunk = 8
    state, report = programs.chunk(programs.begin(hypers), 0, hypers)
    np.testing.assert_array_equal(report.counts, [False, True, False, True])
    before, copies = jax.device_get(state), [jax.tree.map(jax.numpy.copy, state) for _ in range(2)]
    chosen = compaction.places(np.flatnonzero(report.counts), 2, 4)
    few = compaction._of_some(compaction._compiled(programs, hypers, 2), chosen)
    whole, by_all = jax.device_get(programs.chunk(copies[0], chunk, hypers))
    some, by_few = jax.device_get(few(copies[1], chunk, hypers))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), whole, some)
    for k in (0, 2):
        jax.tree.map(lambda x, y, k=k: np.testing.assert_array_equal(x[k], y[k]), before, some)
    for name in ("metrics", "stop", "moved", "counts"):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), getattr(by_all, name), getattr(by_few, name)
        )
    trained = by_few.counts
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[trained], y[trained], rtol=1e-4), by_all.info, by_few.info)


def test_a_training_that_is_compacted_has_the_rows_and_endings_of_one_that_is_not(made, at_once, tmp_path):
    config, programs = load_config(TOY, POISONED), made[0]._replace(compile_s=0.0)
    plain = host.run(config, tmp_path / "plain", ahead=programs)
    within = host.run(config, tmp_path / "within", "", None, False, programs, Within("group_000, 0/1 groups done", 0))
    assert at_once == [2, 1]
    assert [run["stop"] for run in within["runs"]] == [run["stop"] for run in plain["runs"]]
    for one, other in zip(log.read(tmp_path / "within"), log.read(tmp_path / "plain"), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"wall_s", "samples_per_s"}:
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name


def test_a_program_that_saves_less_than_its_compiling_is_not_compiled(made, at_once, tmp_path):
    programs = made[0]._replace(compile_s=1e6)
    host.run(load_config(TOY, POISONED), tmp_path, "", None, False, programs, Within("group_000, 0/1 groups done", 0))
    assert not at_once


@pytest.mark.parametrize(
    ("runs", "running", "size"), [(32, 32, 32), (32, 17, 32), (32, 16, 16), (7, 4, 4), (7, 2, 2), (5, 1, 1), (1, 1, 1)]
)
def test_sizes_are_halves_that_have_room(runs, running, size):
    assert compaction.halved(runs, running) == size


def test_a_program_is_filled_with_runs_that_have_ended_each_once():
    chosen = compaction.places(np.array([1, 6]), 4, 8)
    assert {1, 6} <= {*chosen.tolist()}
    assert len({*chosen.tolist()}) == 4
