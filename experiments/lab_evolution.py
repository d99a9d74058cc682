"""An evolution strategy that can be stopped at any moment: antithetic pairs, moved by Adam.

    v <- v - rate Adam(sum_i d_i e_i / (n std d)),   d_i = (F(v + s e_i) - F(v - s e_i)) / 2,   e_i ~ N(0, 1)

The two runs of a pair have one world and one seed, so what both owe to these cancels (Salimans et al., arXiv
1703.03864). Divided by the spread of the differences, a step has the same length whatever the scale of F.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ternary_jax import terminal

EVERY = 10  # generations from one record to the next


class Strategy(NamedTuple):
    """A way to move the centre of a population.

    init: vector -> state; centre: state -> vector
    ask: state, key -> vectors (2 pairs, d), of which i and pairs + i are one pair
    tell: state, vectors, values (2 pairs,) -> state
    """

    init: Callable[[Any], Any]
    centre: Callable[[Any], Any]
    ask: Callable[[Any, Any], Any]
    tell: Callable[[Any, Any, Any], Any]


class Search(NamedTuple):
    """What evolves.

    start: (d,); value: vectors (2 pairs, d), generation -> F (2 pairs,); judge: vector -> F, that chooses the best
    """

    start: Any
    value: Callable[[Any, int], Any]
    judge: Callable[[Any], float]


def antithetic(pairs: int, spread: float, rate: float) -> Strategy:
    """The strategy of the module. spread: s."""
    adam = optax.adam(rate)

    def ask(state, key):
        noise = jax.random.normal(key, (pairs, state[0].size))
        return state[0][None] + spread * jnp.concatenate([noise, -noise])

    def tell(state, vectors, values):
        vector, opt = state
        noise = (vectors[:pairs] - vectors[pairs:]) / (2 * spread)
        differences = (values[:pairs] - values[pairs:]) / 2
        slope = differences @ noise / (pairs * (jnp.std(differences) + 1e-6))
        updates, opt = adam.update(slope, opt)
        return optax.apply_updates(vector, updates), opt

    def init(vector):
        vector = jnp.asarray(vector, jnp.float32)
        return vector, adam.init(vector)

    return Strategy(init, lambda state: state[0], jax.jit(ask), jax.jit(tell))


def evolve(
    search: Search, strategy: Strategy, generations: int, file: Path, seed: int = 0, judged: int = 20
) -> dict[str, Any]:
    """Run so many generations, and give the best centre that `judge` has seen, with the log.

    {"vector", "judged", "generation"}: of the best; "start": the F of the start; "log": a record for every ten
        generations

    file: NPZ of the state, written every ten generations and read again by a later start, which goes on from there
    judged: generations from one judgement to the next
    """
    state, log, chosen = strategy.init(search.start), [], {}
    if file.exists():
        state, log, chosen = _read(file, state)
    else:
        found = search.judge(search.start)
        chosen = {"vector": np.asarray(search.start), "judged": found, "generation": 0, "start": found}
    first, recent, begun = (log[-1]["generation"] if log else 0), [], time.time()
    for generation in range(first, generations):
        vectors = strategy.ask(state, jax.random.key(10**6 * seed + generation))
        values = np.asarray(search.value(np.asarray(vectors), generation), np.float32)
        state = strategy.tell(state, vectors, values)
        recent.append(float(values.mean()))
        done = generation + 1
        if done % judged == 0 or done == generations:
            centre = np.asarray(strategy.centre(state))
            if (found := search.judge(centre)) < chosen["judged"]:
                chosen |= {"vector": centre, "judged": found, "generation": done}
        if done % EVERY == 0 or done == generations:
            log.append({"generation": done, "F": round(float(np.mean(recent)), 4), "s": round(time.time() - begun)})
            terminal.say(
                f"{file.stem}: generation {done} of {generations}, F {log[-1]['F']:.4f}, best {chosen['judged']:.4f}"
            )
            _write(file, state, log, chosen)
            recent, begun = [], time.time()
    return chosen | {"log": log}


def best(file: Path) -> np.ndarray:
    """The best vector of a training that `evolve` has written."""
    with np.load(file) as found:
        return found["best_vector"]


def write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """Write an NPZ that is whole or not there: a process that is killed leaves the file as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.stem}.part.npz")
    np.savez(beside, **arrays)
    beside.replace(file)


def _write(file, state, log, best):
    leaves = {f"state_{k}": np.asarray(x) for k, x in enumerate(jax.tree.leaves(state))}
    rows = np.array([[one["generation"], one["F"], one["s"]] for one in log])
    write_arrays(file, {"log": rows} | leaves | {f"best_{name}": x for name, x in best.items()})


def _read(file, like):
    with np.load(file) as found:
        leaves, tree = jax.tree.flatten(like)
        state = jax.tree.unflatten(tree, [jnp.asarray(found[f"state_{k}"]) for k in range(len(leaves))])
        log = [{"generation": int(g), "F": float(f), "s": int(s)} for g, f, s in found["log"]]
        best = {name: float(found[f"best_{name}"]) for name in ("judged", "start")}
        return state, log, best | {"vector": found["best_vector"], "generation": int(found["best_generation"])}
