"""The ternary task: a dual hyperbolic autoencoder of all operations, as the engine's Task.

Two branches, A and B, embed every operation in the ball and decode it from there; losses shape the radii and the
distances of either. What is measured of a branch carries its name: coverage_B, hierarchy_B, ...
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.control import groups, schedules
from ternary_jax.control.chain import Control, chain
from ternary_jax.engine.task import Context, Loss, Metric, Task
from ternary_jax.engine.train import plan
from ternary_jax.vae import controller, data, evaluate, objective, references, settings, start
from ternary_jax.vae.branch import Branch, make_branch
from ternary_jax.vae.losses import radial
from ternary_jax.vae.objective import Batch, Seen

KEYS, check = settings.KEYS, settings.check


class Tables(NamedTuple):
    """What all runs share, on the device.

    operations (N, D) trits; valuations (N,); train_mask (N,) bool
    strata, balls: of the operations that are trained on; balls is None where batches hold no partners
    samples: of the costly metrics; held_out: rows that are not trained on, None where there are none
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
    branches = {b: make_branch(b, static) for b in settings.BRANCHES}
    tables = make_tables(static)
    loaded, fresh = start.load(static.start), functools.partial(_init, branches, static)
    if static.start.groups or static.start.frozen:
        start.check(static.start, loaded, jax.eval_shape(fresh, jax.random.key(0), jnp.float32(1)))
    embedding = functools.partial(_embedding, branches, static)
    of_model = dict.fromkeys(group for branch in branches.values() for group in branch.groups)
    controls, rows = _control(static, of_model, int(tables.train_mask.sum()))
    metrics = _metrics(static, tables)

    def cheap(params, hypers, tables):
        z, prediction, c = embedding(params, hypers, tables)
        found = jax.vmap(evaluate.cheap, (0, 0, None))(z, prediction, c)._asdict()
        if tables.held_out is not None:
            of_held_out = jax.vmap(evaluate.on_held_out, (0, 0, None, None))
            found |= of_held_out(z, prediction, c, tables.held_out)._asdict()
        return _by_branch(found)

    def costly(params, hypers, tables):
        z, _, c = embedding(params, hypers, tables)
        return _by_branch(jax.vmap(evaluate.costly, (0, None, None))(z, c, tables.samples)._asdict())

    def export(params, hypers, tables):
        z, prediction, c = embedding(params, hypers, tables)
        radius = jax.vmap(jax.vmap(poincare.dist0, (0, None)), (0, None))(z, c)
        index = jnp.arange(len(tables.valuations), dtype=jnp.int32)
        return _by_branch(dict(z=z, radius=radius, prediction=prediction)) | dict(
            c=c, index=index, valuation=tables.valuations, train_mask=tables.train_mask
        )

    return Task(
        name="ternary operations",
        data=tables,
        samples_per_epoch=int(tables.train_mask.sum()),
        metrics=metrics,
        init=lambda key, hypers: fresh(key, hypers.model.c) | jax.tree.map(jnp.asarray, loaded),
        knobs=lambda hypers: {},
        sample=functools.partial(_sample, static),
        loss=functools.partial(_loss, branches, static),
        cheap=cheap,
        costly=costly,
        export=export,
        control=controls,
        schedules=rows,
        signals=(*controller.SEES,) if static.controller.on else (),
        ratio=("encoder_A", "encoder_B"),
        notes=(_about_split(static, tables),),
    )


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


def curvature(params: Any, hypers: Any, static: Any) -> Array:
    """c: that of the config, or softplus(theta), which has a gradient."""
    if static.model.curvature == "fixed":
        return hypers.model.c
    return jax.nn.softplus(params["curvature"]["theta"])


# --- a step -----------------------------------------------------------------------------------------------------------


def _sample(static, context: Context):
    """Rows of the batch, (batch_size,); of a batch with partners, anchors and partners, half as many each."""
    tables: Tables = context.data
    if not static.data.partners:
        return {"rows": data.stratified(context.key, tables.strata)}
    key, key_partner = jax.random.split(context.key)
    anchors = data.stratified(key, tables.strata)
    levels = jnp.arange(len(anchors), dtype=jnp.int32) % static.data.n_digits
    return {"rows": anchors, "partners": data.partner(key_partner, anchors, levels, tables.balls)}


def _loss(branches: dict[str, Branch], static, params, batch, context: Context):
    index = jnp.concatenate([*batch.values()])
    factors, on = _phase_factors(static, context), settings.on(static.losses)
    keys = functools.partial(jax.random.fold_in, context.key)

    def weighted(params, turned):
        seen, signals = _forward(branches, static, params, index, context, turned, keys)
        total, terms = objective.total(seen, on, context.hypers.losses, _times(factors, _turned_factors(turned)))
        return total, (terms, signals)

    rest = controller.neutral(context.hypers.model.rho)
    if not static.controller.on:
        total, (terms, signals) = weighted(params, {"rho": rest["rho"]})
        return Loss(total, terms, signals)
    turned = controller.controls(params["controller"], static.controller.hidden, context.controls.knobs, rest)
    total, (terms, signals) = weighted(params, jax.lax.stop_gradient(turned))
    ahead = controller.lookahead(lambda params, turned: weighted(params, turned)[0], params, turned, rest)
    signals |= {f"turned_{name}": x for name, x in turned.items()}
    return Loss(total + controller.WEIGHT * ahead, terms | {"controller": ahead}, signals)


def _forward(branches, static, params, index, context, turned, keys):
    """What the losses see of each branch, and the mean radii and the curvature."""
    tables, hypers = context.data, context.hypers
    c, n_digits = curvature(params, hypers, static), static.data.n_digits
    batch = _batch(static, tables, index, keys)
    targets = radial.targets(hypers.radii.inner, hypers.radii.outer, hypers.model.c, n_digits)
    drops = {b: _drops(static, b) for b in branches}
    number = iter(range(1, 100))

    def key(b):
        return keys(next(number)) if drops[b] else None

    latent = {b: branch.encode(params, batch.x, key(b)) for b, branch in branches.items()}
    decoded = {b: _drawn(keys, k, latent[b]) for k, b in enumerate(branches, 100)}
    if static.model.cross_injection:
        decoded = _injected(decoded, turned["rho"])
    seen = {}
    for b, branch in branches.items():
        with jax.named_scope(f"points_{b}"):
            points = branch.project(params, latent[b].mean, c, key(b))
            u = points.u
            if decoded[b] is not latent[b].mean:
                # Apart from the mean's: of that, losses of radii alone need no direction, which XLA then leaves out.
                u = branch.project(params, decoded[b], c, key(b)).u
        seen[b] = Seen(batch, latent[b], points, branch.decode(params, u, key(b)), c, hypers.model.c, targets)
    signals = {f"radius_{b}": jnp.mean(one.points.r) for b, one in seen.items()}
    return seen, signals | ({"c": c} if static.model.curvature == "learned" else {})


def _batch(static, tables, index, keys):
    """What the losses see of the operations of a step, with shifts and a key if one of them asks for these."""
    used = settings.on(static.losses).keys()
    shifts = key = None
    if not used.isdisjoint(objective.USE_SHIFTS):
        shifts = jax.random.randint(keys(0), (static.data.shifts,), 1, len(index))
    if not used.isdisjoint(objective.USE_KEY):
        key = keys(200)
    return Batch(index, tables.valuations[index], tables.operations[index], shifts, key)


def _drawn(keys, number, latent):
    """mean + exp(log_variance / 2) eps, or the mean itself."""
    if latent.log_variance is None:
        return latent.mean
    return latent.mean + jnp.exp(latent.log_variance / 2) * jax.random.normal(keys(number), latent.mean.shape)


def _injected(y, rho):
    """(1 - rho) y + rho sg(y of the other branch): both decoders get to see some of the other's code."""
    other = dict(zip(y, reversed(y.values()), strict=True))
    return {b: (1 - rho) * y[b] + rho * jax.lax.stop_gradient(other[b]) for b in y}


def _phase_factors(static, context):
    """Factors on the losses by the phase: reconstruction, then structure too, then geometry too; {} without phases."""
    if not _phases(static):
        return {}
    structure, geometry = context.controls.knobs["structure"], context.controls.knobs["geometry"]
    later = structure * (1 - (1 - context.hypers.phases.radial_after) * geometry)
    shape = dict.fromkeys({*objective.LOSSES, *objective.JOINT} - {"reconstruction", "kl"}, structure)
    return shape | {"radial": later, "geodesic": geometry}


def _turned_factors(turned):
    """Factors on the losses by what the controller turned; the mix tau counts twice, so that a half changes nothing."""
    if "tau" not in turned:
        return {}
    mix = {"radial": 2 * (1 - turned["tau"]), "geodesic": 2 * turned["tau"]}
    return {name: x * mix.get(name, 1) for name, x in turned.items() if name not in ("tau", "rho")}


def _times(a, b):
    return a | b | {k: a[k] * b[k] for k in a.keys() & b.keys()}


def _phases(static):
    return bool(static.phases.geometry_from)


def _drops(static, b):
    own = getattr(static.model, b)
    theirs = static.model.A if own.decoder == "shared" else own
    improved = [part for kind, part in ((own.encoder, own), (theirs.decoder, theirs)) if kind == "improved"]
    projected = own.projection == "direction_radius" and static.model.projection_dropout > 0
    return projected or any(part.dropout > 0 for part in improved)


def _control(static, of_model, samples_per_epoch):
    """The chain of controllers, and the rows of the schedules that it follows."""
    names = [*of_model, *(["curvature"] if static.model.curvature == "learned" else [])]
    names += ["controller"] if static.controller.on else []
    members: list[Control] = [groups.scale(lambda hypers: {g: getattr(hypers.rates, g) for g in names})]
    rows = {}
    if static.start.frozen:
        members.append(groups.freeze(static.start.frozen))
    if _phases(static):
        steps = plan(static, samples_per_epoch)
        step = np.arange(steps.total)
        for name, begin in (("structure", static.phases.structure_from), ("geometry", static.phases.geometry_from)):
            rows[name] = (step >= steps.epoch * begin).astype(np.float32)
        members.append(schedules.follow(structure="structure", geometry="geometry"))
    if static.controller.on:
        members.append(controller.observe())
    return chain(*members), rows


# --- the beginning, and what is measured ------------------------------------------------------------------------------


def _init(branches, static, key, c):
    params = {}
    for branch in branches.values():
        key, own = jax.random.split(key)
        params |= branch.init(own)
    if static.model.curvature == "learned":
        params["curvature"] = {"theta": c + jnp.log(-jnp.expm1(-c))}  # log(expm1(c)), without its overflow
    if static.controller.on:
        params["controller"] = controller.init(key, static.controller.hidden)
    return params


def _embedding(branches, static, params, hypers, tables):
    """Points (2, N, dim), decoded trits (2, N, D) int8 of both branches, and c: of the mean, without dropout."""
    c, found = curvature(params, hypers, static), []
    for branch in branches.values():
        z = branch.project(params, branch.encode(params, tables.operations).mean, c).z
        logits = branch.decode(params, jax.vmap(poincare.log0, (0, None))(z, c))
        found.append((z, (jnp.argmax(logits, -1) - 1).astype(jnp.int8)))
    z, prediction = map(jnp.stack, zip(*found, strict=True))
    return z, prediction, c


def _by_branch(found):
    return {f"{name}_{b}": value[k] for name, value in found.items() for k, b in enumerate(settings.BRANCHES)}


def _metrics(static: Any, tables: Tables) -> tuple[Metric, ...]:
    n_digits = static.data.n_digits
    of = references.levels(n_digits, 3, tables.samples) | references.held_out(tables.train_mask, n_digits)
    names = [*evaluate.Cheap._fields, *evaluate.Costly._fields]
    names[1:1] = evaluate.OnHeldOut._fields if tables.held_out is not None else ()
    return tuple(
        Metric(f"{name}_{b}", references.better(name), of[name].best, of[name].chance, of[name].untrained, costly)
        for b in reversed(settings.BRANCHES)  # B is the branch that is judged
        for name in names
        for costly in [name in evaluate.Costly._fields]
    )


def _about_split(static: Any, tables: Tables) -> str:
    """What the coverage of a run says of generalisation."""
    held_out = int((~tables.train_mask).sum())
    if not held_out:
        return "split none: every operation was trained on, so these figures say nothing of generalisation"
    kind = {
        "random": "a random split leaks, as reconstruction factorises over digits: a few percent are enough",
        "residue_balls": "whole residue balls: combinations of leading digits that were never seen",
        "digit_box": "a box: combinations of digit values that were never seen together",
    }[static.data.split]
    return f"split {static.data.split}: {held_out:,} of {len(tables.train_mask):,} operations held out; {kind}"
