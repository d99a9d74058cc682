"""A task that has nothing to do with ternary operations: a line through noisy points, with faults to be had.

slope and offset are two groups of parameters. `toy.poison_step` makes one term, or one gradient, NaN at that step, if
the factor on the learning rate is above `toy.poison_above`: as with a rate that is too high, half of it may do.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.control.chain import chain
from ternary_jax.engine.task import Loss, Metric, Task
from ternary_jax.keys import choice, flag, integer, real

KEYS = {
    "toy.points": integer(1, 10**6),
    "toy.poison": choice("fit", "pull", "gradient"),
    "toy.poison_step": real(-1, 10**9, traced=True),
    "toy.poison_above": real(0, 1, traced=True),
    "toy.noise": real(0, 10, traced=True),
    "losses.pull.on": flag(),
    "losses.pull.weight": real(0, 10, traced=True),
    "targets.error": real(0, 10),
}
TRACES = []  # one entry for each time that the loss is traced


def make_task(static):
    """y = 2 x - 1, seen with noise; `error` is what is left of it, `distance` that of the parameters."""
    x = np.linspace(-1, 1, static.toy.points, dtype=np.float32)

    def init(key, hypers):
        slope, offset = jax.random.normal(key, (2, 3))
        return {"slope": {"w": slope}, "offset": {"b": offset}}

    def sample(context):
        key_rows, key_noise = jax.random.split(context.key)
        x = context.data[jax.random.randint(key_rows, (static.train.batch_size,), 0, static.toy.points)]
        return x, 2 * x - 1 + context.hypers.toy.noise * jax.random.normal(key_noise, x.shape)

    def loss(params, batch, context):
        TRACES.append(1)
        x, y = batch
        slope, offset = jnp.mean(params["slope"]["w"]), jnp.mean(params["offset"]["b"])
        terms = {"fit": jnp.mean((slope * x + offset - y) ** 2)}
        if static.losses.pull.on:
            terms["pull"] = slope**2 + offset**2
        given = context.hypers.toy
        poisoned = (context.step == given.poison_step) & (context.controls.rates["slope"] > given.poison_above)
        if static.toy.poison == "gradient":  # the root of 0 has no gradient, and 0 times it is NaN
            zero = jnp.where(poisoned, slope - jax.lax.stop_gradient(slope), 1.0)
            terms["fit"] += 0 * jnp.sqrt(zero)
        elif static.toy.poison in terms:
            terms[static.toy.poison] = jnp.where(poisoned, jnp.nan, terms[static.toy.poison])
        total = terms["fit"]
        if static.losses.pull.on:
            total += context.hypers.losses.pull.weight * terms["pull"]
        return Loss(total, terms, {"slope": slope})

    def error(params, data):
        slope, offset = jnp.mean(params["slope"]["w"]), jnp.mean(params["offset"]["b"])
        return jnp.max(jnp.abs(slope * data + offset - (2 * data - 1)))

    return Task(
        name="a line",
        data=x,
        samples_per_epoch=static.toy.points,
        metrics=(
            Metric("error", -1, 0.0, float("nan"), 3.0),
            Metric("distance", -1, 0.0, float("nan"), 3.0, costly=True),
        ),
        init=init,
        knobs=lambda hypers: {},
        sample=sample,
        loss=loss,
        cheap=lambda params, knobs, hypers, data: {"error": error(params, data)},
        costly=lambda params, knobs, hypers, data: {
            "distance": jnp.hypot(jnp.mean(params["slope"]["w"]) - 2, jnp.mean(params["offset"]["b"]) + 1)
        },
        export=lambda params, knobs, hypers, data: {"slope": params["slope"]["w"], "offset": params["offset"]["b"]},
        control=chain(),
        schedules={},
        signals=(),
        ratio=("slope", "offset"),
    )
