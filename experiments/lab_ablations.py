"""Shared parts of the ablations: declaration, sweep, what the runs ended with, time of a step, figure, command line.

An ablation is a file ablate_NAME.py with ABLATION, and is a config too: its get_config() is the base, and its
sweep(add) adds the settings. So it is trained by `ternary_jax.sweep`, and the commands on sweeps work on it:

    python -m ternary_jax.sweep --config=experiments/ablate_losses.py --dry-run
    python -m ternary_jax.analyze runs/ablations/losses

Its runs stay in runs/ablations/NAME, those of --quick in runs/quick/ablations/NAME, and with --out=DIR in
DIR/ablations/NAME. The same command goes on there after a kill, and trains no run twice. Runs that were trained with
other code have to be deleted by hand.
"""

import argparse
import functools
import math
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax import sweep, terminal, workdir  # before jax: the package sets which messages XLA prints

# isort: split
import lab
import lab_ablation_results as results
import numpy as np

from ternary_jax.config import keys_of, load_config, read
from ternary_jax.config.keys import flat
from ternary_jax.errors import ConfigError, RunError, WorkdirError
from ternary_jax.tables import columns, counted, span
from ternary_jax.workdir.sweep import DIVERGED, NOT_BEGUN, UNFINISHED

QUICK = "3^7 operations, 4 seeds, fewer epochs, no time of a step"
QUICK_SEEDS = 4
# TensorBoard files repeat metrics.jsonl; a checkpoint is there to go on with a run, and takes 2 MB a seed.
ALWAYS = {"log.tensorboard": False, "checkpoint.latest": 1, "checkpoint.best": 0}
# Runs of one program: settings that differ in traced keys alone share it, and more at once are no faster on a CPU.
AT_ONCE = 32
ROUNDS = 8  # of timing, in turns
PANELS = 4  # of a figure, side by side
# Of v5_12 and of v5_10, as they are in the config files; a schedule of v5_10 is in shares of the run.
V5_12 = {"train.epochs": 96, "evaluate.cheap_every": 12, "evaluate.costly_every": 96, "checkpoint.every": 24}
V5_10 = {"train.epochs": 60, "evaluate.cheap_every": 10, "evaluate.costly_every": 60, "checkpoint.every": 20}
QUICK_V5_12 = {"data.n_digits": 7, "train.epochs": 36, "train.cycle_epochs": 4, "train.cycle_growth": 8}
QUICK_V5_12 |= {"evaluate.cheap_every": 6, "evaluate.costly_every": 36, "checkpoint.every": 36}
QUICK_V5_10 = {"data.n_digits": 7, "train.epochs": 20, "evaluate.costly_every": 20, "checkpoint.every": 20}
OF_B = ("coverage_B", "hierarchy_B", "richness_B", "triplet_accuracy_B", "ultrametric_correlation_B")


class Setting(NamedTuple):
    """A setting of an ablation.

    about: what it is, a sentence
    changes: values by key of the config, in place of those of the base
    against: the setting that it is compared with; "": the first one, the base
    """

    name: str
    about: str
    changes: Mapping[str, Any]
    against: str = ""


class Cost(NamedTuple):
    """Measured on two cores without other work: samples that are trained in a second; seconds to compile a program."""

    samples_per_s: float
    compile_s: float


# Medians of results/seeds_v5_12.json and seeds_v5_10.json; compiling is the time to the first step, less the imports.
COST_V5_12, COST_V5_10 = Cost(90_000, 8), Cost(50_000, 17)


class Ablation(NamedTuple):
    """The declaration of an ablation.

    name: ablate_NAME.py is its file
    config: a packaged config, the start of the base
    length: changes to that config in all runs; quick: those of --quick
    seeds: of each setting
    metrics: the columns of its table; with "step_ms", steps of all settings are timed
    settings: the first one is the base, without changes
    """

    name: str
    title: str
    question: str
    config: str
    length: Mapping[str, Any]
    quick: Mapping[str, Any]
    seeds: int
    metrics: tuple[str, ...]
    settings: tuple[Setting, ...]
    cost: Cost


# --- an ablation as a config ------------------------------------------------------------------------------------------


def base(ablation: Ablation) -> Any:
    """The config of the base, unlocked: what get_config() of its file returns."""
    config = read(ablation.config)
    for key, value in {**ALWAYS, **ablation.length}.items():
        *groups, last = key.split(".")
        setattr(functools.reduce(getattr, groups, config), last, value)
    return config


def settings(ablation: Ablation) -> list[dict[str, Any]]:
    """The settings for sweep(add), in order: each has all keys that one of them changes."""
    values = flat(base(ablation))
    keys = dict.fromkeys(key for one in ablation.settings for key in one.changes)
    return [{key: one.changes.get(key, values[key]) for key in keys} for one in ablation.settings]


def add_settings(ablation: Ablation, add: Callable[[dict[str, Any]], object]) -> None:
    """Add all settings to a sweep: what sweep(add) of its file does."""
    for setting in settings(ablation):
        add(setting)


def file_of(name: str) -> Path:
    """The file of an ablation."""
    return lab.ROOT / "experiments" / f"ablate_{name}.py"


def load(name: str) -> Ablation:
    """The declaration in the file of an ablation, read as a config is: no experiment imports another."""
    return runpy.run_path(str(file_of(name)))["ABLATION"]


def against(ablation: Ablation) -> dict[str, str]:
    """Setting -> the one that it is compared with; "" for the base."""
    first = ablation.settings[0].name
    return {one.name: "" if one.name == first else one.against or first for one in ablation.settings}


# --- training and measuring -------------------------------------------------------------------------------------------


def run(ablation: Ablation, given: argparse.Namespace) -> None:
    """Train what is not trained yet; print table and answer; write the result, the figure and the raw values."""
    changes = ablation.quick if given.quick else {}
    seeds = QUICK_SEEDS if given.quick else ablation.seeds
    trained = train(ablation, workdir_of(ablation, given), changes, seeds)
    values, more = measured(ablation, trained), {}
    if "step_ms" in ablation.metrics and not given.quick:
        more = timed(ablation, changes)
    found = result(ablation, trained, {name: of | more.get(name, {}) for name, of in values.items()}, seeds)
    print(text(found), flush=True)
    name = f"ablate_{ablation.name}"
    terminal.say(f"wrote {lab.save(figure(found), name, given)}")
    lab.write(name, found, given, raw={"values": values, "step_ms": more})


def workdir_of(ablation: Ablation, given: argparse.Namespace) -> Path:
    """Where the runs of an ablation stay."""
    folder = lab.folder(given) if given.out or given.quick else lab.ROOT / "runs"
    return folder / "ablations" / ablation.name


def train(ablation: Ablation, folder: Path, changes: Mapping[str, Any], seeds: int) -> Any:
    """The sweep of an ablation, trained to its end in this folder. An interruption or a mistake ends the process."""
    terminal.say(f"{ablation.name}, in {folder}")
    try:
        found = sweep.run(file_of(ablation.name), seeds=seeds, workdir=folder, overrides=changes, at_once=AT_ONCE)
    except (ConfigError, RunError, WorkdirError) as e:
        raise SystemExit(f"{e}; runs of an earlier declaration of {ablation.name} can be deleted: {folder}") from e
    waiting = [row for row in found.table() if row.ending in (NOT_BEGUN, UNFINISHED, "interrupted")]
    if waiting:
        raise SystemExit(f"{len(waiting)} runs in {folder} have not ended: the same command goes on with them")
    return found


def measured(ablation: Ablation, found: workdir.Sweep) -> dict[str, dict[str, dict[int, float]]]:
    """The last finite values of the runs: setting -> metric -> seed -> value."""
    values: dict[str, dict[str, dict[int, float]]] = {}
    rows = found.table()
    for one, wanted in zip(ablation.settings, settings(ablation), strict=True):
        of_setting = [row for row in rows if row.settings == wanted]
        if not of_setting:  # a table with empty cells would hide it
            raise ValueError(f"{found.path} has no run of the setting {one.name!r}, which is {wanted}")
        each = {row.seed: row.metrics for row in of_setting}
        values[one.name] = {
            metric: {seed: x for seed, m in each.items() if (x := m.get(metric)) is not None and math.isfinite(x)}
            for metric in ablation.metrics
        }
    return values


def timed(ablation: Ablation, changes: Mapping[str, Any]) -> dict[str, dict[str, dict[int, float]]]:
    """Milliseconds of a training step of one run of each setting, in turns: setting -> "step_ms" -> turn -> value."""
    chunks, clocks = {}, {}
    for one in ablation.settings:
        terminal.say(f"compiling a step of {one.name}, to time it ...")
        chunks[one.name] = lab.Chunk(load_config(file_of(ablation.name), {**changes, **one.changes}))
        clocks[one.name] = chunks[one.name].timed()
    seconds = lab.in_turns(clocks, ROUNDS)
    return {
        name: {"step_ms": dict(enumerate((1e3 * of / chunks[name].length).tolist()))} for name, of in seconds.items()
    }


def result(ablation: Ablation, trained: workdir.Sweep, values: Any, seeds: int) -> dict[str, Any]:
    """The content of the result file: what was asked and trained, and the intervals of `results.compared`."""
    better = {name: one.better for _, run in trained.runs() for name, one in run.metrics.items()} | {"step_ms": -1}
    known = {name: better[name] for name in ablation.metrics if any(of.get(name) for of in values.values())}
    config, wanted = trained.content["groups"][0]["config"], settings(ablation)
    diverged = [sum(r.ending == DIVERGED and r.settings == one for r in trained.table()) for one in wanted]
    said = {
        one.name: {"about": one.about, "against": against(ablation)[one.name], "diverged": lost}
        for one, lost in zip(ablation.settings, diverged, strict=True)
    }
    return {
        "title": ablation.title,
        "question": ablation.question,
        "config": ablation.config,
        "n_digits": config["data.n_digits"],
        "epochs": config["train.epochs"],
        "seeds": seeds,
        "seconds": round(sum(run.summary.get("wall_s", 0) for run in {r.path: r for _, r in trained.runs()}.values())),
        "metrics": known,
        "settings": said,
        **results.compared(values, against(ablation), known),
    }


def text(found: Mapping[str, Any]) -> str:
    """Table and answer for the terminal."""
    return f"\n{found['title']}\n{found['question']}\n\n{columns(results.rows(found))}\n\n{results.answer(found)}\n"


# --- the estimate -----------------------------------------------------------------------------------------------------


def estimate(ablation: Ablation, quick: bool) -> tuple[str, float]:
    """(a line, seconds): settings, seeds, programs, samples and time on two cores that have no other work."""
    config = load_config(file_of(ablation.name), ablation.quick if quick else {})
    task, static, _ = lab.assemble(config)
    table = keys_of(config.task)[0]
    programs = len({tuple((k, v) for k, v in row.items() if not table[k].traced) for row in settings(ablation)})
    runs = len(ablation.settings) * (QUICK_SEEDS if quick else ablation.seeds)
    samples = runs * lab.plan(task, static).total * config.train.batch_size
    timing = ablation.cost.compile_s * len(ablation.settings) if "step_ms" in ablation.metrics and not quick else 0.0
    seconds = samples / ablation.cost.samples_per_s + programs * ablation.cost.compile_s + timing
    line = f"{ablation.name}: {len(ablation.settings)} settings, {runs} runs, {counted(programs, 'program')}"
    return f"{line}, {samples / 1e6:,.0f} million samples: about {span(seconds)}", seconds


def announce(ablations: Sequence[Ablation], quick: bool) -> None:
    """Print the estimate of each ablation and of all of them."""
    each = [estimate(one, quick) for one in ablations]
    lines = [line for line, _ in each]
    total = span(sum(seconds for _, seconds in each))
    terminal.say("\n".join([*lines, f"all: about {total} on two cores without other work, by figures of results/"]))


# --- figure -----------------------------------------------------------------------------------------------------------


def figure(found: Mapping[str, Any]) -> Any:
    """A panel for each metric: the differences with both intervals, thick at 95 %, thin corrected; zero is a line."""
    names = [name for name, one in found["settings"].items() if one["against"]]
    down = math.ceil(len(found["metrics"]) / PANELS)
    made = lab.figure(3.0 + 2.3 * PANELS, 0.5 + down * (1.1 + 0.24 * len(names)))
    axes = made.subplots(down, PANELS, sharey=True, squeeze=False).ravel()
    for ax in axes[len(found["metrics"]) :]:
        ax.set_visible(False)
    for ax, (metric, better) in zip(axes, found["metrics"].items(), strict=False):
        ax.axvline(0, color=lab.GREY, linewidth=0.8)
        for k, name in enumerate(names):
            _draw(ax, k, found["figures"][name][metric], better)
        ax.set_title(f"{results.noun(metric)}\n({'higher' if better > 0 else 'lower'} is better)", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.locator_params(axis="x", nbins=4)
        ax.margins(x=0.08)
    several = len({found["settings"][name]["against"] for name in names}) > 1
    labels = [f"{name} less {found['settings'][name]['against']}" if several else name for name in names]
    axes[0].set_yticks(range(len(names)), labels, fontsize=7)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    first = next(iter(found["settings"]))
    made.suptitle(
        f"{found['title']}: differences from {'the named setting' if several else first}, paired by seed, "
        f"{found['seeds']} seeds; thick: 95 %; thin: all {found['comparisons']} together 95 %",
        fontsize=8,
    )
    return made


def _draw(ax: Any, k: int, one: Mapping[str, Any], better: int) -> None:
    """A difference: green where it is better in its whole corrected interval, red where worse, else grey."""
    if "less" not in one:
        ax.text(0, k, " not measured", fontsize=6, va="center", color=lab.GREY)
        return
    color = {1: lab.GREEN, -1: lab.RED, 0: lab.GREY}[better * results.verdict(one)]
    mean, low, high = (np.nan if x is None else x for x in one["less"])
    ax.plot([np.nan if x is None else x for x in one["sure"]], [k, k], color=color, linewidth=0.8)
    ax.plot([low, high], [k, k], color=color, linewidth=2.4, solid_capstyle="butt")
    ax.plot(mean, k, "o", color=color, markersize=4)


# --- command line -----------------------------------------------------------------------------------------------------


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The parser of an ablation, and of all of them."""
    made = lab.parser(doc, quick=QUICK)
    made.add_argument("--estimate", action="store_true", help="print what would be trained and for how long, and end")
    return made


def main(ablation: Ablation, doc: str | None) -> None:
    """The command of one ablation."""
    given = parser(doc).parse_args()
    announce([ablation], given.quick)
    if not given.estimate:
        run(ablation, given)
