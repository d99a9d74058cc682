"""The cube as the engine's Task: a face of values, a map of it, and cells that learn to carry it out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control import groups
from ternary_jax.engine import start
from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.lattice import blur, metrics, targets
from ternary_jax.lattice.cube import cube
from ternary_jax.lattice.cube.settings import KEYS as KEYS
from ternary_jax.lattice.cube.settings import check as check
from ternary_jax.metric import Criteria, Metric


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    (width, height, depth), data = cube.size(static), static.data
    target = targets.make(data.target, width, height, data.shift, data.maps)
    frozen, loaded = static.start.frozen, start.load(static.start)
    shapes = jax.eval_shape(lambda key: cube.init(key, static), jax.random.key(0))
    if loaded or frozen:
        start.check(static.start, loaded, shapes)
    size = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    return Task(
        name=f"{data.target} through a cube of {width} x {height} x {depth}",
        data={
            "table": target.table,
            "evaluated": targets.evaluated(data.evaluated, width, height, data.amplitude, target.signs),
        },
        metrics=_metrics(static),
        init=lambda key, hypers: cube.init(key, static) | jax.tree.map(jnp.asarray, loaded),
        sample=lambda context: targets.inputs(
            context.key, static.train.batch_size, width, height, data.amplitude, target.signs
        ),
        loss=functools.partial(_loss, static, target),
        evaluate=functools.partial(_evaluate, static, target),
        export=functools.partial(_export, static),
        schedules=blur.falling(static),
        controllers={"start.frozen": groups.freeze(frozen)} if frozen else {},
        criteria=(Criteria("output", {"reached": {"r2": static.targets.r2}}, {"r2": static.targets.r2}),),
        notes=(
            f"measured on {data.evaluated} faces that were never trained on, without noise; all cells fire",
            f"{size:,} parameters",
        ),
        warm_start=start.WARM_START,
    )


def outputs(static: Any, params: Any, face: Array, updates: int, key: Array | None = None) -> tuple[Array, Array, Any]:
    """(the faces that are read (t, B, height, width), the last states, signals) of a face that drives all the time.

    t is 1 for a sweep, else `updates`. key: of noise, dropout and fire; None in an evaluation
    """
    if static.model.schedule == "sweep":
        states, read = cube.sweep(params, face, static, key)
        return read[None], states, {}
    drives = jnp.broadcast_to(face, (updates, *face.shape))
    states, read, moved = cube.run(params, cube.start(params, len(face), static), drives, static, key)
    return read, states, {"update_square": moved[-1]}


# --- inside -----------------------------------------------------------------------------------------------------------


def _loss(static: Any, target: targets.Target, params: Any, batch: Array, context: Context) -> Loss:
    """The mean square of the blurred residual: after the last update, or over the window of updates T .. 2 T."""
    model = static.model
    first = model.updates if model.schedule == "all" else 1
    read, states, signals = outputs(static, params, batch, first * (1 + static.losses.window), context.key)
    wanted = target.apply(_row(target, context), jnp.roll(batch, 1, 0) if static.data.shuffled else batch)[:, 0]
    fit = blur.fit(read[first - 1 :] - wanted[None], static, context)
    return Loss(fit, {"fit": fit}, signals | {"state_square": jnp.mean(jnp.square(states))})


def _evaluate(static: Any, target: targets.Target, params: Any, context: Context) -> dict[str, Array]:
    inputs, model = context.data["evaluated"], static.model
    wanted = target.apply(_row(target, context), inputs)[:, 0]
    read, states, _ = outputs(static, params, inputs, 2 * model.updates)
    found = {"state_rms": jnp.sqrt(jnp.mean(jnp.square(states)))}
    if model.schedule == "sweep":
        return found | {"r2": metrics.r2(read[0], wanted)}
    return found | {"r2": metrics.r2(read[model.updates - 1], wanted), "r2_held": metrics.r2(read[-1], wanted)}


def _metrics(static: Any) -> tuple[Metric, ...]:
    """r2: after model.updates, or a sweep; r2_held: after twice as many; state_rms: of the states at the end of it."""
    nan, held = float("nan"), [Metric("r2_held", 1, 1.0, 0.0, None)] * (static.model.schedule == "all")
    return (Metric("r2", 1, 1.0, 0.0, None), *held, Metric("state_rms", -1, nan, nan, None))


def _export(static: Any, params: Any, context: Context) -> dict[str, Array]:
    """The first four evaluated faces, and what is read after each update."""
    inputs = context.data["evaluated"][:4]
    return {"inputs": inputs, "read": outputs(static, params, inputs, 2 * static.model.updates)[0]}


def _row(target: targets.Target, context: Context) -> Array:
    return context.data["table"][context.hypers.data.map % len(target.table)]
