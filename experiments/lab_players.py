"""Players: ways to set the controls of a run, which all play the same worlds in programs of one shape.

A `Player` has numbers of its own, a vector that an evolution strategy can move, and gives for a population of vectors
the arguments of its program:

    player.arguments(vectors (n, d), hypers of n runs) -> (phi, hypers, rows)
    play(player, points)(phi, hypers, rows, worlds, source) -> Outcome

    schedules  fixed schedules: the numbers of `lab_statenet.SCHEDULES`
    course     an open-loop course: StateNet's outputs as schedules of the step, on top of fixed schedules
    rule       reduces the rate on a plateau of the loss, and clips at a running percentile of the gradient norm
    statenet   the network; its inputs are those of run `source` of the same program, its own by default
    memory     the network of the kind MEMORY

`source` permutes the runs whose inputs StateNet reads: 0, 1, 2, ... is StateNet, and another order is StateNet with
shuffled inputs, in the same compiled program. `sensed_rows` gives recorded signals as schedules, for StateNet that is
told the mean of all runs, or what happened in another run (`told=True`); there the knobs among its inputs, of which
sigma and c follow the homeostat of the run, stay its own. `oracle` is the best of k courses for each world, by
hindsight.

What an evaluation of a population costs is in the table of `statenet_worlds.py cost`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_statenet as programs
import lab_worlds
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from ternary_jax.control.chain import Control
from ternary_jax.control.running import mean_from_first
from ternary_jax.precision import safe_sqrt
from ternary_jax.vae.controllers import corrections, statenet_network
from ternary_jax.vae.controllers.statenet_network import DOCUMENTS, Kind

RUNS = "runs"  # the axis of the runs of a program
PAIRS = ("triplet_accuracy_A", "triplet_accuracy_B", "ultrametric_correlation_B")  # costly metrics of an Outcome
# Numbers of the rule: name -> (value at x = 0, kind, unit of x), as in `lab_statenet.SCHEDULES`.
RULE = {
    "rate": (1.0, "times", 0.5),  # factor on the rates
    "patience": (0.05, "times", 0.5),  # share of a run without progress before the rate falls
    "factor": (0.7, "share", 0.5),  # on the rate, each time
    "threshold": (0.01, "times", 0.5),  # least progress, a share of the lowest mean loss
    "percentile": (0.9, "share", 0.5),  # of the gradient norm, above which gradients are clipped
}
MEMORY = Kind(memory=16, trends=True)  # of the StateNet with a GRU, which also reads trends
LOSS_DECAY = 0.95  # of the mean loss that the rule reads, per step
QUANTILE_STEP = 0.05  # of the log of the running percentile, per step


class Player(NamedTuple):
    """A way to set the controls of runs.

    name: of its kind; runs: its program; start: its numbers before tuning, (d,); arguments: see the module
    """

    name: str
    runs: programs.Runs
    start: Any
    arguments: Callable[[Any, Any], tuple[Any, Any, Any]]


class Outcome(NamedTuple):
    """What `play` returns; arrays have axes of runs, and of `points` equidistant steps where they say so.

    R (runs, points); metrics: of `lab_statenet.NEAR`, (runs, points); pairs: costly ones, at the end or at all points,
        (runs, 1) or (runs, points)
    terms: of R, unweighted, (runs, points); knobs; offsets: of StateNet, (runs, points)
    sensed: signals that StateNet reads in the step that follows, (runs, points)
    """

    R: Any
    metrics: dict[str, Any]
    pairs: dict[str, Any]
    terms: dict[str, Any]
    knobs: dict[str, Any]
    offsets: dict[str, Any]
    sensed: dict[str, Any]


# --- playing ----------------------------------------------------------------------------------------------------------


def play(
    player: Player,
    points: int,
    told: bool = False,
    pairs: Sequence[str] = PAIRS,
    at_all: bool = False,
    learns: bool = False,
) -> Callable[..., Outcome]:
    """phi, hypers, rows, worlds, source -> Outcome; one compiled program for all worlds of a size.

    phi, hypers and worlds have an axis of runs; rows may have one. worlds None: no world is in the program.
    source: (runs,) int32, see the module; None: each run reads its own inputs, and no exchange is in the program
    told: StateNet reads the rows of `sensed_rows` in place of the run
    pairs, at_all: costly metrics, and whether they are measured at all points
    learns: StateNet learns in the run by looking ahead, from the phi that it is given
    """
    runs, n = player.runs, player.runs.steps // points

    def run(phi, hypers, rows, world, source, data):
        def within(task):
            task = _with_inputs(task, source, told)
            return task if world is None else lab_worlds.inside(task, world, data)

        begun = runs.begin(phi, hypers, within)
        after = None if world is None else lab_worlds.shocked(world, begun.params)

        def of_pairs(state):
            found = runs.measure(state, hypers, data, costly=True)
            return {name: found[name] for name in pairs}

        def part(state, xs):
            state = runs.ahead(state, xs, hypers, data, within, after, learns)
            metrics, (r, terms) = runs.measure(state, hypers, data), runs.terms(state, hypers, data, jax.random.key(0))
            near = {name: metrics[name] for name in programs.NEAR}
            costly = of_pairs(state) if at_all else {}
            return state, (r, near, costly, terms, state.knobs, _offsets(state), sensed(state))

        rows = runs.windows(rows) if learns else rows
        xs = (jnp.arange(n * points, dtype=jnp.int32), {name: row[: n * points] for name, row in rows.items()})
        xs = jax.tree.map(lambda x: x.reshape(points, n, *x.shape[1:]), xs)
        last, found = jax.lax.scan(part, begun, xs)
        outcome = Outcome(*found)
        return outcome if at_all else outcome._replace(pairs={name: x[None] for name, x in of_pairs(last).items()})

    def of_all(phi, hypers, rows, worlds=None, source=None):
        own = 0 if next(iter(rows.values())).ndim == 2 else None
        return mapped[own](phi, hypers, rows, worlds, source, runs.data)

    mapped = {own: jax.jit(jax.vmap(run, (0, 0, own, 0, 0, None), axis_name=RUNS)) for own in (0, None)}
    return of_all


def oracle(values: Any) -> np.ndarray:
    """The lowest value of each world among k courses, by hindsight, (k, worlds) -> (worlds,); NaN is the highest."""
    values = np.asarray(values, float)
    return np.where(np.isnan(values), np.inf, values).min(0)


def _offsets(state):
    return state.control["statenet"].offsets if "statenet" in state.control else {}


# --- fixed schedules and courses --------------------------------------------------------------------------------------


def configured(size: lab_worlds.Size, by: str, changes: dict[str, Any]) -> Any:
    """The config of runs of this size. changes: other keys, such as tuned schedules."""
    own = {"train.batch_size": size.batch, "train.epochs": size.epochs}
    return programs.configured(size.n_digits, by, changes | own)


def schedules(size: lab_worlds.Size, base: dict[str, Any]) -> Player:
    """Fixed schedules; base: changes of the config, on top of which the numbers are."""
    runs = programs.make_runs(configured(size, "schedules", base))

    def arguments(vectors, hypers):
        own = [programs.fixed(runs.config, vector) for vector in np.asarray(vectors)]
        times = np.array([x["train.learning_rate"] for x in own]) / runs.config.train.learning_rate
        hypers = programs.replaced(hypers, ["train", "learning_rate"], times * hypers.train.learning_rate)
        for key in {key for key in own[0] if key.startswith("knobs.")}:
            hypers = programs.replaced(hypers, key.split("."), np.array([x[key] for x in own]))
        return None, hypers, _stacked([programs.rows_of(runs, changes) for changes in own])

    return Player("schedules", runs, np.zeros(len(programs.SCHEDULES)), arguments)


def course(size: lab_worlds.Size, base: dict[str, Any]) -> Player:
    """A course of StateNet's outputs, on top of the schedules `base`."""
    runs = programs.make_runs(configured(size, "schedules", base), course=True)

    def arguments(vectors, hypers):
        rows = [runs.rows | programs.course_rows(vector, runs.steps) for vector in np.asarray(vectors)]
        return None, hypers, _stacked(rows)

    return Player("course", runs, np.zeros(len(programs.UNITS) * len(programs.KNOTS)), arguments)


def _stacked(rows):
    return {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}


# --- StateNet and its inputs ------------------------------------------------------------------------------------------


def network(size: lab_worlds.Size, base: dict[str, Any], kind: Kind = DOCUMENTS) -> Player:
    """StateNet on top of the schedules `base`; its numbers are all its parameters. kind: of its network."""
    keys = {f"statenet.{name}": value for name, value in kind._asdict().items()}
    runs = programs.make_runs(configured(size, "schedules+statenet", base | keys))
    start, back = flat(kind)

    def arguments(vectors, hypers):
        return jax.vmap(back)(jnp.asarray(vectors)), hypers, runs.rows

    return Player("statenet", runs, np.asarray(start), arguments)


def flat(kind: Kind, params: Any = None) -> tuple[Any, Callable[[Any], Any]]:
    """(The parameters of a network as a vector, by default those of one that changes nothing; vector -> parameters)."""
    return ravel_pytree(statenet_network.init(jax.random.key(0), kind) if params is None else params)


def shuffled(n: int, each: int, seed: int) -> np.ndarray:
    """A source for StateNet with shuffled inputs: n worlds of `each` runs; no run reads one of its own world.

    Run k of a world reads run k of the world that follows it on a random cycle through all worlds.
    """
    if n < 2:
        raise ValueError(f"{n} world: shuffled inputs need two worlds or more")
    order = np.random.default_rng(seed).permutation(n)
    follows = np.empty(n, np.int32)
    follows[order] = np.roll(order, 1)
    return (each * follows[:, None] + np.arange(each)[None]).ravel().astype(np.int32)


def sensed(state: Any) -> dict[str, Any]:
    """The signals that controllers read in the next step."""
    return {f"sensed_{name}": x for name, x in state.last.items()}


def sensed_rows(recorded: dict[str, Any], steps: int) -> dict[str, Any]:
    """Recorded inputs (..., points), by name as in `Outcome.sensed`, as schedules (..., steps), held until the next.

    Give the mean over runs and points, (1,), or the record of another run.
    """
    points = next(iter(recorded.values())).shape[-1]
    at = np.minimum(np.arange(steps) * points // steps, points - 1)
    return {name: jnp.asarray(x)[..., at] for name, x in recorded.items()}


def _with_inputs(task, source, told):
    """The task whose StateNet reads another run, or schedules, and corrects its own controls by what it read."""
    own = task.controllers.get("statenet")
    if own is None or (source is None and not told):
        return task

    def update(state, signals, controls):
        def of_another_run(x):
            theirs = jax.lax.all_gather(x, RUNS)[source]
            return jnp.where(jnp.isfinite(theirs), theirs, x)  # a diverged run does not spread

        if told:
            last, knobs = {name: signals.schedule[f"sensed_{name}"] for name in signals.last}, controls.knobs
        else:
            last, knobs = jax.tree.map(of_another_run, (signals.last, controls.knobs))
        state, _, info = own.update(state, signals._replace(last=last), controls._replace(knobs=knobs))
        return state, corrections.apply_offsets(controls, state.offsets), info

    return task._replace(controllers={**task.controllers, "statenet": Control(own.init, update)})


# --- the rule ---------------------------------------------------------------------------------------------------------


class RuleState(NamedTuple):
    """numbers: of RULE; mean: of the loss; best: its least; since: steps without progress; log_factor: on all rates"""

    numbers: dict[str, Any]
    mean: Any
    best: Any
    since: Any
    log_factor: Any


class Clipped(NamedTuple):
    """State of the optimizer that clips. inner: of Adam; log_norm: of the running percentile, inf before the first"""

    inner: Any
    percentile: Any
    log_norm: Any


def rule(size: lab_worlds.Size, base: dict[str, Any]) -> Player:
    """Reduce the rate on a plateau of the loss, and clip by a running percentile, on top of the schedules `base`.

    `optax.contrib.reduce_on_plateau` and AutoClip have Python numbers; here these are traced, as a population has many.
    """

    def put(state, phi):
        told = state.control["rule"]._replace(numbers=phi)
        clipped = state.opt_state._replace(percentile=phi["percentile"])
        return state._replace(control=state.control | {"rule": told}, opt_state=clipped)

    added = programs.Added({"rule": reduce_on_plateau()}, ("loss",), _clipping, put)
    runs = programs.make_runs(configured(size, "schedules", base), added=added)

    def arguments(vectors, hypers):
        own = [rule_numbers(vector, runs.steps) for vector in np.asarray(vectors)]
        return {name: jnp.array([x[name] for x in own], jnp.float32) for name in RULE}, hypers, runs.rows

    return Player("rule", runs, np.zeros(len(RULE)), arguments)


def rule_numbers(vector: Any, steps: int) -> dict[str, float]:
    """The numbers of RULE that a vector encodes, with the patience in steps, of so many in a run.

    "share": the logit of the value moves, so it stays in (0, 1).
    """
    found = {}
    for (name, (value, kind, unit)), x in zip(RULE.items(), vector, strict=True):
        odds = value / (1 - value) * np.exp(unit * x) if kind == "share" else 0.0
        found[name] = float(odds / (1 + odds) if kind == "share" else value * np.exp(unit * x))
    return found | {"patience": steps * found["patience"]}


def reduce_on_plateau() -> Control:
    """Multiply the rates by `factor` whenever the mean loss had no progress for `patience` steps."""

    def init(hypers):
        infinite = jnp.float32(jnp.inf)
        return RuleState(dict.fromkeys(RULE, jnp.float32(0)), infinite, infinite, jnp.int32(0), jnp.float32(0))

    def update(state, signals, controls):
        own, loss = state.numbers, signals.last["loss"]
        mean = mean_from_first(state.mean, loss, LOSS_DECAY)
        least = jnp.where(jnp.isfinite(state.best), state.best - own["threshold"] * jnp.abs(state.best), state.best)
        better = mean < least
        since = jnp.where(better, 0, state.since + 1)
        falls = since >= own["patience"]
        log_factor = state.log_factor + jnp.where(falls, jnp.log(own["factor"]), 0)
        state = RuleState(own, mean, jnp.where(better, mean, state.best), jnp.where(falls, 0, since), log_factor)
        factor = own["rate"] * jnp.exp(log_factor)
        return state, controls._replace(rates={group: factor * x for group, x in controls.rates.items()}), {}

    return Control(init, update)


def _clipping(static):
    return clipped_by_percentile(lab.make_optimizer(static, differentiable=True))  # the Adam of all players


def clipped_by_percentile(tx: Any) -> optax.GradientTransformationExtraArgs:
    """`tx` on gradients that are clipped at a running percentile of their norm.

    log q moves up by QUANTILE_STEP p if the norm is above q, else down by QUANTILE_STEP (1 - p), so a share p of the
    norms is below q where it rests. A norm that is not finite does not move q.
    """

    def init(params):
        return Clipped(tx.init(params), jnp.float32(0), jnp.float32(jnp.inf))

    def update(updates, state, params=None, **given):
        norm = safe_sqrt(functools.reduce(jnp.add, [optax.tree.norm(g, squared=True) for g in updates.values()]))
        log = jnp.log(norm)
        before = jnp.where(jnp.isinf(state.log_norm), log, state.log_norm)
        scale = jnp.where(log > before, jnp.exp(before - log), 1)
        updates, inner = tx.update(jax.tree.map(lambda g: scale * g, updates), state.inner, params, **given)
        moved = before + QUANTILE_STEP * jnp.where(log > before, state.percentile, state.percentile - 1)
        return updates, Clipped(inner, state.percentile, jnp.where(jnp.isfinite(log), moved, state.log_norm))

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


PLAYERS: dict[str, Callable[[lab_worlds.Size, dict[str, Any]], Player]] = {
    "schedules": schedules,
    "course": course,
    "rule": rule,
    "statenet": network,
    "memory": functools.partial(network, kind=MEMORY),
}
