"""What other models make of a prepared corpus: means, copies, linear maps and perceptrons, in the space of targets.

A model of text on a lattice is shown beside all of them. Inputs and outputs are rows of faces (n, S), as the lattice
has them; what they give is turned back into centred vectors (n, e), which metrics.py judges.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ternary_jax.lattice.text import losses, metrics, projection, splits
from ternary_jax.lattice.text.models import Skipped
from ternary_jax.lattice.text.prepared import Prepared

PENALTIES = tuple(10.0**k for k in range(-4, 6))

_judged = jax.jit(metrics.judged)


class Side(NamedTuple):
    """Pairs of one part of the split: x (n, S) faces, y (n, S) faces, truth (n,) their rows among `vectors`."""

    x: np.ndarray
    y: np.ndarray
    truth: np.ndarray


class Judge(NamedTuple):
    """train, validation, test: sides; vectors (m, e): all candidates, centred; prepared: the corpus."""

    train: Side
    validation: Side
    test: Side
    vectors: np.ndarray
    prepared: Prepared


def judge(prepared: Prepared) -> Judge:
    """A corpus as its models see it."""
    x, y = (
        np.asarray(projection.onto(side, values))
        for side, values in ((prepared.onto, prepared.left), (prepared.back, prepared.right))
    )
    sides: list[Side] = []
    for part in (splits.TRAIN, splits.VALIDATION, splits.TEST):
        rows = np.flatnonzero(prepared.split == part)
        sides.append(Side(x[prepared.left_of[rows]], y[prepared.right_of[rows]], prepared.right_of[rows]))
    return Judge(sides[0], sides[1], sides[2], prepared.right - prepared.back.mean, prepared)


def scores(of: Judge, outputs: Any, side: str = "test") -> dict[str, float]:
    """The metrics of centred vectors (n, e) of the pairs of a side."""
    outputs, vectors = jnp.asarray(outputs, "float32"), jnp.asarray(of.vectors, "float32")
    found = _judged(outputs, vectors, jnp.asarray(getattr(of, side).truth))
    return {name: round(float(value), 5) for name, value in found.items()}


def closed_forms(of: Judge) -> dict[str, Any]:
    """Name -> centred vectors of the test pairs, of all models without training by steps."""
    prepared, test = of.prepared, of.test
    lefts = prepared.left_of[prepared.split == splits.TEST]
    matrix, offset, _ = ridge(of, np.zeros((test.x.shape[1], test.y.shape[1])))
    order = np.random.default_rng(0).permutation(len(of.train.x))
    wrong, moved, _ = ridge(of._replace(train=of.train._replace(y=of.train.y[order])), np.zeros_like(matrix))
    found = {
        "mean": np.zeros_like(of.vectors[test.truth]),
        "shuffled pairs, ridge": projection.back(prepared.back, test.x @ wrong + moved),
        "ridge": projection.back(prepared.back, test.x @ matrix + offset),
    }
    if prepared.about["inputs"] == "meaning":
        found["copy"] = prepared.left[lefts] - prepared.left[prepared.left_of[prepared.split == splits.TRAIN]].mean(0)
        near, shift, _ = ridge(
            of, prepared.onto.basis.T @ prepared.back.basis * prepared.back.gain / prepared.onto.gain
        )
        found["ridge to identity"] = projection.back(prepared.back, test.x @ near + shift)
    if len(prepared.meaning):
        train = prepared.left_of[prepared.split == splits.TRAIN]
        found["ceiling: the teacher's left side"] = prepared.meaning[lefts] - prepared.meaning[train].mean(0)
    found["oracle: the target itself, through the face"] = projection.back(prepared.back, test.y)
    return found


def ridge(of: Judge, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(matrix, offset, penalty): least squares with n penalty / 100 |matrix - towards|^2.

    The penalty of PENALTIES is the one with the greatest cosine on the validation pairs.
    """
    x, y = of.train.x.astype(np.float64), of.train.y.astype(np.float64)
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram, product = (x - x_mean).T @ (x - x_mean), (x - x_mean).T @ (y - y_mean)
    best: tuple[float, Any] = (-np.inf, None)
    for penalty in PENALTIES:
        added = penalty * len(x) / 100
        matrix = np.linalg.solve(gram + added * np.eye(len(gram)), product + added * towards)
        offset = y_mean - x_mean @ matrix
        outputs = projection.back(of.prepared.back, of.validation.x @ matrix + offset)
        cosine = float(metrics.cosine(jnp.asarray(outputs), jnp.asarray(of.vectors[of.validation.truth])))
        best = max(best, (cosine, (matrix, offset, penalty)), key=lambda pair: pair[0])
    return best[1]


class Recipe(NamedTuple):
    """Training of a perceptron; hidden: its units; every: steps between two looks at the validation pairs."""

    hidden: int
    loss: str
    steps: int = 1500
    batch: int = 256
    rate: float = 1e-3
    dropout: float = 0.2
    temperature: float = 0.05
    every: int = 50


def perceptron(of: Judge, recipe: Recipe, seed: int) -> tuple[np.ndarray, int]:
    """(centred vectors of the test pairs, parameters) of a perceptron with a linear skip, best by the validation.

    Of its own loss: the cosine, or recall_10 of the validation pairs.
    """
    network = Skipped(recipe.hidden, of.train.y.shape[1], recipe.dropout)
    back = jax.tree.map(jnp.asarray, of.prepared.back)
    x, truth, vectors = jnp.asarray(of.train.x), jnp.asarray(of.train.truth), jnp.asarray(of.vectors)
    params = jax.jit(network.init, static_argnums=2)(jax.random.key(seed), x[:2], False)
    tx = optax.adam(optax.cosine_decay_schedule(recipe.rate, recipe.steps))

    def loss(params, rows, key):
        outputs = network.apply(params, x[rows], True, rngs={"dropout": key})
        found, numbers = projection.back(back, outputs), truth[rows]
        return losses.of(recipe.loss, found, vectors[numbers], numbers, recipe.temperature)

    @jax.jit
    def chunk(carry, first):
        def step(carry, number):
            params, opt = carry
            key = jax.random.fold_in(jax.random.key(seed + 1), number)
            rows = jax.random.randint(key, (recipe.batch,), 0, len(x))
            updates, opt = tx.update(jax.grad(loss)(params, rows, jax.random.fold_in(key, 1)), opt)
            return (optax.apply_updates(params, updates), opt), None

        return jax.lax.scan(step, carry, first + jnp.arange(recipe.every))[0]

    @jax.jit
    def outputs(params, x):
        return projection.back(back, network.apply(params, x, False))

    carry, best = (params, tx.init(params)), (-np.inf, params)
    key = "cosine" if recipe.loss == "cosine" else "recall_10"
    for first in range(0, recipe.steps, recipe.every):
        carry = chunk(carry, first)
        value = scores(of, outputs(carry[0], of.validation.x), "validation")[key]
        best = max(best, (value, carry[0]), key=lambda pair: pair[0])
    return np.asarray(outputs(best[1], of.test.x)), sum(leaf.size for leaf in jax.tree.leaves(params))
