"""A task for tests of the engine, unrelated to ternary operations: a line through noisy points, with optional faults.

slope and offset are two groups of parameters. With `toy.pool` batches come from a pool that the task carries: a step
trains on its first rows, moves them by their errors, and appends them to its end. With `toy.stream` they come from the
host, which makes them anew for each step. `toy.poison_step` makes one term, or
one gradient, NaN at that step, if the factor on the learning rate is above `toy.poison_above`, so a rollback that
halves the rate may avoid it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.config.keys import choice, flag, integer, real
from ternary_jax.engine.task import Loss, Task, TaskState
from ternary_jax.metric import Metric

KEYS = {
    "toy.points": integer(1, 10**6),
    "toy.poison": choice("fit", "pull", "gradient"),
    "toy.poison_step": real(-1, 10**9, traced=True),
    "toy.poison_above": real(0, 1, traced=True),
    "toy.pool": flag(),
    "toy.stream": flag(),
    "toy.noise": real(0, 10, traced=True),
    "losses.pull.on": flag(),
    "losses.pull.weight": real(0, 10, traced=True),
    "targets.error": real(0, 10),
}
TRACES = []  # one entry for each time that the loss is traced


def make_task(static):
    """Fit y = 2 x - 1 with noise. Metrics: `error`, of the fit; `distance`, of the parameters from (2, -1)."""
    x = np.linspace(-1, 1, static.toy.points, dtype=np.float32)

    def init(key, hypers):
        slope, offset = jax.random.normal(key, (2, 3))
        return {"slope": {"w": slope}, "offset": {"b": offset}}

    rows = static.train.batch_size

    def begin(key, hypers):
        return {"x": jax.random.uniform(key, (5 * rows,), minval=-1), "steps": jnp.int32(0)}

    def advance(state, batch, wrong):
        return {
            "x": jnp.concatenate([state["x"][rows:], jnp.clip(batch[0] + 0.1 * wrong, -1, 1)]),
            "steps": state["steps"] + 1,
        }

    def sample(context):
        if static.toy.stream:
            return context.streamed
        if static.toy.pool:
            x = context.state["x"][:rows]
            return x, 2 * x - 1
        key_rows, key_noise = jax.random.split(context.key)
        x = context.data[jax.random.randint(key_rows, (rows,), 0, static.toy.points)]
        return x, 2 * x - 1 + context.hypers.toy.noise * jax.random.normal(key_noise, x.shape)

    def stream(first, n):
        drawn = [np.random.default_rng(step).uniform(-1, 1, rows) for step in range(first, first + n)]
        x = np.asarray(drawn, np.float32)
        return x, 2 * x - 1

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
        return Loss(total, terms, {"slope": slope}, jnp.abs(slope * x + offset - y) if static.toy.pool else ())

    def error(params, data):
        slope, offset = jnp.mean(params["slope"]["w"]), jnp.mean(params["offset"]["b"])
        return jnp.max(jnp.abs(slope * data + offset - (2 * data - 1)))

    def distance(params, context):
        return {"distance": jnp.hypot(jnp.mean(params["slope"]["w"]) - 2, jnp.mean(params["offset"]["b"]) + 1)}

    return Task(
        name="a line",
        data=x,
        metrics=(
            Metric("error", -1, 0.0, float("nan"), 3.0),
            Metric("distance", -1, 0.0, float("nan"), 3.0, costly=True),
        ),
        init=init,
        sample=sample,
        loss=loss,
        evaluate=lambda params, context: {"error": error(params, context.data)},
        samples_per_epoch=static.toy.points,
        stream=stream if static.toy.stream else None,
        state=TaskState(begin, advance) if static.toy.pool else None,
        costly=distance,
        export=lambda params, context: {"slope": params["slope"]["w"], "offset": params["offset"]["b"]},
    )
