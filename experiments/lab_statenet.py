"""Whole runs of configs/v5_10.py as one program each, for meta_train_statenet.py and compare_statenet.py.

A small run, on 3^5 or 3^6 operations, has small networks, and goes through the whole of the schedules. The outputs of
StateNet can be replaced by a course: the same offsets, with the same bounds, as schedules of the step alone.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import numpy as np
from ml_collections import ConfigDict

from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Control
from ternary_jax.control.look_ahead import rows_ahead
from ternary_jax.vae.controllers import corrections, exploration
from ternary_jax.vae.reference_objective import make_reference_terms

CONFIG = lab.CONFIGS / "v5_10.py"
ASSETS = lab.ROOT / "ternary_jax" / "assets"
RENEWALS = 50  # corrections that StateNet makes in a run of any length, so that it transfers from short to long runs
SMALL: dict[str, Any] = {
    "train.learning_rate": 8e-3,
    "train.batch_size": 48,
    **{f"model.{b}.hidden": (128, 64) for b in "AB"},
    "model.A.decoder_hidden": (32, 64),
    "model.B.decoder_hidden": (64, 64),
}
SPACES = {5: 80, 6: 27}  # number of digits: epochs, 480 and 432 steps
FULL = {"train.epochs": 54}  # 2,106 steps at 3^9
NEAR = {"coverage_A": 0.99, "coverage_B": 0.99, "hierarchy_B": -0.80}

# Config key -> (kind, unit) of each number x of a schedule vector. "add" adds unit * x to the value of the config;
# "times" multiplies it by exp(unit * x). x = 0 keeps the config.
SCHEDULES: dict[str, tuple[str, float]] = {
    "train.learning_rate": ("times", 0.5),
    "knobs.ranking": ("times", 0.5),
    "knobs.tau": ("add", 0.2),
    "knobs.lambda_1": ("add", 0.1),
    "knobs.lambda_2": ("add", 0.1),
    "schedules.alignment.mean": ("add", 0.1),
    "schedules.rho.first": ("add", 0.1),
    "schedules.rho.second": ("add", 0.1),
    "schedules.beta.level": ("times", 0.5),
    "schedules.beta.final": ("times", 0.5),
    "schedules.temperature_A.last": ("times", 0.3),
    "schedules.temperature_B.last": ("times", 0.3),
}
# The vector excludes the initial curvature, at which R is taken: all runs of a search have one geometry in R.
# BOUNDS: limits of the values.
BOUNDS = {"knobs.tau": (0.0, 1.0), "schedules.alignment.mean": (0.15, 0.75), "schedules.rho.first": (0.0, 0.9)}
BOUNDS |= {"schedules.rho.second": (0.0, 0.9), "knobs.lambda_1": (0.1, 2.0), "knobs.lambda_2": (0.1, 2.0)}

# A course is piecewise linear from offset 0, with knots at these shares of a run.
KNOTS = (1 / 3, 2 / 3, 1.0)
# Unit of the offset of each StateNet output in the vector of a course.
UNITS = dict.fromkeys(corrections.KNOB_RULES, 0.5) | {"tau": 0.2, "lambda_1": 0.1, "lambda_2": 0.1, "lambda_3": 0.1}


class Runs(NamedTuple):
    """Whole runs of a config, as one program.

    config: the resolved config
    steps: length of a run
    rows: schedules by name, (steps,) each
    data: data of the task
    begin: phi, hypers, within -> state before the first step
    ahead: state, (numbers, rows), hypers, data, within, after, learns -> state after these steps. learns: StateNet
        looks ahead and learns, for which the rows are those of `windows`
    windows: rows -> for each step, those that a look ahead needs
    reference: state, hypers, data, key, n -> R, the mean over n batches
    terms: the same arguments -> (R, its unweighted terms by name)
    measure: state, hypers, data, costly -> metrics
    put: state, phi -> the state with phi as the parameters of StateNet, or of another player

    within: Task -> Task, as in `lab_worlds.inside`, called at each trace, so that it may close over traced values of
        the run; by default the task is unchanged. after: as in `lab.many_steps`
    """

    config: Any
    steps: int
    rows: dict[str, Any]
    data: Any
    begin: Callable[..., Any]
    ahead: Callable[..., Any]
    windows: Callable[[Any], Any]
    reference: Callable[..., Any]
    terms: Callable[..., Any]
    measure: Callable[..., Any]
    put: Callable[..., Any]


class Added(NamedTuple):
    """What a player that no config has adds to a run.

    controllers: by name, after those of the config; signals: that they read
    optimizer: of the config's static values -> the optimizer
    put: state, phi -> the state with phi as its numbers
    """

    controllers: Mapping[str, Control]
    signals: tuple[str, ...]
    optimizer: Callable[[Any], Any]
    put: Callable[[Any, Any], Any]


def networks(given: Any) -> dict[str, Path]:
    """Paths of the trained networks, by name: in --out; without it in assets/ and results/raw/."""
    names = ("statenet.npz", "statenet_unrolled.npz")  # of `train` and of `unroll` in meta_train_statenet.py
    return {name: (given.out or (lab.folder(given) / "raw" if "unrolled" in name else ASSETS)) / name for name in names}


def configured(n_digits: int, by: str, changes: dict[str, Any]) -> Any:
    """The config of a run with this `control`; StateNet is renewed `RENEWALS` times in it.

    changes: other keys; on a space that is not in SPACES also train.epochs
    """
    small = {} if n_digits == 9 else SMALL | {"data.n_digits": n_digits}
    small |= {"train.epochs": SPACES[n_digits]} if n_digits in SPACES else {}
    changes = (FULL if n_digits == 9 else small) | {"control": by} | changes
    batch = load_config(CONFIG, changes).train.batch_size
    steps = -(-(3**n_digits) // batch) * changes["train.epochs"]
    ends = dict.fromkeys(("evaluate.cheap_every", "evaluate.costly_every", "checkpoint.every"), changes["train.epochs"])
    by_net = {"statenet.interval": max(1, steps // RENEWALS), "statenet.learn": "lookahead"} if "statenet" in by else {}
    return load_config(CONFIG, ends | by_net | changes)


def make_runs(config: Any, course: bool = False, added: Added | None = None) -> Runs:
    """The functions of a run, as in the engine, with the parameters phi of StateNet as an argument.

    course: True: the schedules of `course_rows` set offsets too; added: a player that no config has
    """
    task, static, _ = lab.assemble(config)
    if course:
        task = task._replace(controllers={**task.controllers, "course": _follow_course()})
    rows = jax.tree.map(jnp.asarray, lab.schedule_rows(task, static))
    return runs_of(config, task, static, rows, make_reference_terms(static), added)


def runs_of(config: Any, task: Any, static: Any, rows: Any, objective: Any, added: Added | None = None) -> Runs:
    """The functions of runs of a task. rows: all its schedules; objective: params, batch, Context -> (R, its terms)."""
    if added:
        task = task._replace(
            controllers={**task.controllers, **added.controllers}, signals=(*task.signals, *added.signals)
        )
    learner, tx = task.look_ahead, added and added.optimizer(static)
    steps, data = len(rows["learning_rate"]), jax.device_put(task.data)

    def put(state, phi):
        if added:
            return added.put(state, phi)
        return state._replace(control=learner.changed(state.control, learner.put, phi)) if learner else state

    def begin(phi, hypers, within=_unchanged):
        return put(lab.beginning(within(task), static, tx)(hypers), phi)

    def ahead(state, xs, hypers, data, within=_unchanged, after=None, learns=False):
        return lab.many_steps(within(task), static, True, tx, after, learns)(state, xs, hypers, data)

    def windows(rows):
        return {name: rows_ahead(row, jnp.int32(0), steps, learner.ahead) for name, row in rows.items()}

    def terms(state, hypers, data, key, n=4):
        def of_batch(key):
            key_batch, key_loss = jax.random.split(key)
            context = lab.context(jnp.int32(0), key_batch, hypers, data)
            return objective(state.params, task.sample(context), context._replace(key=key_loss))

        return jax.tree.map(jnp.mean, jax.lax.map(of_batch, jax.random.split(key, n)))

    def reference(*given):
        return terms(*given)[0]

    return Runs(
        config, steps, rows, data, begin, ahead, windows, reference, terms, functools.partial(lab.measure, task), put
    )


def _unchanged(task: Any) -> Any:
    return task


def _follow_course() -> Control:
    def update(state, signals, controls):
        offsets = {name: signals.schedule[f"course_{name}"] for name in UNITS}
        return state, corrections.apply_offsets(controls, offsets), {}

    return Control(lambda hypers: (), update)


def course_rows(vector: Any, steps: int) -> dict[str, Any]:
    """The schedules of a course, from a vector (8 x 3,) of offsets at KNOTS, knob after knob, in units of UNITS."""
    at = (np.arange(steps) + 1) / steps
    offsets = np.asarray(vector).reshape(len(UNITS), len(KNOTS)) * np.array([*UNITS.values()])[:, None]
    lines = [np.interp(at, (0.0, *KNOTS), (0.0, *own)) for own in offsets]
    return {f"course_{name}": jnp.asarray(line, jnp.float32) for name, line in zip(UNITS, lines, strict=True)}


def play(runs: Runs, points: int) -> Callable[..., Any]:
    """phi, hypers, rows -> (R, metrics, knobs, offsets of StateNet) at `points` equidistant steps, mapped over runs.

    phi and hypers have an axis of runs; rows may have one. Without StateNet the offsets are {}.
    """
    n = runs.steps // points

    def run(phi, hypers, rows, data):
        def part(state, xs):
            state = runs.ahead(state, xs, hypers, data)
            metrics = runs.measure(state, hypers, data)
            r = runs.reference(state, hypers, data, jax.random.key(0))
            return state, (r, {k: metrics[k] for k in NEAR}, state.knobs, _offsets(state))

        xs = (jnp.arange(n * points, dtype=jnp.int32), {name: row[: n * points] for name, row in rows.items()})
        xs = jax.tree.map(lambda x: x.reshape(points, n), xs)
        return jax.lax.scan(part, runs.begin(phi, hypers), xs)[1]

    def of_all(phi, hypers, rows):
        own = 0 if next(iter(rows.values())).ndim == 2 else None
        return mapped[own](phi, hypers, rows, runs.data)

    mapped = {own: jax.jit(jax.vmap(run, (0, 0, own, None))) for own in (0, None)}
    return of_all


def _offsets(state):
    return state.control["statenet"].offsets if "statenet" in state.control else {}


def steps_to_target(metrics: dict[str, Any], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps until all of NEAR are met at once, whether they are), of metrics (runs, points).

    A run that never meets them counts with all its steps.
    """
    met = np.all([x <= c if c < 0 else x >= c for x, c in ((metrics[k], c) for k, c in NEAR.items())], axis=0)
    points = met.shape[1]
    return np.where(met.any(1), 1 + met.argmax(1), points) * (steps // points), met.any(1)


def hypers_of(config: Any, seeds: Any, **changes: Any) -> Any:
    """The hypers of runs with these seeds. changes: arrays of one value a run, by key with __ for a dot."""
    _, hypers = split(config)
    hypers = jax.tree.map(lambda x: np.broadcast_to(x[:1], (len(seeds),)), hypers)
    return functools.reduce(
        lambda h, kv: replaced(h, kv[0].split("__"), kv[1]), {"seed": seeds, **changes}.items(), hypers
    )


def replaced(hypers: Any, path: list[str], value: Any) -> Any:
    """The hypers with this value at a path of names."""
    name, *rest = path
    old = getattr(hypers, name)
    return hypers._replace(**{name: replaced(old, rest, value) if rest else np.asarray(value, old.dtype)})


def setting(config: Any, generation: int, n: int) -> Any:
    """Hypers of 2n runs: n random seeds, learning rates and initial curvatures; run n + i repeats those of run i."""
    rng = np.random.default_rng(generation)
    twice = functools.partial(np.tile, reps=2)
    rate = config.train.learning_rate * np.exp(rng.uniform(-0.5, 0.5, n))
    c = config.model.c * np.exp(rng.uniform(-0.2, 0.2, n))
    seeds = rng.integers(1_000, 10**8, n)
    return hypers_of(config, twice(seeds), train__learning_rate=twice(rate), model__c=twice(c))


def lowered(r: Any) -> Any:
    """F of R at the quarters of a run, (..., 4) -> (...). A diverged run counts as R = 100."""
    r = jnp.where(jnp.isfinite(r), r, 100)
    return jnp.log(jnp.clip(r + 0.1, 1e-2, 100)) @ jnp.array([1.0, 1.0, 1.0, 3.0]) / 6


def repeated(n: int, x: Any) -> Any:
    """The arrays repeated n times along a new first axis."""
    return jnp.broadcast_to(x, (n, *jnp.shape(x)))


# --- fixed schedules as a vector --------------------------------------------------------------------------------------


def fixed(config: Any, vector: Any) -> dict[str, Any]:
    """The config keys and values that a vector of SCHEDULES encodes."""
    found = {}
    for (key, (kind, unit)), x in zip(SCHEDULES.items(), vector, strict=True):
        before = value_at(config, key)
        low, high = BOUNDS.get(key, (1e-6, 1e6))
        found[key] = float(np.clip(before * np.exp(unit * x) if kind == "times" else before + unit * x, low, high))
    levels = found.pop("schedules.rho.first"), found.pop("schedules.rho.second")
    return found | {"schedules.rho.levels": (*levels, *config.schedules.rho.levels[2:])}


def value_at(config: Any, key: str) -> Any:
    """The value of a config key, or of a level of rho."""
    places = {"schedules.rho.first": 0, "schedules.rho.second": 1}
    if key in places:
        return config.schedules.rho.levels[places[key]]
    return functools.reduce(getattr, key.split("."), config)


def rows_of(runs: Runs, changes: dict[str, Any]) -> dict[str, Any]:
    """The schedule rows of `runs`, with the schedules of these changes."""
    given = ConfigDict(runs.config.schedules.to_dict())
    given.update_from_flattened_dict({k: x for k, x in changes.items() if k.startswith("schedules.")}, "schedules.")
    return runs.rows | {name: jnp.asarray(row) for name, row in exploration.rows(given, runs.steps).items()}
