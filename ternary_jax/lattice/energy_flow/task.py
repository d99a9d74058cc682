"""The energy-flow lattice as the engine's Task: a face of values, a map of it, and flows that learn to carry it out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.control import groups
from ternary_jax.engine import start
from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.lattice import blur, metrics, targets
from ternary_jax.lattice.energy_flow import counts, flow, losses, verbs, views, widths
from ternary_jax.lattice.energy_flow.settings import KEYS as KEYS
from ternary_jax.lattice.energy_flow.settings import check as check
from ternary_jax.lattice.energy_flow.settings import check_to_train as check_to_train
from ternary_jax.metric import Criteria, Metric


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    (width, height, _), data = flow.size(static), static.data
    target = targets.make(data.target, width, height, data.shift, data.maps)
    shared = {"table": target.table, "evaluated": targets.evaluated(data.evaluated, width, height, data.amplitude)}
    if target.destinations is not None:
        shared["destinations"] = target.destinations
    frozen = static.start.frozen
    sizes = counts.parameters(static.model, static.interaction, width * height)
    loaded = start.load(static.start)
    if loaded or frozen:
        start.check(static.start, loaded, jax.eval_shape(lambda key: flow.init(key, static), jax.random.key(0)))
    return Task(
        name=f"{data.target} on {width} x {height}",
        about="Flows learn to carry the values of a face through a lattice to where a map wants them.",
        data=shared,
        metrics=_metrics(static, target),
        init=lambda key, hypers: flow.init(key, static) | jax.tree.map(jnp.asarray, loaded),
        sample=lambda context: targets.inputs(context.key, static.train.batch_size, width, height, data.amplitude),
        loss=groups.held(frozen, functools.partial(_loss, static, target)),
        evaluate=functools.partial(_evaluate, static, target),
        export=functools.partial(_export, static, target),
        controllers={"start.frozen": groups.freeze(frozen)} if frozen else {},
        schedules=widths.falling(static),
        criteria=(Criteria("output", {"reached": {"r2": static.targets.r2}}, {"r2": static.targets.r2}),),
        notes=(
            f"measured on {data.evaluated} faces that were never trained on, without noise",
            f"{sum(sizes.values()):,} parameters; the original with a carrier of this size has "
            f"{counts.of_the_documents(static.model.hidden, static.model.layers):,} before its text bridge",
            *(["measured with the hard barrier, also where training has a soft one"] if widths.softens(static) else []),
        ),
        warm_start=start.WARM_START,
        verbs=verbs.verbs(static),
        views=views.VIEWS,
    )


def _loss(static: Any, target: targets.Target, params: Any, batch: Array, context: Context) -> Loss:
    """The mean square of the blurred residual, and the terms that keep flows apart and able to move."""
    softness = widths.softness(static, context)
    flows, push, _ = flow.run(params, batch, static, static.model.steps, context.key, softness)
    wanted = target.apply(_row(target, context), jnp.roll(batch, 1, 0) if static.data.shuffled else batch)
    residual = flow.outputs(flows, static) - wanted
    terms = {"fit": blur.fit(residual, static, context)}
    more = losses.of_flows(static, flows, push)
    return Loss(losses.total(terms["fit"], more, context.hypers.losses), terms | more, {})


def _evaluate(static: Any, target: targets.Target, params: Any, context: Context) -> dict[str, Array]:
    inputs, (width, height, _) = context.data["evaluated"], flow.size(static)
    flows, _, _ = flow.run(params, inputs, static, static.model.steps)
    outputs, wanted = flow.outputs(flows, static), target.apply(_row(target, context), inputs)
    points = flows.position[..., :2]
    found = {
        "r2": metrics.r2(outputs, wanted),
        "coverage": metrics.covered(points, width, height),
        "arrival": jnp.mean(flows.arrived),
        "steps_to_arrival": jnp.mean(flows.steps),
    }
    if target.planes == 2:
        found |= {f"r2_{face}": metrics.r2(outputs[:, i], wanted[:, i]) for i, face in enumerate(("near", "far"))}
    if target.destinations is not None and not static.model.children:
        found["landing"] = metrics.landed(points, context.data["destinations"][_number(target, context)], width)
    return found


def _metrics(static: Any, target: targets.Target) -> tuple[Metric, ...]:
    """r2: of all outputs; landing: share of flows that end in their cell; coverage: of the cells of the output face.

    steps_to_arrival: the mean over the flows; of those that have not arrived, all steps
    """
    best = [Metric("r2", 1, 1.0, 0.0, None)]
    if target.planes == 2:
        best += [Metric(f"r2_{face}", 1, 1.0, 0.0, None) for face in ("near", "far")]
    if target.destinations is not None and not static.model.children:
        best.append(Metric("landing", 1, 1.0, 1 / target.destinations.shape[1], None))
    nan = float("nan")
    return (
        *best,
        Metric("coverage", 1, 1.0, nan, None),
        Metric("arrival", 1, 1.0, nan, None),
        Metric("steps_to_arrival", -1, nan, nan, None),
    )


def _export(static: Any, target: targets.Target, params: Any, context: Context) -> dict[str, Array]:
    """The first four of the faces that the run is measured on, their targets and outputs, and the ways of the flows."""
    inputs = context.data["evaluated"][:4]
    flows, _, path = flow.run(params, inputs, static, static.model.steps)
    wanted = target.apply(_row(target, context), inputs)
    return {"inputs": inputs, "targets": wanted, "outputs": flow.outputs(flows, static), "paths": path}


def _number(target: targets.Target, context: Context) -> Any:
    """The row of the tables for this run: data.map, or the only one of a target that is always the same map."""
    return context.hypers.data.map % len(target.table)


def _row(target: targets.Target, context: Context) -> Array:
    return context.data["table"][_number(target, context)]
