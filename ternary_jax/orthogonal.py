"""Random matrices with orthonormal columns, without LAPACK."""

import jax
import jax.numpy as jnp
from jax import Array

MOST = 100  # iterations; a square matrix of 64 rows takes about 20


def orthogonal(key: Array, shape: tuple[int, ...]) -> Array:
    """(..., n, m) with m <= n and X'X = 1, drawn uniformly: the polar factor of normal entries.

    By the iteration of Newton and Schulz, X <- X (3 - X'X) / 2, which takes each singular value below sqrt(3) to 1
    (Higham, Functions of Matrices, 2008, section 8.3). The QR decomposition was rejected: jaxlib 0.10.1 splits a batch
    of matrices over the threads of XLA, and the one that splits waits for the others. Two batches at once wait for each
    other on two cores, without end; this stopped one training of five runs before its first step.
    """
    n, m = shape[-2:]
    one = jnp.broadcast_to(jnp.eye(m), (*shape[:-2], m, m))

    def gram(x):
        return jnp.einsum("...ni,...nj->...ij", x, x, precision=jax.lax.Precision.HIGHEST)

    def body(carry):
        number, x, product = carry
        x = 1.5 * x - 0.5 * jnp.matmul(x, product, precision=jax.lax.Precision.HIGHEST)
        return number + 1, x, gram(x)

    def unfinished(carry):
        return (carry[0] < MOST) & (jnp.max(jnp.abs(carry[2] - one)) > 1e-5)

    # The largest singular value of normal entries is about sqrt(n) + sqrt(m), and at most the root of their squares.
    x = jax.random.normal(key, shape)
    largest = jnp.sqrt(jnp.sum(jnp.square(x), (-2, -1), keepdims=True))
    x = x / jnp.maximum(n**0.5 + m**0.5, largest / 3**0.5)
    return jax.lax.while_loop(unfinished, body, (0, x, gram(x)))[1]
