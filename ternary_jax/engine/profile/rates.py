"""What the machine can do at most: the rate of matrix products at the shapes of a step, and of moving memory.

A rate is the best of several rounds: other load of the machine only slows a round.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.engine.profile.hlo import Product, product_flops

LARGEST = 6  # shapes that are measured, those with the most FLOPs of a step
ROUNDS, ROUND_S = 5, 0.02  # rounds of a measurement, and the least seconds of each
MOST_BYTES = 2**28  # of the factors of one measurement
COPY_BYTES = {"cpu": 2**27, "gpu": 2**30, "tpu": 2**30}  # of an array that no cache holds
FLOATS = {"f32": jnp.float32, "bf16": jnp.bfloat16, "f16": jnp.float16, "f64": jnp.float64}


class Rate(NamedTuple):
    """The measured rate of a product of a step.

    share: of the FLOPs of all products of a step
    jax, numpy: FLOP/s; numpy is None where the device is no CPU, or numpy has no such type
    """

    product: Product
    share: float
    jax: float
    numpy: float | None


def best(rate: Rate) -> float:
    """The faster of jax and numpy, FLOP/s."""
    return max(rate.jax, rate.numpy or 0.0)


def matmul_rates(flops: Mapping[Product, float]) -> list[Rate]:
    """The rates of the LARGEST products, the greatest first. flops: of each product in a step."""
    total = sum(flops.values())
    largest = sorted((one for one in flops if one.dtype in FLOATS), key=lambda one: -flops[one])[:LARGEST]
    return [Rate(one, flops[one] / total, *_rates(one)) for one in largest]


def together(rates: list[Rate]) -> float | None:
    """FLOP/s of the measured products in the proportion of a step: sum(share) / sum(share / rate); None without any."""
    seconds = sum(rate.share / best(rate) for rate in rates)
    return sum(rate.share for rate in rates) / seconds if rates else None


def rough() -> float:
    """FLOP/s of one product of 512 x 512 float32 matrices in jax, for an estimate that takes little memory."""
    a, multiply = jnp.ones((512, 512)), jax.jit(jnp.matmul)
    return 2 * 512**3 / _seconds(lambda: multiply(a, a))


def bandwidth() -> float:
    """Bytes per second that are read and written by a + 1 of a float32 array that no cache holds.

    It is computed in place: a new array for each call would be slowed by the system, which clears its pages.
    """
    add = jax.jit(lambda a: a + 1, donate_argnums=0)
    arrays = [jnp.zeros(COPY_BYTES.get(jax.default_backend(), 2**27) // 4, jnp.float32)]

    def call():
        arrays[0] = add(arrays[0])
        return arrays[0]

    return 2 * arrays[0].nbytes / _seconds(call)


def _rates(product: Product) -> tuple[float, float | None]:
    """(FLOP/s of jax, of numpy). Each call makes several independent products: one alone would measure the call."""
    shapes = (product.batch, product.m, product.k), (product.batch, product.k, product.n)
    dtype, rng = FLOATS[product.dtype], np.random.default_rng(0)
    each = sum(int(np.prod(shape)) * jnp.dtype(dtype).itemsize for shape in (*shapes, shapes[0][:2] + shapes[1][2:]))
    number = int(np.clip(MOST_BYTES // each, 1, 8))
    drawn = [[rng.normal(size=shape[1:] if product.batch == 1 else shape) for shape in shapes] for _ in range(number)]
    work, factors = number * product_flops(product), jax.tree.map(lambda x: jnp.asarray(x, dtype), drawn)
    multiply = jax.jit(lambda factors: [a @ b for a, b in factors])
    in_jax = work / _seconds(lambda: multiply(factors))
    if jax.default_backend() != "cpu" or product.dtype not in ("f32", "f64"):
        return in_jax, None
    arrays = [(*map(np.asarray, pair),) for pair in factors]
    out = [a @ b for a, b in arrays]
    return in_jax, work / _seconds(lambda: [np.matmul(a, b, out=c) for (a, b), c in zip(arrays, out, strict=True)])


def _seconds(f: Callable[[], Any]) -> float:
    """Seconds of a call, the best of ROUNDS means."""
    jax.block_until_ready(f())
    begun = time.perf_counter()
    jax.block_until_ready(f())
    calls = max(1, round(ROUND_S / max(time.perf_counter() - begun, 1e-7)))
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(calls - 1):
            f()
        jax.block_until_ready(f())
        rounds.append((time.perf_counter() - begun) / calls)
    return min(rounds)
