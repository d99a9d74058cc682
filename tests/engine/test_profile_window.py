"""config.profile.steps: which steps of a run are traced, what that leaves alone, and what is refused."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jax
import numpy as np
import pytest

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.engine import dry_run, host, program
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import plan
from ternary_jax.engine.profile import trace, window
from ternary_jax.errors import ConfigError, WorkdirError

CONFIG = Path(__file__).parents[1] / "toy_config.py"  # 80 steps in chunks of 8


def config(steps=""):
    return load_config(CONFIG, {"profile.steps": steps} if steps else {})


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(terminal, "say", sentences.append)
    return sentences


@pytest.fixture
def profiler(monkeypatch):
    """The calls of a profiler that records nothing."""
    calls = []
    monkeypatch.setattr(trace, "start", lambda folder: calls.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    return calls


def annotated(folder):
    """The steps at which the chunks in the newest trace of a folder begin."""
    [file] = folder.glob("plugins/profile/*/*.xplane.pb")
    events = [e for p in jax.profiler.ProfileData.from_file(str(file)).planes for line in p.lines for e in line.events]
    return sorted(int(str(dict(event.stats)["step_num"])) for event in events if event.name == "chunk")


def test_the_chunks_of_the_steps_are_traced(tmp_path, said):
    host.run(config("10:20"), tmp_path)
    assert annotated(tmp_path / "trace") == [8, 16]
    assert "config.profile.steps=10:20 is rounded to whole chunks of 8 steps: 8:24" in said
    assert [one for one in said if one.startswith("a trace of steps 8 to 24 is in")]


def test_a_run_without_the_key_imports_and_wraps_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, window.__name__, None)  # importing it is an ImportError

    def traced(steps, chunk):
        task, static, _ = assemble(config(steps))
        steps = plan(static, task.samples_per_epoch)
        return host._traced(cast(Any, SimpleNamespace(static=static, plan=steps, workdir=tmp_path)), chunk)

    chunk: Any = object()
    with traced("", chunk) as found:
        assert found is chunk
    with pytest.raises(ImportError):
        traced("8:16", chunk)


def test_the_key_leaves_no_trace_in_the_program():
    def jaxpr(steps):
        task, static, hypers = assemble(config(steps))
        init, chunk = program.make_train(task, static)
        return str(chunk.program.trace(*chunk.inputs(jax.eval_shape(init, hypers), hypers)).jaxpr)

    assert jaxpr("10:20") == jaxpr("")


@pytest.mark.parametrize("steps", ["10", "20:10", "10:10", "-1:5", "a:b", "1.0:2", "1:2:3", "٣:٤"])
def test_what_is_no_range_is_refused(steps):
    with pytest.raises(ConfigError, match=rf"config\.profile\.steps={steps} is no range of steps: give START:STOP"):
        config(steps)


def test_a_range_past_the_end_is_refused_before_anything_is_compiled(tmp_path):
    sentence = r"config\.profile\.steps=8:81 ends after the last step of the run, 80: give a STOP of at most 80"
    with pytest.raises(ConfigError, match=sentence):
        host.run(config("8:81"), tmp_path / "run")
    with pytest.raises(ConfigError, match=sentence):
        dry_run.measure(config("8:81"))
    assert not (tmp_path / "run").exists()


def calls_of(folder, firsts, steps=(8, 24)):
    """Call a traced chunk that adds 1 at these first steps, each from the state of the one before."""
    state = np.float32(0)
    with window.traced(lambda state, first, hypers: state + 1, 8, steps, folder) as chunk:
        for first in firsts:
            state = chunk(state, first, None)
    return state


@pytest.mark.parametrize(
    ("firsts", "calls", "sentence"),
    [
        ([0, 8, 16, 24], ["start", "stop"], "a trace of steps 8 to 24 is in"),
        ([16, 24], ["start", "stop"], "a trace of steps 16 to 24 is in"),  # it goes on within the steps
        ([8, 16, 8, 16], ["start", "stop"], "a trace of steps 8 to 24 is in"),  # after a rollback
        ([0, 8], ["start", "stop"], "a trace that ends with this session is in"),  # an interrupted run
        ([24, 32], [], "none of the steps 8 to 24 ran"),
    ],
)
def test_there_is_one_trace_however_the_run_goes(tmp_path, said, profiler, firsts, calls, sentence):
    assert calls_of(tmp_path, firsts) == len(firsts)
    assert profiler == calls
    assert len(said) == 1
    assert sentence in said[0]


def test_a_run_goes_on_where_the_profiler_fails(tmp_path, said, profiler, monkeypatch):
    def busy(folder):
        raise RuntimeError("Only one profile may be run at a time.")

    monkeypatch.setattr(trace, "start", busy)
    assert calls_of(tmp_path, [0, 8, 16]) == 3
    assert not profiler
    assert said == ["config.profile.steps: there is no trace (Only one profile may be run at a time.); the run goes on"]


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "plugins").symlink_to(tmp_path)
    with pytest.raises(WorkdirError, match="plugins is a link"):
        calls_of(tmp_path, [8])
