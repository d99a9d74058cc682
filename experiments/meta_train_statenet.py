"""Meta-training of StateNet on many short runs on small spaces; compare_statenet.py measures what it gains.

    python experiments/meta_train_statenet.py tune       the fixed schedules, by an evolution strategy, on 3^5 and 3^6
    python experiments/meta_train_statenet.py course     StateNet's outputs as schedules, by the same strategy
    python experiments/meta_train_statenet.py train      StateNet, by the same strategy; writes assets/statenet.npz
    python experiments/meta_train_statenet.py unroll     StateNet, by gradients through 20 steps at a time

`tune` runs first; the other parts train on top of its schedules.

Each run has its own initial point, learning rate and curvature. The minimised objective is

    F = mean over the quarters of a run, the last three times, of log(R + 0.1),

R the fixed reference objective: the losses by the weights, the c and the sigma of the config. The strategy
moves a vector v along sum_i (F(v - s e_i) - F(v + s e_i)) e_i over pairs of runs of one seed and setting, by Adam; v is
the 12 numbers of `SCHEDULES`, the 24 of a course, or all of StateNet. In the fixed schedules the ranking, tau, lambda_1
and lambda_2 are constant, and the rate is a cosine; a course sets every output of StateNet, and reads no signals.
Each part writes its section of results/meta_train_statenet.json.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_statenet as programs
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from ternary_jax import terminal
from ternary_jax.vae.controllers import statenet_network

NAME = "meta_train_statenet"


class Problem(NamedTuple):
    """A search problem.

    vector: the initial vector, (d,)
    value: vectors (n, d), generation -> F of one run each, (n,); runs i and n/2 + i share seed and setting
    """

    vector: Any
    value: Callable[[Any, int], Any]


def of_schedules() -> Problem:
    """The problem of the numbers of SCHEDULES, without StateNet."""
    every = [programs.make_runs(programs.configured(n, "schedules", {})) for n in programs.SPACES]
    players = [programs.play(runs, 4) for runs in every]

    def value(vectors, generation):
        runs, player = every[generation % len(every)], players[generation % len(every)]
        own = [programs.fixed(runs.config, vector) for vector in np.asarray(vectors)]
        hypers = programs.setting(runs.config, generation, len(own) // 2)
        times = np.array([changes["train.learning_rate"] for changes in own]) / runs.config.train.learning_rate
        rates = hypers.train.learning_rate * times  # factors on the rates of the setting
        hypers = programs.replaced(hypers, ["train", "learning_rate"], rates)
        for key in {key for key in own[0] if key.startswith("knobs.")}:
            hypers = programs.replaced(hypers, key.split("."), np.array([changes[key] for changes in own]))
        rows = [programs.rows_of(runs, changes) for changes in own]
        return programs.lowered(player(None, hypers, stacked(rows))[0])

    return Problem(jnp.zeros(len(programs.SCHEDULES)), value)


def stacked(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The schedules of runs, with an axis of runs."""
    return {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}


def of_course(base: dict[str, Any]) -> Problem:
    """The problem of the numbers of a course, on top of the schedules `base`."""
    every = [programs.make_runs(programs.configured(n, "schedules", base), course=True) for n in programs.SPACES]
    players = [programs.play(runs, 4) for runs in every]

    def value(vectors, generation):
        runs, player = every[generation % len(every)], players[generation % len(every)]
        rows = [runs.rows | programs.course_rows(vector, runs.steps) for vector in np.asarray(vectors)]
        hypers = programs.setting(runs.config, generation, len(vectors) // 2)
        return programs.lowered(player(None, hypers, stacked(rows))[0])

    return Problem(jnp.zeros(len(programs.UNITS) * len(programs.KNOTS)), value)


def of_statenet(base: dict[str, Any]) -> Problem:
    """The problem of all parameters of StateNet, on top of the schedules `base`."""
    vector, back = ravel_pytree(statenet_network.init(jax.random.key(0)))
    every = [programs.make_runs(programs.configured(n, "schedules+statenet", base)) for n in programs.SPACES]
    players = [programs.play(runs, 4) for runs in every]

    def value(vectors, generation):
        k = generation % len(every)
        hypers = programs.setting(every[k].config, generation, len(vectors) // 2)
        return programs.lowered(players[k](jax.vmap(back)(vectors), hypers, every[k].rows)[0])

    return Problem(vector, value)


def evolve(problem: Problem, generations: int, pairs: int, spread: float, rate: float, keep: Any) -> list[dict]:
    """Run the evolution strategy; returns a record for every ten generations, when it also calls keep(vector)."""
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
    """Train StateNet by gradients through windows of k steps; the loss is log(R + 0.1) at its end, the mean of n runs.

    Each run continues from the end of its window. Gradients are clipped to a norm of 1. A gradient that is not finite
    is skipped and counted.
    """
    every: list[Any] = [
        programs.make_runs(programs.configured(digits, "schedules+statenet", base)) for digits in programs.SPACES
    ]
    phi = statenet_network.init(jax.random.key(0))
    adam, log, begun = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)), [], time.time()
    opt = adam.init(phi)

    def window(runs, phi, opt, states, xs, hypers, data):
        key = jax.random.fold_in(jax.random.key(1), xs[0][0])

        def ahead(phi, state, hypers):
            state = runs.ahead(runs.put(state, phi), xs, hypers, data)
            r = runs.reference(state, hypers, data, jax.random.fold_in(key, hypers.seed), 1)
            return jnp.log(jnp.clip(r + 0.1, 1e-2, 20)), state

        def mean(phi):
            r, after = jax.vmap(ahead, (None, 0, 0))(phi, states, hypers)
            return jnp.mean(r), after

        (value, after), slope = jax.value_and_grad(mean, has_aux=True)(phi)
        good = jnp.isfinite(optax.tree.norm(slope))
        updates, moved = adam.update(slope, opt)
        moved = optax.apply_updates(phi, updates), moved
        phi, opt = jax.tree.map(lambda new, old: jnp.where(good, new, old), moved, (phi, opt))
        return phi, opt, after, value, good

    compiled = [jax.jit(functools.partial(window, runs)) for runs in every]
    begin = [jax.jit(jax.vmap(runs.begin, (None, 0))) for runs in every]
    for episode in range(episodes):
        which = episode % len(every)
        runs = every[which]
        hypers = jax.tree.map(lambda x: x[:n], programs.setting(runs.config, episode, n))
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


# --- the parts --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Run a part, print and write its results."""
    parser = lab.parser(__doc__)
    parser.add_argument("part", choices=list(PARTS), help="the part to run; tune has to be the first")
    parser.add_argument("--generations", type=int, help="of 24 runs, default: 80; for unroll: of 8 runs, default: 20")
    given = parser.parse_args()
    given.generations = given.generations or (20 if given.part == "unroll" else 80)
    lab.keep_compiled_programs()
    tuned = lab.read(NAME, given).get("tune", {}).get("changes")
    if not tuned and given.part != "tune":
        parser.error(f"{given.part} needs the result of tune in {lab.folder(given)}/{NAME}.json: run tune first")
    for file in programs.networks(given).values():
        file.parent.mkdir(parents=True, exist_ok=True)
    found = PARTS[given.part](given, tuned) | {"generations": given.generations, **lab.about()}
    found["base"] = None if given.part == "tune" else tuned
    lab.write(NAME, lab.read(NAME, given) | {given.part: found}, given)  # read again: another part may have written


def _tune(given, tuned):
    problem, chosen = of_schedules(), {}
    log = evolve(problem, given.generations, 12, 0.15, 0.05, lambda v: chosen.update(v=np.asarray(v).tolist()))
    base = programs.fixed(programs.configured(min(programs.SPACES), "schedules", {}), chosen["v"])
    terminal.say("\n".join(f"{key} {value}" for key, value in base.items()))
    return {"log": log, "vector": dict(zip(programs.SCHEDULES, chosen["v"], strict=True)), "changes": base}


def _course(given, tuned):
    chosen: dict[str, Any] = {}
    log = evolve(of_course(tuned), given.generations, 12, 0.15, 0.05, lambda v: chosen.update(v=np.asarray(v).tolist()))
    return {"log": log, "vector": chosen["v"], "units": programs.UNITS, "knots": programs.KNOTS}


def _train(given, tuned):
    problem, path = of_statenet(tuned), programs.networks(given)["statenet.npz"]
    back = ravel_pytree(statenet_network.init(jax.random.key(0)))[1]
    return {"log": evolve(problem, given.generations, 12, 0.01, 0.005, lambda v: statenet_network.save(path, back(v)))}


def _unroll(given, tuned):
    path = programs.networks(given)["statenet_unrolled.npz"]
    return {"log": unrolled(tuned, given.generations, 8, 20, 1e-3, lambda phi: statenet_network.save(path, phi))}


PARTS = {"tune": _tune, "course": _course, "train": _train, "unroll": _unroll}


if __name__ == "__main__":
    main()
