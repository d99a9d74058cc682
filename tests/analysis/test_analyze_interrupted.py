"""python -m ternary_jax.analyze where Ctrl-C ends it, where stdout takes no more, and its environment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_analyze import answer, workdir

from ternary_jax import analyze, command_line
from ternary_jax.analysis import figures

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")


def start(*args, cwd, **environment):
    """The command as a process. PYTHONPATH: a module in `cwd` hides that of the environment."""
    path = os.pathsep.join([str(cwd), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "ternary_jax.analyze", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def test_ctrl_c_within_an_import_is_one_sentence_and_status_130(tmp_path):
    folder = workdir(tmp_path / "run", "steady", runs=1)
    before = sorted(folder.iterdir())
    (tmp_path / "numpy.py").write_text("print('here', flush=True)\nimport time\ntime.sleep(60)")
    with start(folder, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted; nothing was written\n")
    assert sorted(folder.iterdir()) == before


def test_ctrl_c_says_which_files_are_written(tmp_path, monkeypatch):
    def draw(*_):
        yield tmp_path / "analysis_000.png"
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "draw", draw)
    written = []
    with pytest.raises(KeyboardInterrupt):
        analyze.main([str(workdir(tmp_path / "run", "steady", runs=1))], written)
    assert analyze.interrupted(written) == "interrupted; analysis.json, analysis_000.png were written"
    assert analyze.interrupted(written[:1]) == "interrupted; analysis.json was written"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_device_is_one_sentence_and_status_1(tmp_path, capsys, monkeypatch):
    folder = workdir(tmp_path / "run", "steady", runs=1)
    said = "stdout cannot be written (No space left on device): send it to where there is space"
    for ask in (
        lambda: command_line.show("a table"),
        lambda: analyze.main(["--help"]),
        lambda: analyze.main([str(folder), "--no-figures"]),
    ):
        with FULL.open("w") as full, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            with pytest.raises(SystemExit) as end:
                ask()
        assert end.value.code == 1
        err = capsys.readouterr().err
        assert err.startswith(said)
        assert err.count("\n") == 1


def test_the_help_can_be_cut_by_a_pipe(capsys, monkeypatch):
    assert "--no-figures" in answer(capsys, "--help")[1]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        with pytest.raises(SystemExit) as end:
            analyze.main(["--help"])
    assert end.value.code == 141


def test_the_command_needs_neither_a_gpu_nor_a_screen(monkeypatch):
    given = {"JAX_PLATFORMS": "cuda", "MPLBACKEND": "nosuch"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["analyze", "runs/first"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    calls = []
    monkeypatch.setattr(
        analyze, "main", lambda argv, _: calls.append((argv, {name: os.environ[name] for name in given}))
    )
    analyze.command()
    assert calls == [(["runs/first"], {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"})]
