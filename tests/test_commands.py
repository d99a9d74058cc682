"""Every command of README, CONTRIBUTING.md and docs/: its own parser takes it, its config loads, its files exist.

A command runs here up to the point where its work would begin: `main` of the package with the engine replaced, `main`
of an experiment up to the end of its parser. So no second list of flags or keys can disagree with the program.
"""

import argparse
import functools
import importlib
import re
import sys
import tomllib
from pathlib import Path

import documents
import lab_ablation_results
import pytest
from documents import ROOT
from lab_result_sections import SECTIONS

from ternary_jax.config import ConfigError, load_config
from ternary_jax.config.keys import flat

# Where the commands of the package have read their arguments, and begin to work.
WORK = (
    "ternary_jax.engine.host.run",
    "ternary_jax.engine.dry_run.measure",
    "ternary_jax.engine.profile.measure.measure",
    "ternary_jax.lattice.text.corpora.instructions",
    "ternary_jax.lattice.text.__main__.prepared",
    "ternary_jax.sweep.train",
    "ternary_jax.vae.baselines.report",
    "ternary_jax.workdir.open",
    "ternary_jax.workdir_arguments.load_model",
)
STANDS_FOR = {"--config=FILE": "--config=v5_12", "PART": "tune", "--set=train.learning_rate=RATE": "--set=seed=1"}
OF_EACH_TASK = ("v5_12", "energy_flow", "cube", "energy_flow_text", "cube_text", "grok_addition", "closed_form")
ROWS = ("ROW", "ROW...")  # stand for names that the table of the page lists


class Reached(Exception):
    """The work of a command begins. args: the parsed arguments of an experiment."""


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    """Commands end where their work would begin, in a folder that has the configs of the checkout."""

    def stop(*args, **kwargs):
        raise Reached(*args)

    for name in WORK:
        monkeypatch.setattr(name, stop)
    monkeypatch.setattr("lab.assemble", stop)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def complaint(words, patch, capsys):
    """What is wrong with a command, in a sentence; "" if nothing is."""
    words = [STANDS_FOR.get(word, word) for word in words if word not in ROWS]
    try:
        _up_to_its_work(words, patch)
    except (Reached, ConfigError, ImportError, AssertionError) as e:
        return "" if isinstance(e, Reached) else f"{type(e).__name__}: {e}"
    except SystemExit as e:
        err = capsys.readouterr().err
        return err if e.code else ""
    return ""


def _up_to_its_work(words, patch):
    program, *rest = words
    if program in documents.FOREIGN or words[:3] == ["python3", "-m", "venv"]:
        return
    if program == "pip":
        assert not rest or rest[0] == "install", "pip: not `pip install`"
        _installs(rest[1:])
    elif program == "pytest" or words[:3] == ["python", "-m", "pytest"]:
        _tests(rest[2:] if program == "python" else rest)
    elif words[:2] == ["python", "-m"]:
        _of_the_package(rest[1], rest[2:])
    elif program == "python":
        _of_a_file(rest[0], rest[1:], patch)
    elif program == "ternary-jax":
        _of_the_package("ternary_jax.main", rest)
    else:
        verbs = {"ruff": ("check", "format"), "mkdocs": ("build", "serve"), "pyright": ()}.get(program)
        assert verbs is not None or (ROOT / program).is_file(), f"{program} is no program"
        assert not verbs or rest[0] in verbs, f"{program}: none of {', '.join(verbs)}"


def _of_the_package(name, args):
    """`python -m ternary_jax.NAME`. Without arguments the page names the command, and does not call it."""
    assert name.startswith("ternary_jax."), f"{name} is not of this package"
    module = importlib.import_module(name if not name.endswith(".text") else f"{name}.__main__")
    if args:
        module.main(args)


def _of_a_file(path, args, patch):
    """`python experiments/NAME.py`, `python tests/mutations.py`, or the script of a golden file, which needs torch."""
    file = ROOT / path
    assert file.exists(), f"{path} does not exist"
    if file.is_dir() or file.parent.name == "golden":
        assert not args, f"{path} takes no arguments"
        return
    parse, main = argparse.ArgumentParser.parse_args, importlib.import_module(file.stem).main

    def parsed(self, *given):
        raise Reached(parse(self, *given))

    with patch.context() as inner:
        inner.setattr(argparse.ArgumentParser, "parse_args", parsed)
        inner.setattr(sys, "argv", [str(file), *args])
        try:
            main(*[args] * main.__code__.co_argcount)
        except Reached as e:
            given = e.args[0]
            if isinstance(given, argparse.Namespace):
                _check_values(given)
            raise


def _check_values(given):
    """The config of an experiment, and the keys of --set, which it reads only after it has begun."""
    if getattr(given, "config", None):
        load_config(str(ROOT / given.config) if "/" in given.config else given.config)
    for one in getattr(given, "set", ()):
        key = one.partition("=")[0]
        assert any(key in keys for keys in keys_of_configs().values()), f"--set={one}: no config has this key"


def _installs(args):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for before, arg in zip(["", *args], args, strict=False):
        found = re.fullmatch(r"(?:\.|ternary_jax)\[(.*)\]", arg)
        for extra in found[1].split(",") if found else ():
            assert extra in extras, f"pyproject.toml has no extra {extra}"
        assert before != "-r" or (ROOT / arg).is_file(), f"{arg} does not exist"


def _tests(args):
    """The files of a call of pytest exist, and -k finds a test in them."""
    files = [arg for arg in args if arg.startswith("tests/")]
    for file in files:
        assert (ROOT / file).is_file(), f"{file} does not exist"
    names = " ".join(re.findall(r"def (test_\w+)", " ".join((ROOT / file).read_text() for file in files)))
    for word in re.findall(r"\w+", args[args.index("-k") + 1]) if "-k" in args else ():
        assert word in ("or", "and", "not") or word in names, f"-k {word} finds no test in {files}"


@functools.cache
def keys_of_configs():
    """{config: its keys}, of a config for each task."""
    return {name: set(flat(load_config(name))) for name in OF_EACH_TASK}


@pytest.mark.parametrize("page", documents.PAGES, ids=lambda page: page.name)
def test_commands_are_known_to_their_parsers(page, stopped, capsys):
    found = {" ".join(words): complaint(words, stopped, capsys) for words in documents.commands(page)}
    assert {command: wrong for command, wrong in found.items() if wrong} == {}


COMPILED = "tests/engine/test_dry_run.py::test_the_compiled_program_has_its_memory_and_flops"
# Where a command of the pages has run: a file of results, perhaps with the row in it; a test that runs it, on small
# settings where it takes more than half a minute; or, where neither is there, the page of limits, which says so.
SHOWN_BY = {
    "main v5_12": "results/seeds_v5_12.json",
    "main v5_12 --sweep": "tests/test_main.py::test_a_sweep_gets_the_runs_of_the_file_and_a_folder",
    "main v5_12 --config.profile": "tests/engine/test_profile_window.py",
    "main v5_10 --config.control": "results/compare_statenet.json",
    "main v5_10 --config.control --config.train": "results/compare_statenet.json",
    "main v5_10 --config.control --config.statenet": "tests/vae/controllers/test_statenet.py",
    "main v5_10:statenet": "results/compare_statenet.json",
    "main closed_form": "tests/test_main.py::test_the_closed_forms_are_scored_beside_their_references",
    "main energy_flow": "results/energy_flow.json: permutation",
    "main energy_flow:mirror": "results/energy_flow.json: mirror",
    "main energy_flow:mirror --config.barrier --config.start": "results/energy_flow_probes.json: barrier",
    "main energy_flow:experiment --dry-run": "tests/test_page_blocks.py::test_dry_runs_print_the_size_of_a_training",
    "main energy_flow_text": "results/text_chatterbot.json: flows",
    "main energy_flow_text:wiki": "results/text_wiki.json: flows",
    "main energy_flow_text:wiki --config.data": "tests/lattice/text/test_text_prepare.py",
    "main cube": "results/cube.json: permutation_own",
    "main cube:dense": "results/cube.json: dense_own",
    "main cube:recall": "results/cube.json: recall_own",
    "main cube:parity_in_time": "results/cube.json: parity_in_time_own",
    "main cube:erase": "results/cube.json: erase_own",
    "main cube:document": "docs/limits.md: cube:document",
    "main cube:document --dry-run": COMPILED,
    "main cube_full": "docs/limits.md: cube_full",
    "main cube_full --dry-run": COMPILED,
    "main cube_full --config.train --dry-run": COMPILED,
    "main cube_text": "tests/lattice/test_text_task.py::test_a_short_training_finds_what_it_was_never_shown",
    "main cube_text:wiki": "results/text_wiki.json: cube",
    "main cube_text:boolq": "results/text_boolq.json: cube",
    "main cube_text:synthetic_linear": "results/text_synthetic_linear.json: cube",
    "sweep smoke": "tests/sweeps/test_sweep_running.py",
    "profile v5_12": "tests/engine/test_profile_command.py",
    "profile energy_flow": "tests/engine/test_profile_command.py",
    "analyze": "tests/analysis/test_analyze.py",
    "query": "tests/inference/test_query_command.py",
    "export": "tests/inference/test_export_command.py",
    "report": "tests/analysis/test_report.py",
    "lattice.text": "tests/lattice/text/test_text_prepare.py",
}
# Experiments whose results are no section of docs/results.md.
OF_EXPERIMENTS = {
    "lab": "tests/test_readme.py::test_generated_pages_are_up_to_date",
    "plot_schedules": "tests/experiments/test_plot_schedules.py",
    "kill_sweep": "tests/experiments/test_kill_sweep.py",
    "statenet_worlds": "tests/experiments/test_lab_worlds.py",
    **{name: f"results/{name}.json" for name in lab_ablation_results.FILES},
    "ablations": f"results/{min(lab_ablation_results.FILES)}.json",
}


def names_of(words):
    """The name of a command in SHOWN_BY: its module, its config, groups of its keys, and flags that change its work."""
    found = [f"{STANDS_FOR.get(word, word)}" for word in words]
    configs = [word.removeprefix("--config=") for word in found if word.startswith("--config=")]
    name = [words[2].removeprefix("ternary_jax."), *(re.sub(r"^configs/|\.py(?=:|$)", "", one) for one in configs)]
    name += dict.fromkeys(re.findall(r"--config\.\w+", " ".join(words)))
    return " ".join([*name, *re.findall(r"--sweep|--dry-run", " ".join(words))])


def shown_by(words):
    """Where a command has run; "" for one that measures nothing, such as `pip install`."""
    if words[:2] == ["python", "-m"] and words[2].startswith("ternary_jax.") and words[3:]:
        return SHOWN_BY.get(names_of(words), f"SHOWN_BY has no {names_of(words)}: add where it has run")
    if words[0] == "python" and words[1].startswith("experiments/") and words[1].endswith(".py"):
        stem = Path(words[1]).stem
        files = [name for name, section in SECTIONS.items() if section.command.startswith(f"{stem}.py")]
        return f"results/{files[0]}.json" if files else OF_EXPERIMENTS.get(stem, f"OF_EXPERIMENTS has no {stem}")
    return ""


def missing(place):
    """The place, where it is not there; a result that is missing may be on the page of limits, by its name."""
    path, _, what = place.partition(":")
    file, what = ROOT / path, what.removeprefix(":").strip()
    if not file.is_file():
        return "" if f"`{file.stem}`" in (ROOT / "docs" / "limits.md").read_text() else place
    return "" if not what or what in file.read_text() else place


def test_the_page_of_limits_lists_no_ablation_that_was_measured():
    text = (ROOT / "docs" / "limits.md").read_text()
    listed = {name for name in lab_ablation_results.FILES if f"`{name}`" in text}
    assert not {name for name in listed if (ROOT / "results" / f"{name}.json").is_file()}


@pytest.mark.parametrize("page", documents.PAGES, ids=lambda page: page.name)
def test_commands_have_run(page):
    found = {" ".join(words): missing(place) for words in documents.commands(page) if (place := shown_by(words))}
    assert {command: place for command, place in found.items() if place} == {}
