"""Does StateNet learn to steer? Trained on many short runs on small spaces, and then held against tuned schedules.

    python experiments/meta_train_statenet.py tune       the fixed schedules, by an evolution strategy, on 3^5 and 3^6
    python experiments/meta_train_statenet.py train      StateNet on top of these, by the same: results/statenet.npz
    python experiments/meta_train_statenet.py unroll     the same, by gradients through 20 steps at a time
    python experiments/meta_train_statenet.py compare    all of them at 3^9, on 16 seeds that nothing was chosen by

A run of the small kind has small networks, and an initial point, learning rate and curvature of its own; it goes
through the whole of the schedules. What is lowered is

    F = mean over the quarters of a run, the last three times, of log(R + 0.1),

R the fixed reference objective: the losses by the weights of the config, whatever has been turned. The strategy moves a
vector v along sum_i (F(v - s e_i) - F(v + s e_i)) e_i over pairs of runs of one seed and setting, by Adam; v is all of
StateNet, or the 12 numbers of `SCHEDULES`. `compare` prints the differences of R, and of the steps until `NEAR` is met,
to the best of the fixed schedules, with their 95 % intervals over seeds, not over networks. In a fixed schedule the
ranking, tau, lambda_1 and lambda_2 are constant, and the learning rate is a cosine: StateNet may move all of them.
Each part writes its section of results/meta_train_statenet.json.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from ml_collections import ConfigDict

from ternary_jax import optimizer, terminal
from ternary_jax.config import load_config, split
from ternary_jax.control import schedules, statenet
from ternary_jax.control.chain import Controls, chain
from ternary_jax.engine import session, train
from ternary_jax.engine.step import keys, make_step
from ternary_jax.engine.task import Context
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns
from ternary_jax.vae import control

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "v5_10.py"
RENEWALS = 50  # of StateNet in a run, however long that is: what it has learned of a run's course is to carry over
SMALL: dict[str, Any] = {
    "train.learning_rate": 8e-3,
    "train.batch_size": 48,
    **{f"model.{b}.hidden": (128, 64) for b in "AB"},
    "model.A.decoder_hidden": (32, 64),
    "model.B.decoder_hidden": (64, 64),
}
SPACES = {5: 80, 6: 27}  # digits: epochs; both are 450 steps or so
FULL = {"train.epochs": 54}  # 2,106 steps at 3^9
HELD_OUT = range(100, 116)  # seeds of `compare`
CHOOSING = range(90, 92)  # on these its learning rates are chosen; all else on seeds from 1,000 on
UNSEEN = 10**6  # a generation that no search comes to
RATES = (1e-3, 2e-3, 4e-3)
NEAR = {"coverage_A": 0.99, "coverage_B": 0.99, "hierarchy_B": -0.80}

# The numbers of a fixed schedule, and what a unit of each is: added, or as a logarithm. 0 is the config as it is.
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
# Not the curvature: the radii that R asks for depend on where it begins, so that R would be another.
BOUNDS = {"knobs.tau": (0.0, 1.0), "schedules.alignment.mean": (0.15, 0.75), "schedules.rho.first": (0.0, 0.9)}
BOUNDS |= {"schedules.rho.second": (0.0, 0.9), "knobs.lambda_1": (0.1, 2.0), "knobs.lambda_2": (0.1, 2.0)}


class Runs(NamedTuple):
    """Whole runs of a config, as one program.

    config: resolved; steps: of a run; rows: its schedules, (steps,) each; data: of its task
    begin: phi, hypers -> state; ahead: state, (numbers, rows), hypers, data -> state; reference: state, hypers, data ->
        R; measure: state, hypers, data -> metrics; put: state of the chain, phi -> that state
    """

    config: Any
    steps: int
    rows: dict[str, Any]
    data: Any
    begin: Callable[..., Any]
    ahead: Callable[..., Any]
    reference: Callable[..., Any]
    measure: Callable[..., Any]
    put: Callable[..., Any]


# --- a run ------------------------------------------------------------------------------------------------------------


def configured(n_digits: int, control: str, changes: dict[str, Any]) -> Any:
    """The config of a run; StateNet is renewed `RENEWALS` times in it."""
    small = {} if n_digits == 9 else SMALL | {"data.n_digits": n_digits, "train.epochs": SPACES[n_digits]}
    changes = (FULL if n_digits == 9 else small) | {"control": control} | changes
    batch = load_config(CONFIG, changes).train.batch_size
    steps = -(-(3**n_digits) // batch) * changes["train.epochs"]
    ends = dict.fromkeys(("evaluate.cheap_every", "evaluate.costly_every", "checkpoint.every"), changes["train.epochs"])
    by_net = {"statenet.interval": steps // RENEWALS, "statenet.learn": "lookahead"} if "statenet" in control else {}
    return load_config(CONFIG, ends | by_net | changes)


def make_runs(config: Any) -> Runs:
    """The parts of a program, as the engine has them, but for the parameters phi of StateNet, which are an argument."""
    task, static, _ = train.prepare(config)
    turns = chain(schedules.follow("learning_rate"), task.control)
    learner, of_batches = cast(Any, (task.learner, task.reference))
    tx = optimizer.adamw_by_group(static.train.clip_norm, differentiable=True)
    step = make_step(task, static, tx, turns)
    first = train.beginning(task, tx, turns, {})
    rows = jax.tree.map(jnp.asarray, train.schedule_rows(task, static))

    def put(states, phi):
        return (states[0], learner.put(states[1], phi)) if learner else states

    def begin(phi, hypers):
        state = first(hypers)
        return state._replace(control=put(state.control, phi))

    def ahead(state, xs, hypers, data):
        key = keys(hypers)[1]
        return jax.lax.scan(lambda state, xs: (step(state, xs, key, hypers, data)[0], None), state, xs)[0]

    def reference(state, hypers, data, key, n=4):
        """R over n batches, which are those of the key."""

        def of_batch(key):
            key_batch, key_loss = jax.random.split(key)
            context = Context(jnp.int32(0), key_batch, Controls({}, None, state.knobs), hypers, data)
            return of_batches(state.params, state.knobs, task.sample(context), context._replace(key=key_loss))

        return jnp.mean(jax.lax.map(of_batch, jax.random.split(key, n)))

    def measure(state, hypers, data):
        return task.cheap(state.params, state.knobs, hypers, data)

    steps, data = len(rows["learning_rate"]), jax.device_put(task.data)
    return Runs(config, steps, rows, data, begin, ahead, reference, measure, put)


def play(runs: Runs, points: int) -> Callable[..., Any]:
    """phi, hypers, rows -> (R, metrics, knobs) at so many points of a run, mapped over runs and jitted.

    phi and hypers are of each run; rows too where they have an axis more.
    """
    n = runs.steps // points

    def run(phi, hypers, rows, data):
        def part(state, xs):
            state = runs.ahead(state, xs, hypers, data)
            metrics = runs.measure(state, hypers, data)
            r = runs.reference(state, hypers, data, jax.random.key(0))
            return state, (r, {k: metrics[k] for k in NEAR}, state.knobs)

        xs = (jnp.arange(n * points, dtype=jnp.int32), {name: row[: n * points] for name, row in rows.items()})
        xs = jax.tree.map(lambda x: x.reshape(points, n), xs)
        return jax.lax.scan(part, runs.begin(phi, hypers), xs)[1]

    def of_all(phi, hypers, rows):
        own = 0 if next(iter(rows.values())).ndim == 2 else None
        return mapped[own](phi, hypers, rows, runs.data)

    mapped = {own: jax.jit(jax.vmap(run, (0, 0, own, None))) for own in (0, None)}
    return of_all


def hypers_of(config: Any, seeds: Any, **changes: Any) -> Any:
    """Of runs with these seeds. changes: arrays of one value a run, by key with __ for a dot."""
    _, hypers = split(config)
    hypers = jax.tree.map(lambda x: np.broadcast_to(x[:1], (len(seeds),)), hypers)
    return functools.reduce(lambda h, kv: _put(h, kv[0].split("__"), kv[1]), {"seed": seeds, **changes}.items(), hypers)


def _put(hypers, path, value):
    name, *rest = path
    old = getattr(hypers, name)
    return hypers._replace(**{name: _put(old, rest, value) if rest else np.asarray(value, old.dtype)})


# --- what is chosen ---------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """vector: where the choice begins; value: vectors (n, d), generation -> F of a run of each, (n,), the run of row i
    and of row n/2 + i being of one seed and setting.
    """

    vector: Any
    value: Callable[[Any, int], Any]


def lowered(r: Any) -> Any:
    """F of R at the quarters of a run, (..., 4) -> (...). What has diverged counts as R of 100."""
    r = jnp.where(jnp.isfinite(r), r, 100)
    return jnp.log(jnp.clip(r + 0.1, 1e-2, 100)) @ jnp.array([1.0, 1.0, 1.0, 3.0]) / 6


def setting(config: Any, generation: int, n: int) -> Any:
    """Hypers of 2n runs, of n seeds and settings, each twice."""
    rng = np.random.default_rng(generation)
    twice = functools.partial(np.tile, reps=2)
    rate = config.train.learning_rate * np.exp(rng.uniform(-0.5, 0.5, n))
    c = config.model.c * np.exp(rng.uniform(-0.2, 0.2, n))
    seeds = rng.integers(1_000, 10**8, n)
    return hypers_of(config, twice(seeds), train__learning_rate=twice(rate), model__c=twice(c))


def of_statenet(base: dict[str, Any]) -> Problem:
    """All of its parameters, on top of schedules."""
    vector, back = ravel_pytree(statenet.init(jax.random.key(0)))
    every = [make_runs(configured(n, "schedules+statenet", base)) for n in SPACES]
    players = [play(runs, 4) for runs in every]

    def value(vectors, generation):
        k = generation % len(every)
        hypers = setting(every[k].config, generation, len(vectors) // 2)
        return lowered(players[k](jax.vmap(back)(vectors), hypers, every[k].rows)[0])

    return Problem(vector, value)


def of_schedules() -> Problem:
    """The numbers of SCHEDULES, without StateNet."""
    every = [make_runs(configured(n, "schedules", {})) for n in SPACES]
    players = [play(runs, 4) for runs in every]

    def value(vectors, generation):
        runs, player = every[generation % len(every)], players[generation % len(every)]
        own = [fixed(runs.config, vector) for vector in np.asarray(vectors)]
        hypers = setting(runs.config, generation, len(own) // 2)
        times = np.array([changes["train.learning_rate"] for changes in own]) / runs.config.train.learning_rate
        hypers = _put(hypers, ["train", "learning_rate"], hypers.train.learning_rate * times)  # that of the setting
        for key in {key for key in own[0] if key.startswith("knobs.")}:
            hypers = _put(hypers, key.split("."), np.array([changes[key] for changes in own]))
        rows = [rows_of(runs, changes) for changes in own]
        return lowered(player(None, hypers, {name: jnp.stack([row[name] for row in rows]) for name in rows[0]})[0])

    return Problem(jnp.zeros(len(SCHEDULES)), value)


def fixed(config: Any, vector: Any) -> dict[str, Any]:
    """The keys of a config, and their values, that a vector of SCHEDULES stands for."""
    found = {}
    for (key, (kind, unit)), x in zip(SCHEDULES.items(), vector, strict=True):
        before = value_at(config, key)
        low, high = BOUNDS.get(key, (1e-6, 1e6))
        found[key] = float(np.clip(before * np.exp(unit * x) if kind == "times" else before + unit * x, low, high))
    levels = found.pop("schedules.rho.first"), found.pop("schedules.rho.second")
    return found | {"schedules.rho.levels": (*levels, *config.schedules.rho.levels[2:])}


def value_at(config: Any, key: str) -> Any:
    """Of a key of the config, or of a level of rho."""
    places = {"schedules.rho.first": 0, "schedules.rho.second": 1}
    if key in places:
        return config.schedules.rho.levels[places[key]]
    return functools.reduce(getattr, key.split("."), config)


def rows_of(runs: Runs, changes: dict[str, Any]) -> dict[str, Any]:
    """The rows of a program whose schedules have been changed."""
    given = ConfigDict(runs.config.schedules.to_dict())
    given.update_from_flattened_dict({k: x for k, x in changes.items() if k.startswith("schedules.")}, "schedules.")
    return runs.rows | {name: jnp.asarray(row) for name, row in control.open_loop(given, runs.steps).items()}


def evolve(problem: Problem, generations: int, pairs: int, spread: float, rate: float, keep: Any) -> list[dict]:
    """Move the vector so many times; -> a line of record of each ten. keep: called with it at each of these."""
    vector, adam, log, begun = problem.vector, optax.adam(rate), [], time.time()
    state, recent = adam.init(vector), []

    @jax.jit
    def population(vector, key):
        noise = jax.random.normal(key, (pairs, vector.size))
        return noise, jnp.concatenate([vector[None] + sign * spread * noise for sign in (1, -1)])

    @jax.jit
    def moved(vector, state, noise, values):
        differences = (values[:pairs] - values[pairs:]) / 2
        slope = differences @ noise / (pairs * (jnp.std(differences) + 1e-6))
        updates, state = adam.update(slope, state)
        return optax.apply_updates(vector, updates), state

    for generation in range(generations):
        noise, vectors = population(vector, jax.random.key(generation))
        values = problem.value(vectors, generation)
        vector, state = moved(vector, state, noise, values)
        recent.append(float(jnp.mean(values)))
        if (generation + 1) % 10 == 0 or generation + 1 == generations:
            keep(vector)
            mean, seconds = round(statistics.mean(recent), 4), round(time.time() - begun)
            log.append(dict(generation=generation + 1, F=mean, s=seconds))
            terminal.say(", ".join(f"{k} {v}" for k, v in log[-1].items()))
            recent = []
    return log


def unrolled(base: dict[str, Any], episodes: int, n: int, k: int, rate: float, keep: Any) -> list[dict]:
    """StateNet by gradients of the mean log R of n runs, k steps on, through those; the runs then go on from there.

    Slopes are clipped to a norm of 1; one that is not finite moves nothing, and is counted.
    """
    every: list[Any] = [make_runs(configured(digits, "schedules+statenet", base)) for digits in SPACES]
    phi = statenet.init(jax.random.key(0))
    adam, log, begun = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)), [], time.time()
    opt = adam.init(phi)

    def window(runs, phi, opt, states, xs, hypers, data):
        key = jax.random.fold_in(jax.random.key(1), xs[0][0])

        def ahead(phi, state, hypers):
            state = runs.ahead(state._replace(control=runs.put(state.control, phi)), xs, hypers, data)
            r = runs.reference(state, hypers, data, jax.random.fold_in(key, hypers.seed), 1)
            return jnp.log(jnp.clip(r + 0.1, 1e-2, 20)), state

        def mean(phi):
            r, after = jax.vmap(ahead, (None, 0, 0))(phi, states, hypers)
            return jnp.mean(r), after

        (value, after), slope = jax.value_and_grad(mean, has_aux=True)(phi)
        good = jnp.isfinite(optax.tree.norm(slope))
        updates, moved = adam.update(jax.tree.map(lambda g: jnp.where(good, g, 0), slope), opt)
        return optax.apply_updates(phi, updates), moved, after, value, good

    compiled = [jax.jit(functools.partial(window, runs)) for runs in every]
    begin = [jax.jit(jax.vmap(runs.begin, (None, 0))) for runs in every]
    for episode in range(episodes):
        which = episode % len(every)
        runs = every[which]
        hypers = jax.tree.map(lambda x: x[:n], setting(runs.config, episode, n))
        states, seen = begin[which](phi, hypers), []
        for first in range(0, runs.steps - k + 1, k):
            rows = {name: row[first : first + k] for name, row in runs.rows.items()}
            xs = (first + jnp.arange(k, dtype=jnp.int32), rows)
            phi, opt, states, value, good = compiled[which](phi, opt, states, xs, hypers, runs.data)
            seen.append((value, good))
        values, goods = np.array(seen).T
        last, bad = round(float(values[-1]), 4), int(np.sum(goods == 0))
        log.append({"episode": episode + 1, "log(R + 0.1)": last, "not finite": bad, "s": round(time.time() - begun)})
        terminal.say(", ".join(f"{key} {v}" for key, v in log[-1].items()))
        keep(phi)
    return log


def on_small(base: dict[str, Any], nets: dict[str, Any], n: int = 24) -> dict[str, list[float]]:
    """F of each network on the same n new runs of each of SPACES."""
    found: dict[str, list[float]] = {name: [] for name in nets}
    for digits in SPACES:
        runs = make_runs(configured(digits, "schedules+statenet", base))
        player, hypers = play(runs, 4), jax.tree.map(lambda x: x[:n], setting(runs.config, UNSEEN, n))
        for name, phi in nets.items():
            of_all = jax.tree.map(functools.partial(repeated, n), phi)
            found[name] += lowered(player(of_all, hypers, runs.rows)[0]).tolist()
    return found


# --- at 3^9 -----------------------------------------------------------------------------------------------------------


def compare(arms: dict[str, tuple[str, dict, Any]], points: int = 20) -> dict[str, Any]:
    """Each arm, (control, changes, phi), on the held-out seeds: R at the end, and steps until NEAR is met, of each."""
    found = {}
    for name, (by, changes, phi) in arms.items():
        terminal.say(f"{name} ...")
        found[name] = outcomes(by, changes, phi, HELD_OUT, points=points)
        terminal.say(f"{name}: R {np.mean(found[name]['R']):.4f}, steps {np.mean(found[name]['steps']):,.0f}")
    return found


def outcomes(
    by: str, changes: dict[str, Any], phi: Any, seeds: Any, rates: Any = None, points: int = 20
) -> dict[str, Any]:
    """At 3^9, four runs at a time: R, metrics and knobs at the end; steps until NEAR, all of a run where not met."""
    runs = make_runs(configured(9, by, changes))
    player, n, parts = play(runs, points), runs.steps // points, []
    rates = np.broadcast_to(runs.config.train.learning_rate if rates is None else rates, len(seeds))
    for some in np.array_split(np.arange(len(seeds)), max(1, len(seeds) // 4)):
        nets = None if phi is None else jax.tree.map(functools.partial(repeated, len(some)), phi)
        hypers = hypers_of(runs.config, np.array(seeds)[some], train__learning_rate=rates[some])
        parts.append(jax.device_get(player(nets, hypers, runs.rows)))
    r, metrics, knobs = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    met = np.all([x <= c if c < 0 else x >= c for x, c in ((metrics[k], c) for k, c in NEAR.items())], axis=0)
    steps = np.where(met.any(1), (1 + met.argmax(1)) * n, runs.steps)
    last = {name: x[:, -1].tolist() for name, x in (metrics | knobs).items()}
    curve = r.mean(0).round(5).tolist()
    return {"R": r[:, -1].tolist(), "steps": steps.tolist(), "met": int(met.any(1).sum()), "curve": curve, **last}


def repeated(n: int, x: Any) -> Any:
    """n times along a new first axis."""
    return jnp.broadcast_to(x, (n, *jnp.shape(x)))


def interval(differences: Any) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval by Student's t."""
    from scipy.stats import t as student

    d = np.asarray(differences, float)
    half = float(student.ppf(0.975, len(d) - 1)) * d.std(ddof=1) / np.sqrt(len(d))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def table(found: dict[str, Any], base: str) -> str:
    """A line per arm: its figures, and the differences to the base with their intervals."""
    lines = [["at 3^9, 16 held-out seeds", "R", "R - base [95 %]", "steps", "steps - base [95 %]", "met"]]
    for name, one in found.items():
        gaps = [np.subtract(one[key], found[base][key]) for key in ("R", "steps")]
        r, steps = [
            "-" if name == base else between(gap, form) for gap, form in zip(gaps, (".4f", ",.0f"), strict=True)
        ]
        means = f"{np.mean(one['R']):.4f}", f"{np.mean(one['steps']):,.0f}"
        lines.append([name, means[0], r, means[1], steps, f"{one['met']} of {len(one['R'])}"])
    return columns(lines)


def between(differences: Any, form: str) -> str:
    """Their mean and its interval, as text."""
    mean, low, high = (f"{x:+{form}}" for x in interval(differences))
    return f"{mean} [{low}, {high}]"


# --- the parts --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Run a part, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS), help="they follow each other in this order")
    parser.add_argument("--generations", type=int, default=80, help="of tune and train, 24 runs each; of unroll, 8")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of results and of networks")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    session.keep_compiled_programs()
    file = given.out / "meta_train_statenet.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    before = {"tune": (), "compare": ("tune", "train")}.get(given.part, ("tune",))
    if missing := [part for part in before if part not in known]:
        parser.error(f"{given.part} needs what {missing[0]} writes to {file}: run that first")
    known[given.part] = PARTS[given.part](given, known) | {"generations": given.generations, **provenance()}
    file.write_text(json.dumps(known, indent=1) + "\n")


def _tune(given, known):
    problem, chosen = of_schedules(), {}
    log = evolve(problem, given.generations, 12, 0.15, 0.05, lambda v: chosen.update(v=np.asarray(v).tolist()))
    config = configured(min(SPACES), "schedules", {})
    base = fixed(config, chosen["v"])
    terminal.say("\n".join(f"{key} {value}" for key, value in base.items()))
    return {"log": log, "vector": dict(zip(SCHEDULES, chosen["v"], strict=True)), "changes": base}


def _train(given, known):
    problem = of_statenet(known["tune"]["changes"])
    back = ravel_pytree(statenet.init(jax.random.key(0)))[1]
    path = given.out / "statenet.npz"
    return {"log": evolve(problem, given.generations, 12, 0.01, 0.005, lambda v: statenet.save(path, back(v)))}


def _unroll(given, known):
    base, path = known["tune"]["changes"], given.out / "statenet_unrolled.npz"
    return {"log": unrolled(base, given.generations, 8, 20, 1e-3, lambda phi: statenet.save(path, phi))}


def _compare(given, known):
    tuned = known["tune"]["changes"]
    choices, mean = {}, {}
    for name, changes in (("schedules of the config", {}), ("schedules, tuned", tuned)):
        found = outcomes("schedules", changes, None, [*CHOOSING] * len(RATES), np.repeat(RATES, len(CHOOSING)))
        for rate, r in zip(RATES, np.array(found["R"]).reshape(len(RATES), -1).mean(1).tolist(), strict=True):
            choice = f"{name}, rate {rate:g}"
            choices[choice], mean[choice] = changes | {"train.learning_rate": rate}, r if np.isfinite(r) else np.inf
            terminal.say(f"{choice}: R {r:.4f}")
    base, under = (min((n for n in mean if kind in n), key=mean.__getitem__) for kind in ("schedules", "tuned"))
    files = {"StateNet": "statenet.npz", "StateNet, unrolled": "statenet_unrolled.npz"}
    nets = {name: statenet.load(given.out / file) for name, file in files.items() if (given.out / file).exists()}
    small = on_small(tuned, {"schedules, tuned": statenet.init(jax.random.key(0))} | nets)
    for name in nets:
        gap = between(np.subtract(small[name], small["schedules, tuned"]), ".3f")
        terminal.say(f"on small spaces, {name}: F {np.mean(small[name]):.3f}, against schedules, tuned: {gap}")
    best = min(nets, key=lambda name: np.mean(small[name]))
    arms: dict[str, tuple] = {base: ("schedules", choices[base], None)}
    arms |= {f"{best}, on {name}": ("schedules+statenet", choices[name], nets[best]) for name in {base: 0, under: 0}}
    found = compare(arms)
    print(table(found, base))
    return {"chosen": mean, "small": small, "base": base, "arms": found}


PARTS = {"tune": _tune, "train": _train, "unroll": _unroll, "compare": _compare}


if __name__ == "__main__":
    main()
