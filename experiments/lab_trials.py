"""Trials: what the trained arms do in worlds of the test, which nothing was chosen by.

A trial is an arm with its best vector, played in the same worlds with the same seeds as all others. The trials of
StateNet take away what it could owe its gain to:

    shuffled         it reads another run, which plays another world, at the same step
    mean             it is told the mean of what it read in all runs
    of another run   it is told what it read in the world before
    without X, X alone     the network cannot move the output X, or moves nothing else
    every k steps, times s     it corrects more or less often, or by more or less

`tuned course, times s` is a course of which all offsets are multiplied by s; the lowest of these for each world, by
hindsight, is the oracle.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab_arms
import lab_goal
import lab_players
import lab_statenet as programs
import lab_worlds
import numpy as np

from ternary_jax.vae.controllers.corrections import OUTPUTS
from ternary_jax.vae.controllers.statenet_network import DOCUMENTS

POINTS = 20
AT_ONCE = 8  # runs of one call, to save memory; shuffled inputs are exchanged among them
KINDS = {"statenet": DOCUMENTS, "memory": lab_players.MEMORY}
LAST_LAYER = "decoder_1"


class Trial(NamedTuple):
    """arm: of lab_arms.ARMS; changes: of the config; times: factor on the vector; moves: outputs that it can move

    inputs: "own", "shuffled", "mean" or "another"; learns: whether it looks ahead
    """

    arm: str
    changes: Mapping[str, Any] = {}
    times: float = 1.0
    moves: tuple[str, ...] = OUTPUTS
    inputs: str = "own"
    learns: bool = False


HEADLINE = {name: Trial(name) for name in ("schedules", "course", "rule", "statenet", "memory")}
HEADLINE["statenet, shuffled"] = Trial("statenet", inputs="shuffled")
OTHERS = {
    "memory, shuffled": Trial("memory", inputs="shuffled"),
    "statenet, mean": Trial("statenet", inputs="mean"),
    "statenet, of another run": Trial("statenet", inputs="another"),
    "statenet, looks ahead": Trial("statenet", learns=True),
    **{f"tuned course, times {s:g}": Trial("course", times=s) for s in (0, 0.5, 1.5)},
    **{f"without {x}": Trial("statenet", moves=tuple(y for y in OUTPUTS if y != x)) for x in OUTPUTS},
    **{f"{x} alone": Trial("statenet", moves=(x,)) for x in OUTPUTS},
    **{f"every {k} steps": Trial("statenet", {"statenet.interval": k}) for k in (1, 10, 77)},
    **{f"times {name}": Trial("statenet", {"statenet.scale": s}) for name, s in (("1/3", 1 / 3), ("3", 3.0))},
}
TRIALS = HEADLINE | OTHERS


class Trained(NamedTuple):
    """base: config changes of the schedules that all arms are on top of; vectors: the best, by arm."""

    base: Mapping[str, Any]
    vectors: Mapping[str, Any]


def measured(
    trial: Trial, trained: Trained, size: lab_worlds.Size, numbers: Any, each: int, told: Any = None
) -> dict[str, np.ndarray]:
    """Figures of `each` runs in each of the worlds of these numbers, arrays of runs, world after world.

    told: for "mean" and "another", the `sensed` of the trial that reads its own inputs, in the same worlds
    """
    base = lab_arms.base_of(size, trained.base) | dict(trial.changes)
    arm = lab_players.PLAYERS[lab_arms.ON.get(trial.arm, trial.arm)](size, base)
    vector = vector_of(trial, trained.vectors[trial.arm])
    play = lab_players.play(arm, POINTS, told=told is not None, learns=trial.learns)
    worlds, seeds = np.repeat(numbers, each), lab_worlds.run_seeds("test", numbers, each)
    rows = None if told is None else told_rows(trial.inputs, told, each, arm.runs.steps)
    parts = []
    for some in np.array_split(np.arange(len(worlds)), -(-len(worlds) // AT_ONCE)):
        hypers = programs.hypers_of(arm.runs.config, seeds[some])
        phi, hypers, schedules = arm.arguments(np.repeat(vector[None], len(some), 0), hypers)
        if rows is not None:
            own = {name: jnp.repeat(x[None], len(some), 0) for name, x in schedules.items()}
            schedules = own | {name: x[some] for name, x in rows.items()}
        source = None
        if trial.inputs == "shuffled":
            source = lab_players.shuffled(len(some) // each, each, int(some[0]))
        drawn = lab_worlds.draw("test", worlds[some], arm.runs.steps)
        parts.append(figures(jax.device_get(play(phi, hypers, schedules, drawn, source)), size, arm.runs.steps))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def vector_of(trial: Trial, vector: Any) -> np.ndarray:
    """The vector of a trial: times its factor, and without the weights of outputs that it cannot move."""
    vector = trial.times * np.asarray(vector)
    if trial.moves == OUTPUTS:
        return vector
    _, back = lab_players.flat(KINDS[trial.arm])
    params: Any = jax.tree.map(np.array, back(jnp.asarray(vector, jnp.float32)))
    still = [OUTPUTS.index(name) for name in OUTPUTS if name not in trial.moves]
    params[LAST_LAYER]["kernel"][:, still] = 0
    params[LAST_LAYER]["bias"][still] = 0
    return np.asarray(lab_players.flat(KINDS[trial.arm], params)[0])


def told_rows(inputs: str, recorded: Mapping[str, Any], each: int, steps: int) -> dict[str, Any]:
    """Recorded inputs as schedules: their mean over all runs, or those of the world before, with the same seed."""

    def of(x):
        return np.broadcast_to(finite_mean(x), x.shape) if inputs == "mean" else np.roll(x, each, 0)

    return lab_players.sensed_rows({name: of(np.asarray(x)) for name, x in recorded.items()}, steps)


def finite_mean(x: np.ndarray) -> np.ndarray:
    """The mean over runs of the values that are finite, (points,)."""
    known = np.isfinite(x)
    return np.where(known, x, 0).sum(0) / np.maximum(known.sum(0), 1)


def figures(outcome: lab_players.Outcome, size: lab_worlds.Size, steps: int) -> dict[str, np.ndarray]:
    """What the table has of each run, (runs,); and what StateNet read and turned on the way, (runs, points)."""
    last = {name: x[:, -1] for name, x in (outcome.metrics | outcome.pairs).items()}
    to_target, met = programs.steps_to_target(outcome.metrics, steps)
    goal = lab_goal.shortfall(outcome, size.n_digits)[:, -1]
    diverged = ~np.isfinite(outcome.R[:, -1])
    found = {"J": goal, "R": outcome.R[:, -1], "steps": to_target, "met": met, "diverged": diverged, **last}
    on_the_way = {f"sensed/{name}": x for name, x in outcome.sensed.items()}
    return found | on_the_way | {f"offset/{name}": x for name, x in outcome.offsets.items()}
