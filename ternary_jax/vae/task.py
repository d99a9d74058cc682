"""The ternary task: a dual hyperbolic autoencoder of all operations, as the engine's Task.

Branches A and B embed every operation in the ball and decode it from its point; losses shape the radii and distances
of each branch. The metrics of a branch end with its name: coverage_B, hierarchy_B, ...
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ternary_jax import ternary
from ternary_jax.engine import start
from ternary_jax.engine.plan import plan
from ternary_jax.engine.task import Context, Inner, Loss, Network, Task
from ternary_jax.metric import Metric
from ternary_jax.vae import control, criteria, data, evaluate, geometry, objective, references, settings, verbs, views
from ternary_jax.vae.branch import BRANCHES, Branch, features, make_branch
from ternary_jax.vae.controllers import learned_weights
from ternary_jax.vae.controllers.declaration import Scope
from ternary_jax.vae.forward import curvature, forward
from ternary_jax.vae.loss_factors import multiply
from ternary_jax.vae.losses import registry
from ternary_jax.vae.reference_objective import make_reference

KEYS, check = settings.KEYS, settings.check
BLOCK = 3**7  # operations that are embedded at once in an evaluation


class Tables(NamedTuple):
    """The data of all runs, on the device.

    operations (N, D) trits; valuations (N,); train_mask (N,) bool
    strata, balls: of the training operations; balls is None without partners
    samples: of the costly metrics; held_out: None without held-out operations
    """

    operations: Any
    valuations: Any
    train_mask: Any
    strata: data.Strata
    balls: Any
    samples: evaluate.Samples
    held_out: Any


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    branches = {b: make_branch(b, static) for b in BRANCHES}
    tables = make_tables(static)
    (loaded, stored), fresh = read_from_disk(static), functools.partial(_init, branches, static)
    if static.start.groups or static.start.frozen:
        start.check(static.start, loaded, jax.eval_shape(fresh, jax.random.key(0), jnp.float32(1)))
    samples = int(tables.train_mask.sum())
    scope = Scope(
        groups={b: branch.groups for b, branch in branches.items()},
        plan=plan(static, samples),
        losses=registry.on(static.losses),
        reference=make_reference(static),
        stored=stored,
    )
    drawn = [b for b in BRANCHES if getattr(static.model, b).posterior != "point"]
    return Task(
        name="ternary operations",
        about="Two autoencoders embed all ternary operations in a ball, so that radii and distances fit the tree of "
        "the base-3 digits of their numbers, lowest first.",
        data=tables,
        samples_per_epoch=samples,
        metrics=_metrics(static, tables, drawn),
        init=lambda key, hypers: fresh(key, hypers.model.c) | jax.tree.map(jnp.asarray, loaded),
        knobs=functools.partial(control.knobs, static),
        sample=functools.partial(_sample, static),
        loss=functools.partial(_loss, branches, static),
        evaluate=functools.partial(_evaluate, branches, static),
        costly=functools.partial(_costly, branches, static, drawn),
        export=functools.partial(_export, branches, static),
        inner=_inner(branches, static),
        criteria=criteria.CRITERIA,
        notes=(_about_split(static, tables),),
        warm_start=start.WARM_START,
        verbs=verbs.verbs(branches, static),
        views=views.VIEWS,
        **control.make_control(static, scope),
    )


def read_from_disk(static: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Initial groups of parameters, and {controller: its arrays}: a task reads from disk here and nowhere else."""
    return start.load(static.start), control.stored(static)


def make_tables(static: Any) -> Tables:
    """The tables of a config, on the host."""
    n_digits = static.data.n_digits
    train = data.train_mask(static.data)
    rows = static.train.batch_size // (2 if static.data.partners else 1)
    return Tables(
        operations=ternary.operations(n_digits),
        valuations=ternary.valuations(n_digits),
        train_mask=train,
        strata=data.make_strata(train, n_digits, rows, static.data.budget, min(static.data.high_from, n_digits)),
        balls=data.make_balls(train, n_digits) if static.data.partners else None,
        samples=evaluate.draw_samples(n_digits),
        held_out=None if train.all() else evaluate.rows_held_out(train, n_digits),
    )


# --- a step -----------------------------------------------------------------------------------------------------------


def _sample(static, context: Context) -> data.Indices:
    """The anchors of a batch, and their partners if `data.partners` is on."""
    tables: Tables = context.data
    if not static.data.partners:
        return data.Indices(data.stratified(context.key, tables.strata))
    key, key_partner = jax.random.split(context.key)
    anchors = data.stratified(key, tables.strata)
    levels = jnp.arange(len(anchors), dtype=jnp.int32) % static.data.n_digits
    return data.Indices(anchors, data.partner(key_partner, anchors, levels, tables.balls))


def _loss(branches: dict[str, Branch], static, params, batch: data.Indices, context: Context):
    on = registry.on(static.losses)
    from_knobs = control.knob_factors(context.controls.knobs, on, context.hypers)

    def total_loss(params, rho, factors):
        outputs = forward(branches, static, params, batch, context, rho)
        total, terms = objective.total(outputs, on, context.hypers.losses, multiply(from_knobs, factors))
        return total, (terms, _signals(static, outputs) | control.observed(static, outputs, terms, context.key))

    def loss_under_outputs(params, outputs):
        return total_loss(params, outputs["rho"], learned_weights.output_factors(outputs))

    rho = context.hypers.model.rho
    if not static.controller.on:
        total, (terms, signals) = total_loss(params, context.controls.knobs.get("rho", jnp.asarray(rho)), {})
        return Loss(total, terms, signals)
    total, ahead, outputs, (terms, signals) = learned_weights.loss(
        loss_under_outputs, params, static.controller.hidden, context.signals, rho
    )
    signals |= {f"turned_{name}": x for name, x in outputs.items()}
    return Loss(total, terms | {"controller": ahead}, signals)


def _signals(static, outputs) -> dict[str, Any]:
    """Mean radii, and the curvature if it is learned."""
    signals = {f"radius_{b}": jnp.mean(one.points.r) for b, one in outputs.items()}
    return signals | ({"c": outputs["A"].c} if static.model.curvature == "learned" else {})


# --- parameters, metrics, exports -------------------------------------------------------------------------------------


def _init(branches, static, key, c):
    params = {}
    for branch in branches.values():
        key, own = jax.random.split(key)
        params |= branch.init(own)
    if static.model.curvature == "learned":
        params["curvature"] = {"theta": c + jnp.log(-jnp.expm1(-c))}  # log(expm1(c)), without its overflow
    if static.controller.on:
        params["controller"] = learned_weights.init(key, static.controller.hidden)
    return params


def _embedding(branches, static, params, context: Context):
    """Points (2, N, dim) of the means, decoded trits (2, N, D) int8 of both branches, and c; without dropout.

    In blocks of BLOCK operations, which stay in the caches of a CPU: all at once take half as long again.
    """
    c, operations = curvature(params, context.controls.knobs, context.hypers, static), context.data.operations

    def of_block(x):
        found = []
        for branch in branches.values():
            z = branch.project(params, branch.encode(params, x).mean, c).z
            logits = branch.decode(params, jax.vmap(geometry.log0, (0, None))(z, c))
            found.append((z, (jnp.argmax(logits, -1) - 1).astype(jnp.int8)))
        return tuple(map(jnp.stack, zip(*found, strict=True)))

    blocks = operations.reshape(-1, min(BLOCK, len(operations)), operations.shape[-1])
    z, prediction = (_joined(x) for x in jax.lax.map(of_block, blocks))
    return z, prediction, c


def _joined(x):
    """(blocks, branches, rows, d) -> (branches, blocks rows, d)."""
    return jnp.moveaxis(x, 1, 0).reshape(x.shape[1], -1, x.shape[3])


def _evaluate(branches, static, params, context: Context):
    z, prediction, c = _embedding(branches, static, params, context)
    found = jax.vmap(evaluate.cheap, (0, 0, None))(z, prediction, c)._asdict()
    if (held_out := context.data.held_out) is not None:
        of_held_out = jax.vmap(evaluate.on_held_out, (0, 0, None, None))
        found |= of_held_out(z, prediction, c, held_out)._asdict()
    return _by_branch(found)


def _costly(branches, static, drawn, params, context: Context):
    z, _, c = _embedding(branches, static, params, context)
    found = _by_branch(jax.vmap(evaluate.costly, (0, None, None))(z, c, context.data.samples)._asdict())
    knobs = context.controls.knobs
    return found | {f"prior_coverage_{b}": _prior_coverage(branches[b], b, static, params, knobs, c) for b in drawn}


def _export(branches, static, params, context: Context):
    z, prediction, c = _embedding(branches, static, params, context)
    radius = jax.vmap(jax.vmap(geometry.dist0, (0, None)), (0, None))(z, c)
    tables = context.data
    index = jnp.arange(len(tables.valuations), dtype=jnp.int32)
    of_ball = {} if c is None else {"c": c}
    of_rows = dict(index=index, valuation=tables.valuations, train_mask=tables.train_mask)
    return _by_branch(dict(z=z, radius=radius, prediction=prediction)) | of_ball | of_rows


def _inner(branches, static) -> Inner:
    def representations(params, context):
        return dict(zip(branches, _embedding(branches, static, params, context)[0], strict=True))

    def networks(params, context):
        x = features(context.data.operations, static.model.inputs)
        return {
            f"encoder_{b}": Network(x, functools.partial(branch.preactivations, params))
            for b, branch in branches.items()
        }

    return Inner(representations, networks)


def _by_branch(found):
    return {f"{name}_{b}": value[k] for name, value in found.items() for k, b in enumerate(BRANCHES)}


def _prior_coverage(branch, b, static, params, knobs, c):
    """Share of the N operations that N draws from the prior of a branch decode to."""
    n, dim = ternary.n_operations(static.data.n_digits), static.model.dim
    noise = jax.random.normal(jax.random.key(0), (n, dim))
    if getattr(static.model, b).posterior == "wrapped":
        u = knobs["sigma"] * noise / 2
    else:
        u = branch.project(params, noise, c).u
    return evaluate.prior_coverage(jnp.argmax(branch.decode(params, u), -1) - 1).share


def _metrics(static: Any, tables: Tables, drawn: list[str]) -> tuple[Metric, ...]:
    n_digits = static.data.n_digits
    of = references.levels(n_digits, 3, tables.samples) | references.held_out(tables.train_mask, n_digits)
    of |= references.of_flat_space() if static.model.geometry == "euclidean" else {}
    names = [*evaluate.Cheap._fields, *evaluate.Costly._fields]
    names[1:1] = evaluate.OnHeldOut._fields if tables.held_out is not None else ()
    costly = (*evaluate.Costly._fields, "prior_coverage")
    return tuple(
        Metric(
            f"{name}_{b}",
            references.better(name),
            of[name].best,
            of[name].chance,
            of[name].untrained,
            name in costly,
            gap=f"coverage_gap_{b}" if name == "held_out_coverage" else "",
            tag=f"{b}/{name}",
        )
        for b in reversed(BRANCHES)  # B is the main branch, so it comes first
        for name in [*names, *(["prior_coverage"] if b in drawn else [])]
    )


def _about_split(static: Any, tables: Tables) -> str:
    """The split of a run, and whether its coverage shows generalisation."""
    held_out = int((~tables.train_mask).sum())
    if not held_out:
        return "split none: every operation was trained on, so these figures say nothing of generalisation"
    kind = {
        "random": "a random split leaks, as reconstruction factorises over digits: a few percent are enough",
        "residue_balls": "whole residue balls: combinations of leading digits that were never seen",
        "digit_box": "a box: combinations of digit values that were never seen together",
    }[static.data.split]
    return f"split {static.data.split}: {held_out:,} of {len(tables.train_mask):,} operations held out; {kind}"
