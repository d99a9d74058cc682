"""Runs trials that have no file yet, and makes the result of all: resumable, as each trial has a file of its own."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lab_evolution
import lab_trial_tables as tables
import lab_trials
import lab_worlds
import numpy as np

from ternary_jax import terminal

OWN = {"statenet, mean": "statenet", "statenet, of another run": "statenet"}  # trial -> the one whose inputs it is told


class Design(NamedTuple):
    """size; worlds and seeds of the headline, and of the other trials, whose runs are among those of the headline."""

    size: lab_worlds.Size
    worlds: int = 64
    each: int = 2
    fewer: int = 16


def play(names: Sequence[str], trained: lab_trials.Trained, design: Design, folder: Path) -> None:
    """Play these trials, but for those that have a file in the folder."""
    for name in names:
        if (file := file_of(name, design, folder)).exists():
            continue
        terminal.say(f"3^{design.size.n_digits}, {name} ...")
        head = name in lab_trials.HEADLINE
        numbers = np.arange(design.worlds if head else design.fewer)
        told = recorded(OWN[name], design, folder) if name in OWN else None
        found = lab_trials.measured(
            lab_trials.TRIALS[name], trained, design.size, numbers, design.each if head else 1, told
        )
        lab_evolution.write_arrays(file, found)


def file_of(name: str, design: Design, folder: Path) -> Path:
    """The file of the figures of a trial."""
    return folder / f"trial_{design.size.n_digits}_{re.sub('[^a-z0-9_.]+', '_', name.lower())}.npz"


def figures(name: str, design: Design, folder: Path) -> dict[str, np.ndarray]:
    """The figures of a trial, by name."""
    with np.load(file_of(name, design, folder)) as found:
        return {x: found[x] for x in found}


def few(found: Mapping[str, np.ndarray], design: Design) -> dict[str, np.ndarray]:
    """The runs of a headline trial that all other trials have as well: the first seed of the first worlds."""
    return {name: x[:: design.each][: design.fewer] for name, x in found.items()}


def recorded(name: str, design: Design, folder: Path) -> dict[str, np.ndarray]:
    """What a trial of the headline has read, in the runs of the other trials."""
    found = few(figures(name, design, folder), design)
    return {key.removeprefix("sensed/"): x for key, x in found.items() if key.startswith("sensed/")}


def result(design: Design, folder: Path, say: Callable[[str], Any] = print) -> dict[str, Any]:
    """The tables of all trials that have a file, printed, and as JSON."""

    def there(names):
        return {name: figures(name, design, folder) for name in names if file_of(name, design, folder).exists()}

    head, others = there(lab_trials.HEADLINE), there(lab_trials.OTHERS)
    found: dict[str, Any] = {"headline": tables.summary(head, design.worlds)}
    space = f"3^{design.size.n_digits}, {design.worlds} worlds x {design.each}"
    say(tables.table(space, found["headline"]))
    if "statenet, shuffled" in head:
        found["of_shuffled"] = tables.gaps(head, "statenet", "statenet, shuffled", design.worlds)
    found["smallest"] = {name: tables.smallest(head, name, design.worlds) for name in head if name != tables.AGAINST}
    drawn = lab_worlds.draw("test", np.arange(design.worlds), 100)
    found["by_kind"] = {name: tables.by_kind(head, name, drawn) for name in ("statenet", "memory") if name in head}
    if others:
        both = {name: few(one, design) for name, one in head.items()} | others
        if courses := [x for name, x in both.items() if "course" in name]:
            both["oracle of courses"] = oracle(courses)
        found["others"] = tables.summary(both, design.fewer)
        say("\n" + tables.table(f"3^{design.size.n_digits}, {design.fewer} worlds x 1", found["others"]))
    return found


def oracle(courses: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The figures of the course with the lowest J in each world, by hindsight."""
    best = np.argmin([one["J"] for one in courses], axis=0)
    return {x: np.choose(best, [one[x] for one in courses]) for x in tables.FIGURES}
