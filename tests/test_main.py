"""The command line: arguments, exit status, and the messages on stdout and stderr."""

import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from ternary_jax import main, sweep
from ternary_jax.analysis import summary_table
from ternary_jax.analysis.page import after_run
from ternary_jax.config import ConfigError
from ternary_jax.engine import host
from ternary_jax.errors import RunError

ROOT = Path(__file__).parents[1]
CONFIG = "--config=configs/closed_form.py"


def run(*args):
    command = [sys.executable, "-m", "ternary_jax.main", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.slow
def test_the_closed_forms_are_scored_beside_their_references():
    done = run(CONFIG)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["metric", "tree", "rich", "chance", "untrained", "best"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if line and ":" not in line}
    assert rows["coverage"][:2] == ["1.00000", "1.00000"]
    assert rows["hierarchy"] == ["-0.83205", "-0.83205", "0", "0.35", "-0.83205"]
    assert [line.partition(":")[0] for line in lines[-2:]] == ["tree", "rich"]
    assert all("no collapse" in line for line in lines[-2:])
    assert done.stderr == ""


def answer(capsys, *args):
    """Status, stdout and stderr of main in this process: a process of its own would import jax each time."""
    try:
        main.main(args)
        status = 0
    except SystemExit as e:
        status = e.code
    return status, *capsys.readouterr()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["no --config; type: python -m ternary_jax.main --config=v5_12"]),
        (["--config.c=2"], ["no --config"]),
        (["--config"], ["--config has no value: type --config=FILE"]),
        (["--config="], ["--config has no value: type --config=FILE"]),
        (["--config", "--sweep"], ["--config has no value: type --config=FILE"]),
        (["--config=nowhere.py"], ["--config=nowhere.py", "no such file", "configs/"]),
        ([CONFIG + ":variant"], ["variant", "has no variant"]),
        ([CONFIG, "--config.tree.scal=0.3"], ["config.tree.scal=0.3", "no such key; the nearest is tree.scale"]),
        ([CONFIG, "--config.tree=0.3"], ["config.tree=0.3", "tree.scale, tree.ratio"]),
        ([CONFIG, "--config.dim=1.5"], ["config.dim=1.5", "give an int from 2 to 1024"]),
        ([CONFIG, "--config.rich.scale=wide"], ["config.rich.scale=wide", "give a number, 0 or more, 0 excluded"]),
        ([CONFIG, "--config.dim"], ["--config.dim has no value: type --config.dim=VALUE"]),
        ([CONFIG, "--config.dim", "-config.c=2"], ["--config.dim has no value: type --config.dim=VALUE"]),
        ([CONFIG, "--config.dim", ""], ["--config.dim has no value: type --config.dim=VALUE"]),
        ([CONFIG, "--config.c", "-1"], ["config.c=-1", "from 1e-06 to 1000000.0"]),
        ([CONFIG, "--config.dim=8", "8"], ["'8' is no flag"]),
        ([CONFIG, "--sweep", "8"], ["'8' is no flag"]),
        (["--config=closed_forms"], ["--config=closed_forms", "packaged config of this name; there are closed_form, "]),
        ([CONFIG, "--config.task=fly"], ["config.task=fly", "the name of a task module", "there is no module fly in "]),
        ([CONFIG, "--config.c=-1"], ["config.c=-1", "from 1e-06 to 1000000.0"]),
        ([CONFIG, "--config.tree.scale=2"], ["config.tree.scale=2.0", "give less than 0.9068"]),
        ([CONFIG, "--speed=1"], ["'--speed=1' is no flag", "--config.KEY=VALUE"]),
        ([CONFIG, "--sweep=1"], ["'--sweep=1' is no flag; what can be given", "--sweep"]),
        (["--config=smoke", "--config.radii.inner=0.95"], ["=0.95 has to be less", "at most 1, the edge of the ball"]),
        ([CONFIG, "--train.epochs=5"], ["is no flag; to set that key, type --config.train.epochs=VALUE; what can be "]),
        (
            ["\N{EM DASH}config=smoke"],
            ["is no flag, as its character 1, '\N{EM DASH}', is EM DASH (U+2014); what can be"],
        ),
        ([CONFIG, "--epochs=5"], ["'--epochs=5' is no flag; to set that key, type --config.train.epochs=VALUE; what "]),
        ([CONFIG, "--sweep"], ["configs/closed_form.py has no sweep(add): define it, "]),
        ([CONFIG, "--workdir"], ["--workdir has no value: type --workdir=DIR"]),
        ([CONFIG, "--workdir=here"], ["--workdir=here", "leave --workdir out"]),
        (["--config", "closed_form", "--workdir", "here"], ["--workdir=here", "leave --workdir out"]),
        ([CONFIG, "now"], ["'now'", "--config.KEY=VALUE"]),
        ([CONFIG, "--keys=scal_"], ["--keys=scal_ matches none of the 12 keys", "give a part of a name"]),
        ([CONFIG, "--keys="], ["--keys has no value: type --keys=PATTERN"]),
        ([CONFIG, "--dry-run"], ["--dry-run: ternary_jax.vae.baselines trains nothing; leave --dry-run out"]),
        ([CONFIG, "--dry-run=fast"], ["--dry-run=fast is not allowed: type --dry-run, or --dry-run=compile"]),
        ([CONFIG, "--keys", "--dry-run"], ["--keys and --dry-run are both given", "leave one of them out"]),
        (["--config=README.md"], ["--config=README.md is no Python file (line ", "such as configs/smoke.py"]),
        (["--config=configs"], ["--config=configs is a folder, and a config is a Python file with get_config()"]),
        (["--config=configs/defaults.py"], ["configs/defaults.py has no config.task"]),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(capsys, monkeypatch, args, words):
    monkeypatch.chdir(ROOT)
    status, out, err = answer(capsys, *args)
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err, err


def test_a_mistake_in_a_process_of_its_own_is_one_sentence_and_status_2():
    done = run(CONFIG, "--config.dim=1.5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "config.dim=1.5 is not allowed: give an int from 2 to 1024\n"
    assert run().stderr == "no --config; type: python -m ternary_jax.main --config=v5_12\n"


def test_a_deleted_current_folder_is_one_sentence_and_status_2(capsys, monkeypatch, tmp_path):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit) as caught:
        main.command()
    assert (caught.value.code, *capsys.readouterr()) == (
        2,
        "",
        "the current folder has been deleted: change to one that exists, with cd\n",
    )


def test_an_override_reaches_the_task(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status, out, err = answer(capsys, CONFIG, "--config.n_digits=2", "-config.dim=4")
    assert (status, err) == (0, "")
    assert "0.11111" in out  # chance is 3^-2
    assert answer(capsys, *CONFIG.split("="), "--config.n_digits", "2", "-config.dim", "4") == (0, out, "")
    assert answer(capsys, CONFIG, "--config.n_digits = 2", "--config.dim =4 ") == (0, out, "")


def test_help_says_what_to_type_and_does_not_wait_for_jax():
    done = run("--help")
    assert done.returncode == 0
    assert "python -m ternary_jax.main --config=configs/v5_12.py" in done.stdout
    assert "--config.KEY=VALUE" in done.stdout
    assert "--config=FILE or --config FILE" in done.stdout
    assert "ternary-jax --config v5_12" in done.stdout
    assert {"--keys[=PATTERN]", "--dry-run", "--dry-run=compile"} <= set(done.stdout.split())
    code = "import sys, ternary_jax.main, ternary_jax.config; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_keys_are_listed(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status, out, err = answer(capsys, CONFIG, "--keys=tree.*", "--config.tree.scale=0.5")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "tree.scale = 0.5 (default 0.55): a number, 0 or more, 0 excluded",
        "    sqrt(c) times the length of digit 0; the tree stays inside radius 0.61",
        "tree.ratio = 0.42: a number from 0 to 1, 0 and 1 excluded",
        "    length of a digit over that of the one before it: below 1/2 subtrees stay",
        "    apart",
    ]
    assert answer(capsys, *CONFIG.split("="), "--keys", "tree.*", "--config.tree.scale", "0.5") == (0, out, "")
    _, every, _ = answer(capsys, CONFIG, "--keys")
    assert len(re.findall(r"^\S+ = ", str(every), re.MULTILINE)) == 12


def test_a_list_of_keys_can_be_cut_by_a_pipe():
    command = f"{sys.executable} -m ternary_jax.main {CONFIG} --keys | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_closed_stdout_is_one_sentence_and_status_1(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after >&-
    with pytest.raises(SystemExit) as ended:
        main.main([CONFIG, "--keys"])
    assert (ended.value.code, capsys.readouterr().err) == (
        1,
        "stdout cannot be written (it is closed): send it to a terminal or a file; what this command has written into "
        "a workdir is complete\n",
    )


AS_INSTALLED = "import sys; from ternary_jax.main import command; sys.argv[0] = 'bin/ternary-jax'; command()"


@pytest.mark.parametrize("start", [["-m", "ternary_jax.main"], ["-c", AS_INSTALLED]])
def test_a_signal_before_anything_began_is_one_sentence_and_status_130(tmp_path, start):
    for number in (signal.SIGINT, signal.SIGTERM):
        path = tmp_path / "slow.py"
        path.write_text("print('here', flush=True)\nimport time\ntime.sleep(60)")
        command = [sys.executable, *start, f"--config={path}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == f"{number.name}: nothing is under way, so there is nothing to save\n"


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """A fake engine that records its arguments or raises `error`, and a config of a task for it."""
    task = types.ModuleType("a_training")
    vars(task).update(KEYS={})
    calls = types.SimpleNamespace(given=[], error=None)

    def a_run(config, workdir, again, started, exit_at_once):
        assert 0 < time.time() - started < 10**5  # since the process began
        assert exit_at_once
        calls.given.append((config, workdir, again))
        if calls.error:
            raise calls.error
        return {"finished": "unfinished" not in workdir}

    monkeypatch.setattr(host, "run", a_run)
    monkeypatch.setattr(summary_table, "text", lambda summary: "the table of the summary")
    monkeypatch.setitem(sys.modules, task.__name__, task)
    path = tmp_path / "mine.py"
    path.write_text(f"""
from ternary_jax.config import read
def get_config():
    config = read({str(ROOT / "configs" / "defaults.py")!r})
    config.task = "a_training"
    config.report.on = "never"
    return config
""")
    calls.config = f"--config={path}"
    return calls


def test_a_training_gets_its_config_and_a_workdir(engine, capsys, monkeypatch):
    assert answer(capsys, engine.config, "--config.train.epochs=3") == (
        0,
        "the table of the summary\n\n"
        f"in {(workdir := engine.given[-1][1])}\n"
        f'in Python: ternary_jax.workdir.open("{workdir}")\n'
        f"next: python -m ternary_jax.analyze {workdir}\n",
        "",
    )
    ((one, default, again),) = engine.given
    assert answer(capsys, *engine.config.split("="), "--workdir", "there")[0] == 0
    assert engine.given[-1][2] == f"python -m ternary_jax.main {engine.config} --workdir=there"
    last = str(answer(capsys, engine.config, "--workdir=unfinished")[1]).splitlines()[-1]
    assert last == f"to go on: python -m ternary_jax.main {engine.config} --workdir=unfinished"
    assert last.endswith(engine.given.pop()[2])
    monkeypatch.setattr(sys, "argv", ["bin/ternary-jax"])
    assert answer(capsys, engine.config, "--workdir=there")[0] == 0
    assert engine.given[-1][1:] == ("there", f"ternary-jax {engine.config} --workdir=there")
    assert (one.train.epochs, one.runs) == (3, 1)
    assert re.fullmatch(r"runs/mine/\d{8}-\d{6}", default)
    command = f"python -m ternary_jax.main {engine.config}"
    assert again == f"{command} --config.train.epochs=3 --workdir={default}"


def test_a_sweep_gets_the_runs_of_the_file_and_a_folder(capsys, monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(sweep, "train", lambda *args: given.append(args))
    path = tmp_path / "mine.py"
    toy_config = ROOT / "tests" / "toy_config.py"
    path.write_text(
        f"get_config = __import__('runpy').run_path({str(toy_config)!r})['get_config']\n"
        "def sweep(add):\n    for size in (16, 32): add({'train.batch_size': size, 'seed': 4})"
    )
    assert answer(capsys, f"--config={path}", "--sweep", "--config.train.epochs=8", "--workdir=there") == (0, "", "")
    ((plan, workdir, again, at_once, yes, dry_run),) = given
    command = f"python -m ternary_jax.main --config={path} --sweep --config.train.epochs=8 --workdir=there"
    assert (workdir, again, at_once, yes, dry_run) == ("there", command, None, False, None)
    assert [(group.static, group.config.train.epochs) for group in plan.groups] == [
        ({"train.batch_size": 16}, 8),
        ({"train.batch_size": 32}, 8),
    ]
    assert [run.seed for run in plan.runs] == [4, 4]


def test_a_training_that_has_ended_has_a_report_unless_the_config_says_never(engine, capsys, monkeypatch):
    written = []
    monkeypatch.setattr(after_run, "write", lambda *given: written.append(given) or "there/report.html")
    last = ["next: open there/report.html in a browser", "to go on: ", "next: python -m ternary_jax.analyze there"]
    for workdir, on in (("there", "always"), ("unfinished", "always"), ("there", "never")):
        status, out, _ = answer(capsys, engine.config, f"--workdir={workdir}", f"--config.report.on={on}")
        assert status == 0
        assert str(out).splitlines()[-1].startswith(last.pop(0))
    assert written == [("there", "always", "a_training")]


def test_runs_by_the_number_of_values_are_said(engine, capsys):
    said = "2 runs, one per value of train.learning_rate (0.001, 0.002)\n"
    assert answer(capsys, engine.config, "--config.train.learning_rate=1e-3,2e-3")[2] == said
    assert engine.given[-1][0].runs == 2
    assert answer(capsys, engine.config, "--config.seed=4,2")[2] == "2 runs, one per value of seed (4, 2)\n"
    assert answer(capsys, engine.config, "--config.runs=2")[2] == ""


def test_a_path_with_a_space_is_one_path(engine, capsys, tmp_path):
    spaced = tmp_path / "my configs" / "one file.py"
    spaced.parent.mkdir()
    spaced.write_text((tmp_path / "mine.py").read_text())
    for args in ([f"--config={spaced}"], ["--config", str(spaced)]):
        assert answer(capsys, *args)[0] == 0
        assert f"'--config={spaced}'" in engine.given[-1][2]  # quoted in the command that goes on


def test_a_dry_run_trains_nothing_and_writes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    toy_config = f"--config={ROOT / 'tests' / 'toy_config.py'}"
    status, out, err = answer(capsys, toy_config, "--dry-run", "--config.seed=3,4", "--workdir=there")
    assert (status, err) == (0, "2 runs, one per value of seed (3, 4)\n")
    assert "values differ from their defaults\n  seed = 3,4 (default 0)\n  runs = 2 (default 1)\n" in out
    assert re.search("\na line\nruns +2\n", out)
    assert not list(tmp_path.iterdir())


def test_a_task_that_gives_what_it_does_not_declare_is_one_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "wrong_line.py").write_text(
        "import toy\nKEYS = toy.KEYS\ndef make_task(static): return toy.make_task(static)._replace(signals=('fits',))"
    )
    typed = [f"--config={ROOT / 'tests' / 'toy_config.py'}", "--config.task=wrong_line", "--workdir=there"]
    for more in ([], ["--dry-run"]):
        status, out, err = answer(capsys, *typed, *more)
        assert (status, out) == (2, "")
        said = "Task.signals of a line lists fits, which no step of it gives: the nearest is fit; there are loss, fit, "
        assert said in err.splitlines()[-1]


def test_a_training_that_fails_is_status_1_and_one_that_is_refused_2(engine, capsys):
    engine.error = RunError("the loss is NaN")
    assert answer(capsys, engine.config) == (1, "", "the loss is NaN\n")
    engine.error = ConfigError("stop.watch is no metric")
    assert answer(capsys, engine.config) == (2, "", "stop.watch is no metric\n")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def get_config(:", ["SyntaxError"]),
        ("x = 1", ["get_config"]),
        ("def get_config():\n    raise RuntimeError('no luck')", ["RuntimeError: no luck"]),
        (
            "from ml_collections import ConfigDict\n"
            "def get_config(): return ConfigDict(dict(task='ternary_jax.vae.baselines'))",
            ["has no config.n_digits: set it to an int from 2 to 12"],
        ),
    ],
)
def test_a_config_file_that_is_no_config_is_one_sentence_too(capsys, tmp_path, source, words):
    (tmp_path / "broken.py").write_text(source)
    status, out, err = answer(capsys, f"--config={tmp_path / 'broken.py'}")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err
