"""The cube as the engine's Task: a face of values, a map of it, and cells that learn to carry it out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control import groups
from ternary_jax.engine import start
from ternary_jax.engine.task import Context, Loss, Task, TaskState
from ternary_jax.lattice import blur, metrics, targets
from ternary_jax.lattice.cube import cube, drives, losses, pool, verbs, views
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
        name=f"{data.target}{drives.KINDS[data.drive]} through a cube of {width} x {height} x {depth}",
        about="Cells that see their neighbours alone learn to carry a face through a cube, and to show a map of it.",
        data={"table": target.table, "evaluated": drives.evaluated(static)},
        metrics=_metrics(static),
        init=lambda key, hypers: cube.init(key, static) | jax.tree.map(jnp.asarray, loaded),
        sample=functools.partial(_sample, static),
        loss=groups.held(frozen, functools.partial(_loss, static, target)),
        evaluate=functools.partial(_evaluate, static, target),
        export=functools.partial(_export, static),
        schedules=blur.falling(static),
        controllers={"start.frozen": groups.freeze(frozen)} if frozen else {},
        state=_pool(static) if static.pool.on else None,
        criteria=(Criteria("output", {"reached": {"r2": static.targets.r2}}, {"r2": static.targets.r2}),),
        notes=(
            f"measured on {data.evaluated} faces that were never trained on, without noise; all cells fire",
            f"{size:,} parameters",
        ),
        warm_start=start.WARM_START,
        verbs=verbs.verbs(static, outputs_in_time),
        views=views.VIEWS,
    )


def outputs(static: Any, params: Any, face: Array, updates: int, key: Array | None = None) -> tuple[Array, Array, Any]:
    """(the faces that are read (t, B, height, width), the last states, signals) of a face that drives all the time.

    t is 1 for a sweep, else `updates`. key: of noise, dropout and fire; None in an evaluation
    """
    if static.model.schedule == "sweep":
        states, read = cube.sweep(params, face, static, key)
        return read[None], states, {}
    return _run(static, params, cube.start(params, len(face), static), drives.held(face, updates), key)


def outputs_in_time(
    static: Any, params: Any, given: Array, updates: int, key: Array | None = None, begun: Any = None
) -> tuple[Array, Array, Any]:
    """The same of inputs as data.drive has them.

    begun: (states (N, B, C), the updates that each has had (B,)) to go on from; None: the start states
    """
    if static.model.schedule == "sweep":
        return outputs(static, params, given, updates, key)
    states, ages = (cube.start(params, len(given), static), None) if begun is None else begun
    return _run(static, params, states, drives.of_updates(given, updates, static, ages), key)


# --- inside -----------------------------------------------------------------------------------------------------------


def _run(
    static: Any, params: Any, states: Array, drive: tuple[Array, Any], key: Array | None
) -> tuple[Array, Array, Any]:
    states, read, moved = cube.run(params, states, drive[0], static, key, drive[1])
    return read, states, {"update_square": moved[-1]}


def _sample(static: Any, context: Context) -> Any:
    """Inputs; with a pool, pool.Drawn."""
    if static.pool.on:
        return pool.sample(context.key, context.state, static)
    return drives.inputs(context.key, static.train.batch_size, static)


def _loss(static: Any, target: targets.Target, params: Any, batch: Any, context: Context) -> Loss:
    """The terms of the config: after the last update, or over the window of updates T .. 2 T."""
    given, begun = batch, None
    if static.pool.on:
        given, begun = batch.faces, (pool.begin(params, batch, static), batch.ages)
    updates, asked = drives.asked(static)
    read, states, signals = outputs_in_time(static, params, given, updates, context.key, begun)
    faces = drives.answers(jnp.roll(given, 1, 0) if static.data.shuffled else given, static)
    read, wanted = read[asked], _mapped(target, faces, context)
    wanted = wanted[-len(read) :]
    if static.losses.window == "random":
        read, wanted = _one_of(jax.random.fold_in(context.key, updates), read, wanted)
    terms = losses.terms(read, wanted, states, static, context)
    signals |= {"state_square": jnp.mean(jnp.square(states))}
    if static.pool.on:
        signals |= {"pool_age": jnp.mean(context.state.ages.astype(jnp.float32))}
    total = losses.total(terms, context.hypers.losses)
    return Loss(total, terms, signals, jnp.moveaxis(states, 1, 0) if static.pool.on else ())


def _one_of(key: Array, read: Array, wanted: Array) -> tuple[Array, Array]:
    """One of the answers (k, B, height, width) at random, and what is wanted there."""
    number = jax.random.randint(key, (), 0, len(read))
    return read[number][None], wanted[number][None] if len(wanted) > 1 else wanted


def _mapped(target: targets.Target, faces: Array, context: Context) -> Array:
    """The map of the run, of faces (k, B, height, width)."""
    rows = faces.reshape(-1, *faces.shape[2:])
    return target.apply(_row(target, context), rows)[:, 0].reshape(faces.shape)


def _pool(static: Any) -> TaskState:
    """The pool, which gets the states of each step back."""
    updates, _ = drives.asked(static)
    return TaskState(
        lambda key, hypers: pool.init(jax.random.fold_in(key, 1), static),  # the engine's key may equal one of `init`
        lambda own, drawn, states: pool.put(own, drawn, states, updates),
    )


def _evaluate(static: Any, target: targets.Target, params: Any, context: Context) -> dict[str, Array]:
    given, model = context.data["evaluated"], static.model
    wanted = _mapped(target, drives.answers(given, static), context)
    read, states, _ = outputs_in_time(static, params, given, _longest(static))
    found = {"state_rms": jnp.sqrt(jnp.mean(jnp.square(states)))}
    if model.schedule == "sweep":
        return found | {"r2": metrics.r2(read[0], wanted[0])}
    if static.data.drive == "stream":
        return found | _of_streams(static, read, wanted)
    found |= {"r2": metrics.r2(read[model.updates - 1], wanted[0])}
    found |= {"r2_held": metrics.r2(read[2 * model.updates - 1], wanted[0])}
    if static.data.drive == "pulse":
        found |= {f"r2_after_{k}": metrics.r2(read[static.data.shown + k - 1], wanted[0]) for k in drives.SILENT}
    return found


def _of_streams(static: Any, read: Array, wanted: Array) -> dict[str, Array]:
    """r2 and the share of right parities after the bits of the training; and that share after drives.LONG bits."""
    trained, found = drives.bits(static), {}
    for name, bits in (("accuracy", trained), (f"accuracy_{drives.LONG}", drives.LONG)):
        one, other = read[drives.updates_for(bits, static) - 1], wanted[bits - 1]
        found[name] = jnp.mean(one * other > 0)
        found.setdefault("r2", metrics.r2(one, other))
    return found


def _longest(static: Any) -> int:
    """Updates of an evaluation."""
    if static.data.drive == "stream":
        return drives.updates_for(max(drives.LONG, drives.bits(static)), static)
    pulse = static.data.shown + max(drives.SILENT) if static.data.drive == "pulse" else 0
    return max(2 * static.model.updates, pulse)


def _metrics(static: Any) -> tuple[Metric, ...]:
    """r2: after model.updates, or a sweep; r2_held: after twice as many; state_rms: of the states at the end of it.

    r2_after_K: after K updates without a drive. accuracy, accuracy_K: share of right parities after the bits of the
    training, and after K bits.
    """
    nan, names = float("nan"), ["r2"]
    more = [Metric(name, 1, 1.0, 0.5, None) for name in ("accuracy", f"accuracy_{drives.LONG}")]
    if static.data.drive != "stream":
        more, names = [], names + ["r2_held"] * (static.model.schedule == "all")
    if static.data.drive == "pulse":
        names += [f"r2_after_{k}" for k in drives.SILENT]
    return (*(Metric(name, 1, 1.0, 0.0, None) for name in names), *more, Metric("state_rms", -1, nan, nan, None))


def _export(static: Any, params: Any, context: Context) -> dict[str, Array]:
    """The first four of the evaluated inputs, and what is read after each update."""
    inputs = context.data["evaluated"][:4]
    return {"inputs": inputs, "read": outputs_in_time(static, params, inputs, 2 * static.model.updates)[0]}


def _row(target: targets.Target, context: Context) -> Array:
    return context.data["table"][context.hypers.data.map % len(target.table)]
