"""How well vectors match their targets: cosines, ranks among candidates, and whether all of them are alike.

All vectors are centred: the mean of the training targets is subtracted, as vectors of a sentence encoder share a large
part, which makes the cosine of any two of them large. `outputs` (n, d), `candidates` (m, d); truth (n,) is the number
of the candidate that belongs to each output.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

COLLAPSED = 0.99  # pair_cosine from which outputs count as one and the same
FEWEST = 2.0  # dimensions below which outputs count as one and the same


def unit(x: Array) -> Array:
    """Rows of length 1; a row of zeros stays one, so its cosine with anything is 0."""
    square = jnp.sum(jnp.square(x), -1, keepdims=True)
    return x / jnp.sqrt(jnp.where(square > 0, square, 1))  # `where` before the root, whose slope at 0 is infinite


def cosine(outputs: Array, targets: Array) -> Array:
    """The mean cosine of each output with its target."""
    return jnp.mean(jnp.sum(unit(outputs) * unit(targets), -1))


def ranks(outputs: Array, candidates: Array, truth: Array, numbers: Array) -> Array:
    """(n,) the rank of the true candidate by cosine: 1 is the first. Of equal ones, each has the mean of their ranks.

    Without that, outputs that are all zero would find everything. numbers (m,): candidates with the number of the
    true one are the same text, and do not count.
    """
    similar = jnp.matmul(unit(outputs), unit(candidates).T, precision=jax.lax.Precision.HIGHEST)
    own = jnp.take_along_axis(similar, truth[:, None], 1)
    others = numbers[None] != numbers[truth][:, None]
    better, equal = ~(similar <= own) & others, (similar == own) & others  # a NaN comes last
    return 1 + jnp.sum(better, 1, dtype=similar.dtype) + 0.5 * jnp.sum(equal, 1, dtype=similar.dtype)


def judged(outputs: Array, candidates: Array, truth: Array) -> dict[str, Any]:
    """All metrics of outputs. Ranks are among the targets of these outputs, and with `_of_all` among all candidates."""
    own = candidates[truth]
    found = {"cosine": cosine(outputs, own), **retrieval(outputs, own, jnp.arange(len(truth)), truth)}
    of_all = retrieval(outputs, candidates, truth, jnp.arange(len(candidates)))
    found |= {f"{name}_of_all": of_all[name] for name in ("recall_1", "recall_10")}
    found |= {"pair_cosine": pair_cosine(outputs), "dimensions": dimensions(outputs)}
    alike = (found["pair_cosine"] > COLLAPSED) | (found["dimensions"] < FEWEST)
    return found | {"collapsed": alike.astype("float32")}


def retrieval(outputs: Array, candidates: Array, truth: Array, numbers: Array) -> dict[str, Any]:
    """recall_1 and recall_10, the shares of ranks up to these; the median rank; the mean of 1 / rank.

    The last one, known as MRR, takes each rank into account, where a recall of few pairs moves in coarse steps.
    """
    found = ranks(outputs, candidates, truth, numbers)
    return {
        "recall_1": jnp.mean(found <= 1),
        "recall_10": jnp.mean(found <= 10),
        "median_rank": jnp.median(found),
        "reciprocal_rank": jnp.mean(1 / found),
    }


def pair_cosine(x: Array) -> Array:
    """The mean cosine of two different rows; 1: all rows are alike.

    It is (|sum of the unit rows|^2 - the sum of their squares) / (n (n - 1)). A row of zeros has the square 0.
    """
    n, rows = len(x), unit(x)
    return (jnp.sum(jnp.square(jnp.sum(rows, 0))) - jnp.sum(jnp.square(rows))) / (n * (n - 1))


def dimensions(x: Array) -> Array:
    """The effective number of directions of rows (n, d): 1 / the mean of the squared cosines of all pairs of rows.

    It is the participation ratio of the eigenvalues of the second moments of the unit rows, from 1 to d. Rows along one
    line have 1, whatever their signs, where pair_cosine would be near 0; rows of zeros have 0.
    """
    rows = unit(x)
    moments = rows.T @ rows / len(x)
    square = jnp.sum(jnp.square(moments))
    return jnp.where(square > 0, 1 / jnp.where(square > 0, square, 1), 0)
