"""Arms of the experiment with worlds: players, trained by one strategy, on the same worlds and with the same budget.

`base` is trained first, and all others on top of its schedules, each for as many generations:

    base        fixed schedules
    schedules   the schedules of base, for as many generations again
    course, rule, statenet, memory        the players of `lab_players`

A generation is PAIRS worlds of one of TRAINING_SIZES, in turn. The best of a training is that with the lowest F on
JUDGED worlds of each size of the validation split. The worlds of a second training begin at another number, and its
noise at another seed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lab_evolution
import lab_goal
import lab_players
import lab_statenet as programs
import lab_worlds
import numpy as np

PAIRS = 12
JUDGED = 12
FIRST_OF = 10**5  # the first world of training k is k times this
FIRST_JUDGED = 1000  # worlds 0 .. 999 of validation are those of `statenet_worlds.py predict`
ON = {"base": "schedules"}  # arms that are another player
ARMS = ("base", *lab_players.PLAYERS)
# Arm -> (spread, rate) of its strategy. Numbers of schedules, courses and the rule have units; weights are small.
MOVES: dict[str, tuple[float, float]] = dict.fromkeys(("statenet", "memory"), (0.01, 0.005))
MOVE = (0.15, 0.05)


class Field(NamedTuple):
    """A player of one size, and its program: phi, hypers, rows, worlds -> Outcome with TRIPLETS at the quarters."""

    size: lab_worlds.Size
    player: lab_players.Player
    program: Callable[..., Any]


def fields(arm: str, base: dict[str, Any], sizes: Any = lab_worlds.TRAINING_SIZES) -> list[Field]:
    """The programs of an arm, one of each size. base: config changes, to which the arm adds its own."""
    made = [(size, lab_players.PLAYERS[ON.get(arm, arm)](size, base)) for size in sizes]
    return [Field(size, one, lab_players.play(one, 4, pairs=(lab_goal.TRIPLETS,), at_all=True)) for size, one in made]


def f_of(field: Field, vectors: Any, split: str, numbers: Any) -> np.ndarray:
    """F of runs with these vectors (n, d) in the worlds of these numbers, (n,)."""
    player, n_digits = field.player, field.size.n_digits
    hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds(split, numbers))
    phi, hypers, rows = player.arguments(np.asarray(vectors), hypers)
    return lab_goal.over_a_run(
        field.program(phi, hypers, rows, lab_worlds.draw(split, numbers, player.runs.steps)), n_digits
    )


def search(every: list[Field], training: int, pairs: int = PAIRS, judged: int = JUDGED) -> lab_evolution.Search:
    """What the strategy minimises in a training of this number."""
    among = np.arange(FIRST_JUDGED, FIRST_JUDGED + judged)

    def value(vectors, generation):
        numbers = FIRST_OF * training + generation * pairs + np.arange(pairs)
        return f_of(every[generation % len(every)], vectors, "training", np.tile(numbers, 2))

    def judge(vector):
        same = np.repeat(np.asarray(vector)[None], judged, 0)
        return float(np.mean([f_of(field, same, "validation", among) for field in every]))

    return lab_evolution.Search(every[0].player.start, value, judge)


def train(
    arm: str, base: dict[str, Any], generations: int, file: Path, training: int = 0, **budget: Any
) -> dict[str, Any]:
    """Train an arm; what `lab_evolution.evolve` gives. budget: sizes, pairs, judged, for a quick one."""
    every = fields(arm, base, budget.pop("sizes", lab_worlds.TRAINING_SIZES))
    pairs = budget.get("pairs", PAIRS)
    strategy = lab_evolution.antithetic(pairs, *MOVES.get(arm, MOVE))
    return lab_evolution.evolve(search(every, training, **budget), strategy, generations, file, seed=training)


def base_of(size: lab_worlds.Size, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes for another size: the learning rate is as many times that of the config as it was in training."""
    trained, here = (lab_players.configured(of, "schedules", {}) for of in (lab_worlds.TRAINING_SIZES[0], size))
    rate = "train.learning_rate"
    times = here.train.learning_rate / trained.train.learning_rate
    return dict(changes) | ({rate: times * changes[rate]} if rate in changes else {})


def changes_of(base: dict[str, Any], vector: Any) -> dict[str, Any]:
    """The config changes of a vector of schedules, on top of those of `base`."""
    config = lab_players.configured(lab_worlds.TRAINING_SIZES[0], "schedules", base)
    return base | programs.fixed(config, vector)
