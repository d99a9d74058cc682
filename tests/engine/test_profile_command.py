"""`python -m ternary_jax.profile`: its tables, its JSON and its errors."""

import json
import os
from pathlib import Path

import pytest
from jax._src import profiler as jax_profiler

from ternary_jax import profile
from ternary_jax.engine import performance
from ternary_jax.engine.profile import rates, text, trace
from ternary_jax.engine.profile.hlo import Product
from ternary_jax.errors import RunError

CONFIG = str(Path(__file__).parents[1] / "toy_config.py")
STAGES = ["device", "assembly", "init", "trace", "lower", "compile", "first chunk"]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    """(tables, figures, folder of the trace, calls in order) of the toy task, with short rounds of the rates."""
    folder, shown, calls = tmp_path_factory.mktemp("profile"), [], []
    peak, start = performance.host_peak, trace.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "ROUND_S", 1e-3)
        patch.setattr(rates, "COPY_BYTES", {"cpu": 2**16})
        patch.setattr(text, "LEAST", 0.0)  # an evaluation of the toy may take less than a thousandth
        patch.setattr(profile.command_line, "show", shown.append)
        patch.setattr(performance, "host_peak", lambda: calls.append("peak") or peak())
        patch.setattr(trace, "start", lambda folder: calls.append("trace") or start(folder))
        profile.main([f"--config={CONFIG}", f"--trace={folder}", f"--json={folder}/found.json", "--config.runs=2"])
    return shown[0], json.loads((folder / "found.json").read_text()), folder, calls


def test_the_tables_have_every_scope_and_stage_in_80_columns(profiled):
    tables, found, _, _ = profiled
    lines = tables.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split("  ")[0] for line in lines]
    assert {"loss", "d loss", "optimizer", "sample", "evaluate", "all operations"} <= {*names}
    assert [*found["stages"]][2:] == STAGES
    assert {*found["stages"]} - {"first chunk"} <= {*names}
    assert f"first chunk, {found['steps']} steps" in names


def test_the_figures_are_those_of_the_config(profiled):
    tables, found, folder, calls = profiled
    assert (found["runs"], found["batch"], found["steps"], found["evaluation_every"]) == (2, 16, 4, 8)
    assert found["overrides"] == ["--config.runs=2"]
    scopes = {one["name"]: one for one in found["scopes"]}
    assert sum(one["ms"] for one in scopes.values()) > 0
    assert scopes["evaluate"]["calls"] <= scopes["optimizer"]["calls"]
    assert scopes["loss"]["flops"] >= 2 * 16 * 2  # of two runs, at least two FLOPs a sample
    assert found["host_peak"] > found["program"]["memory"]["argument"] > 0
    assert found["device_peak"] is None
    assert calls == ["peak", "trace"]  # a trace takes memory that a training does not
    assert "with the share of an evaluation every 8 steps.\nCostly metrics, measured less often, are not in" in tables
    line = next(line for line in tables.splitlines() if line.startswith("evaluate "))
    assert float(line.split()[3]) == pytest.approx(scopes["evaluate"]["calls"], abs=0.05)
    assert [*folder.glob("plugins/profile/*/*.xplane.pb")]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--config=closed_form"], "--config=closed_form trains nothing: name a config that trains"),
        (
            ["--config=v5_12", "--workdir=x"],
            "'--workdir=x' is no flag; what can be given is --config=FILE, --config.KEY",
        ),
        (["--config=v5_12", "--dept=1"], "'--dept=1' is no flag; the nearest is --depth; what can be given is"),
        (["--config=v5_12", "--batch-size=9"], "no flag; to set that key, type --config.train.batch_size=VALUE; what"),
        (["--config=v5_12", "--depth=0"], "--depth=0 is not allowed: give an int from 1 to 99"),
        (["--config=v5_12", "--depth", "two"], "--depth=two is not allowed: give an int from 1 to 99"),
        (["--config=v5_12", "--trace"], "--trace has no value: type --trace=DIR"),
        (["--config=v5_12", "--json=/no/where"], "--json=/no/where: its folder does not exist"),
        (["--config=v5_12", f"--json={Path(__file__).parent}"], "is a folder: name a file in it"),
        (
            ["--config=v5_12", f"--trace={__file__}"],
            f"--trace={__file__}: File exists: mend that, or name another folder",
        ),
        (["--config=v5_12", "--config.train.chnk=1"], "train.chnk"),
        ([], "no --config; type: python -m ternary_jax.profile --config=v5_12"),
    ],
)
def test_a_mistake_is_one_sentence(argv, sentence, capsys):
    with pytest.raises(SystemExit) as found:
        profile.main(argv)
    output, error = capsys.readouterr()
    assert found.value.code in (1, 2)
    assert sentence in error
    assert error.count("\n") == 1
    assert not output


@pytest.mark.parametrize("flag", ["--json", "--trace"])
def test_what_may_not_be_written_is_refused_before_the_profile(flag, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(profile, "profiled", lambda *args: pytest.fail("it is profiled"))
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    path = tmp_path / "found.json" if flag == "--json" else tmp_path
    with pytest.raises(SystemExit) as found:
        profile.main([f"--config={CONFIG}", f"{flag}={path}"])
    assert (found.value.code, capsys.readouterr().err) == (
        1,
        f"{flag}={path}: {tmp_path} may not be written: change its permissions, or name another\n",
    )


def test_the_tables_are_printed_where_the_file_cannot_be_written_in_the_end(capsys, monkeypatch, tmp_path):
    (folder := tmp_path / "gone").mkdir()
    monkeypatch.setattr(profile, "profiled", lambda *args: (folder.rmdir(), ("the tables", {}))[1])
    with pytest.raises(SystemExit) as found:
        profile.main([f"--config={CONFIG}", f"--json={folder}/found.json"])
    sentence = f"--json={folder}/found.json: No such file or directory: mend that, or name another file\n"
    assert (found.value.code, *capsys.readouterr()) == (1, "the tables\n", sentence)


def test_a_trace_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "plugins").touch()
    with pytest.raises(RunError) as found, trace.recorded(tmp_path):
        pass
    jax_profiler._profile_state.reset()  # jax takes a trace that it could not write for one that goes on
    sentence = str(found.value)
    assert sentence.startswith(f"the trace cannot be recorded into {tmp_path} (FAILED_PRECONDITION: ")
    assert sentence.endswith("): mend that, or name another folder")
    assert "\n" not in sentence
    with pytest.raises(RunError) as found:
        trace.operation_times(tmp_path / "empty")
    assert str(found.value).startswith(f"{tmp_path / 'empty'} has no trace, although the profiler reported no error: ")


def test_help_is_the_text_of_the_command(capsys):
    with pytest.raises(SystemExit) as found:
        profile.main(["--config=v5_12", "--help"])
    assert (found.value.code, capsys.readouterr().out) == (0, f"{(profile.__doc__ or '').strip()}\n")


def test_the_rate_of_a_step_weighs_each_product_by_its_flops():
    big, small = Product(1, 8, 8, 8, "f32"), Product(1, 4, 4, 4, "f32")
    assert rates.together([rates.Rate(big, 0.6, 100.0, 40.0), rates.Rate(small, 0.2, 10.0, 50.0)]) == pytest.approx(80)
    assert rates.together([]) is None


def test_the_greatest_products_are_measured(monkeypatch):
    monkeypatch.setattr(rates, "ROUND_S", 1e-3)
    flops = {Product(1, 8, 8, n, "f32"): float(n) for n in range(1, 10)} | {Product(2, 4, 4, 4, "bf16"): 55.0}
    found = rates.matmul_rates(flops | {Product(1, 4, 4, 4, "s8"): 100.0})
    assert [one.share for one in found] == [0.275, 0.045, 0.04, 0.035, 0.03, 0.025]
    assert found[0].numpy is None
    assert all(one.jax > 0 for one in found)
    assert found[1].numpy
