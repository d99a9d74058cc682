"""What other models make of a prepared corpus: means, copies, linear maps and perceptrons, in the space of targets.

A model of text on a lattice is shown beside all of them. Inputs and outputs are rows of faces (n, S), as the lattice
has them; what they give is turned back into centred vectors (n, e), which metrics.py judges.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ternary_jax.lattice.baselines import affine_per_cell
from ternary_jax.lattice.text import losses, metrics, projection, splits
from ternary_jax.lattice.text import prepared as corpora
from ternary_jax.lattice.text.models import PerceptronWithSkip
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


def judge(corpus: Prepared) -> Judge:
    """A corpus as its models see it."""
    x = corpora.faces(corpus).reshape(len(corpus.left), -1)
    y = np.asarray(projection.onto(corpus.back, corpus.right))
    parts = [corpora.part(corpus, part) for part in (splits.TRAIN, splits.VALIDATION, splits.TEST)]
    sides = [Side(x[left], y[right], right) for left, right in (rows.T for rows in parts)]
    return Judge(sides[0], sides[1], sides[2], corpora.targets(corpus), corpus)


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
    gain, move = affine_per_cell(of.train.x, of.train.y)
    found = {
        "mean": np.zeros_like(of.vectors[test.truth]),
        "no step: the face that goes in": projection.back(prepared.back, test.x),
        "no step: a gain and an offset for each cell": projection.back(prepared.back, test.x * gain + move),
        "shuffled pairs, ridge": projection.back(prepared.back, test.x @ wrong + moved),
        "ridge": projection.back(prepared.back, test.x @ matrix + offset),
    }
    if prepared.about["inputs"] in ("meaning", "vectors") and prepared.left.shape[1] == prepared.right.shape[1]:
        found["copy"] = prepared.left[lefts] - prepared.onto.mean
        near, shift, _ = ridge(
            of, prepared.onto.basis.T @ prepared.back.basis * prepared.back.gain / prepared.onto.gain
        )
        found["ridge to identity"] = projection.back(prepared.back, test.x @ near + shift)
    if len(prepared.meaning) and prepared.about["inputs"] != "meaning":
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
    """A perceptron and its training.

    hidden: units beside the linear map, 0 for the linear map alone
    loss: of losses.KINDS, and its temperature
    steps, batch, rate, decay: of AdamW, the rate with a cosine schedule; dropout: of the hidden units
    every: steps between two looks at the validation pairs
    """

    hidden: int
    loss: str
    steps: int = 1500
    batch: int = 256
    rate: float = 1e-3
    decay: float = 1e-2
    dropout: float = 0.2
    temperature: float = 0.05
    every: int = 50


def chosen_by(loss: str) -> str:
    """The metric of the validation pairs by which the best moment of a training is chosen."""
    return "cosine" if loss == "cosine" else "reciprocal_rank"


def size(hidden: int, cells: int) -> int:
    """Parameters of a perceptron with a linear map beside its hidden units."""
    return cells * cells + cells + (hidden * (2 * cells + 1) + cells) * (hidden > 0)


def hidden_of_size(parameters: int, cells: int) -> int:
    """The hidden units with which a perceptron has about this many parameters."""
    return max(round((parameters - cells * cells - 2 * cells) / (2 * cells + 1)), 0)


def perceptrons(of: Judge, recipe: Recipe) -> Any:
    """A function of keys (seeds,): the centred vectors of the test pairs, (seeds, n, e), all trained at once.

    Of each training, the moment counts at which `chosen_by` was best, as for the flows.
    """
    network = PerceptronWithSkip(recipe.hidden, of.train.y.shape[1], recipe.dropout)
    back = jax.tree.map(jnp.asarray, of.prepared.back)
    x, truth, vectors = jnp.asarray(of.train.x), jnp.asarray(of.train.truth), jnp.asarray(of.vectors)
    chosen = jnp.asarray(of.validation.truth)
    tx = optax.adamw(optax.cosine_decay_schedule(recipe.rate, recipe.steps), weight_decay=recipe.decay)

    def outputs(params, rows):
        return projection.back(back, network.apply(params, jnp.asarray(rows), False))

    def loss(params, rows, key):
        found, numbers = network.apply(params, x[rows], True, rngs={"dropout": key}), truth[rows]
        return losses.of(recipe.loss, projection.back(back, found), vectors[numbers], numbers, recipe.temperature)

    def run(key):
        def step(carry, number):
            params, opt = carry
            own = jax.random.fold_in(key, number)
            rows = jax.random.randint(own, (recipe.batch,), 0, len(x))
            gradient = jax.grad(loss)(params, rows, jax.random.fold_in(own, 1))
            updates, opt = tx.update(gradient, opt, params)
            return (optax.apply_updates(params, updates), opt), None

        def look(carry, first):
            (params, opt), best = carry
            (params, opt), _ = jax.lax.scan(step, (params, opt), first + jnp.arange(recipe.every))
            value = metrics.judged(outputs(params, of.validation.x), vectors, chosen)[chosen_by(recipe.loss)]
            best = jax.tree.map(lambda new, old: jnp.where(value > best[0], new, old), (value, params), best)
            return ((params, opt), best), None

        params = network.init(jax.random.fold_in(key, recipe.steps), x[:2], False)
        carry = ((params, tx.init(params)), (jnp.float32(-jnp.inf), params))
        (_, best), _ = jax.lax.scan(look, carry, jnp.arange(0, recipe.steps, recipe.every))
        return outputs(best[1], of.test.x)

    return jax.vmap(run)
