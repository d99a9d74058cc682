"""The ternary task: a dual hyperbolic autoencoder of all operations, as the engine's Task.

Two branches, A and B, embed every operation in the ball and decode it from there; losses shape the radii and the
distances of either. What is measured of a branch carries its name: coverage_B, hierarchy_B, ...
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import poincare, ternary
from ternary_jax.engine.task import Context, Inner, Loss, Metric, Network, Task
from ternary_jax.vae import control, controller, data, evaluate, factors, objective, references, senses, settings, start
from ternary_jax.vae.branch import Branch, features, make_branch
from ternary_jax.vae.losses import radial, ranking
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
    samples = int(tables.train_mask.sum())
    controlled = control.make_control(static, {b: branch.groups for b, branch in branches.items()}, samples)
    drawn = [b for b in settings.BRANCHES if getattr(static.model, b).posterior != "point"]
    metrics = _metrics(static, tables, drawn)

    def cheap(params, knobs, hypers, tables):
        z, prediction, c = embedding(params, knobs, hypers, tables)
        found = jax.vmap(evaluate.cheap, (0, 0, None))(z, prediction, c)._asdict()
        if tables.held_out is not None:
            of_held_out = jax.vmap(evaluate.on_held_out, (0, 0, None, None))
            found |= of_held_out(z, prediction, c, tables.held_out)._asdict()
        return _by_branch(found)

    def costly(params, knobs, hypers, tables):
        z, _, c = embedding(params, knobs, hypers, tables)
        found = _by_branch(jax.vmap(evaluate.costly, (0, None, None))(z, c, tables.samples)._asdict())
        return found | {f"prior_coverage_{b}": _prior_coverage(branches[b], b, static, params, knobs, c) for b in drawn}

    def export(params, knobs, hypers, tables):
        z, prediction, c = embedding(params, knobs, hypers, tables)
        radius = jax.vmap(jax.vmap(poincare.dist0, (0, None)), (0, None))(z, c)
        index = jnp.arange(len(tables.valuations), dtype=jnp.int32)
        return _by_branch(dict(z=z, radius=radius, prediction=prediction)) | dict(
            c=c, index=index, valuation=tables.valuations, train_mask=tables.train_mask
        )

    def representations(params, knobs, hypers, tables):
        z, _, _ = embedding(params, knobs, hypers, tables)
        return dict(zip(branches, z, strict=True))

    def networks(params, knobs, hypers, tables):
        x = features(tables.operations, static.model.inputs)
        return {
            f"encoder_{b}": Network(x, functools.partial(branch.preactivations, params))
            for b, branch in branches.items()
        }

    return Task(
        name="ternary operations",
        data=tables,
        samples_per_epoch=samples,
        metrics=metrics,
        init=lambda key, hypers: fresh(key, hypers.model.c) | jax.tree.map(jnp.asarray, loaded),
        knobs=functools.partial(control.knobs, static),
        sample=functools.partial(_sample, static),
        loss=functools.partial(_loss, branches, static),
        cheap=cheap,
        costly=costly,
        export=export,
        control=controlled.control,
        schedules=controlled.rows,
        signals=controlled.signals,
        ratio=("encoder_A", "encoder_B"),
        notes=(_about_split(static, tables),),
        learner=controlled.learner,
        reference=functools.partial(_reference, branches, static),
        inner=Inner(representations, networks),
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


def curvature(params: Any, knobs: Any, hypers: Any, static: Any) -> Array:
    """c: that of the config; or softplus(theta), which has a gradient; or as a controller has turned it."""
    if static.model.curvature == "learned":
        return jax.nn.softplus(params["curvature"]["theta"])
    return knobs["c"] if static.model.curvature == "controlled" else hypers.model.c


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
    index = _rows(batch)
    on = settings.on(static.losses)
    given = factors.of(context.controls.knobs, tuple(on), context.hypers.phases.radial_after)
    keys = functools.partial(jax.random.fold_in, context.key)

    def weighted(params, turned):
        seen, signals = _forward(branches, static, params, index, context, turned, keys)
        total, terms = objective.total(seen, on, context.hypers.losses, factors.times(given, _turned_factors(turned)))
        return total, (terms, signals)

    rest = controller.neutral(context.hypers.model.rho)
    if not static.controller.on:
        total, (terms, signals) = weighted(params, {"rho": context.controls.knobs.get("rho", rest["rho"])})
        return Loss(total, terms, signals | control.radial_signal(static, terms))
    turned = controller.controls(params["controller"], static.controller.hidden, context.controls.knobs, rest)
    total, (terms, signals) = weighted(params, jax.lax.stop_gradient(turned))
    ahead = controller.lookahead(lambda params, turned: weighted(params, turned)[0], params, turned, rest)
    signals |= {f"turned_{name}": x for name, x in turned.items()}
    return Loss(total + controller.WEIGHT * ahead, terms | {"controller": ahead}, signals)


def _rows(batch):
    """Anchors first: a batch that was cut into microbatches has its names in the order of the alphabet."""
    return jnp.concatenate([batch[name] for name in ("rows", "partners") if name in batch])


def _reference(branches, static, params, knobs, batch, context):
    """The losses by the weights of the config, whatever has been turned; but c and sigma are of the model."""
    on, index = settings.on(static.losses), _rows(batch)
    of_model = {name: knobs[name] for name in ("c", "sigma") if name in knobs}
    context = context._replace(controls=context.controls._replace(knobs=of_model))
    keys = functools.partial(jax.random.fold_in, context.key)
    seen, _ = _forward(branches, static, params, index, context, {"rho": context.hypers.model.rho}, keys)
    return objective.total(seen, on, context.hypers.losses, {})[0]


def _forward(branches, static, params, index, context, turned, keys):
    """What the losses see of each branch, and the mean radii and the curvature."""
    tables, hypers = context.data, context.hypers
    knobs, n_digits = context.controls.knobs, static.data.n_digits
    c = curvature(params, knobs, hypers, static)
    batch = _batch(static, tables, index, keys)
    targets = radial.targets(hypers.radii.inner, hypers.radii.outer, hypers.model.c, n_digits)
    drops = {b: _drops(static, b) for b in branches}
    number = iter(range(1, 100))

    def key(b):
        return keys(next(number)) if drops[b] else None

    latent, points, noise, drawn, seen = {}, {}, {}, {}, {}
    for k, (b, branch) in enumerate(branches.items(), 100):
        latent[b] = branch.encode(params, batch.x, key(b))
        with jax.named_scope(f"points_{b}"):
            # Apart from the draw's: of the mean, losses of radii alone need no direction, which XLA then leaves out.
            points[b] = branch.project(params, latent[b].mean, c, key(b))
            variational = latent[b].log_variance is not None
            noise[b] = jax.random.normal(keys(k), latent[b].mean.shape) if variational else None
            drawn[b] = branch.draw(params, latent[b], points[b], c, noise[b], key(b))
    decoded = {b: one.u for b, one in drawn.items()}
    if static.model.cross_injection:
        decoded = _injected(decoded, turned["rho"])
    for b, branch in branches.items():
        logits = branch.decode(params, decoded[b], key(b))
        if (temperature := f"temperature_{b}") in knobs:
            logits = logits / knobs[temperature]
        seen[b] = Seen(
            batch=batch,
            latent=latent[b],
            points=points[b],
            noise=noise[b],
            drawn=drawn[b],
            logits=logits,
            c=c,
            c0=hypers.model.c,
            sigma=knobs.get("sigma"),
            targets=targets,
        )
    signals = {f"radius_{b}": jnp.mean(one.points.r) for b, one in seen.items()}
    if static.prior.homeostat:
        signals |= {f"drawn_radius_{b}": jnp.mean(one.drawn.r) for b, one in seen.items()}
    if settings.by_statenet(static):
        shifts = jnp.stack(ranking.shifts(keys(201), len(index)))
        for b, one in seen.items():
            signals |= {f"sensed_{name}_{b}": x for name, x in senses.of_branch(one, shifts).items()}
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


def _injected(u, rho):
    """(1 - rho) u + rho sg(u of the other branch): both decoders get to see some of the other's code."""
    other = dict(zip(u, reversed(u.values()), strict=True))
    return {b: (1 - rho) * u[b] + rho * jax.lax.stop_gradient(other[b]) for b in u}


def _turned_factors(turned):
    """Factors on the losses by what the controller turned; the mix tau counts twice, so that a half changes nothing."""
    if "tau" not in turned:
        return {}
    mix = {"radial": 2 * (1 - turned["tau"]), "geodesic": 2 * turned["tau"]}
    return {name: x * mix.get(name, 1) for name, x in turned.items() if name not in ("tau", "rho")}


def _drops(static, b):
    own = getattr(static.model, b)
    theirs = static.model.A if own.decoder == "shared" else own
    improved = [part for kind, part in ((own.encoder, own), (theirs.decoder, theirs)) if kind == "improved"]
    projected = own.projection == "direction_radius" and static.model.projection_dropout > 0
    return projected or any(part.dropout > 0 for part in improved)


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


def _embedding(branches, static, params, knobs, hypers, tables):
    """Points (2, N, dim), decoded trits (2, N, D) int8 of both branches, and c: of the mean, without dropout."""
    c, found = curvature(params, knobs, hypers, static), []
    for branch in branches.values():
        z = branch.project(params, branch.encode(params, tables.operations).mean, c).z
        logits = branch.decode(params, jax.vmap(poincare.log0, (0, None))(z, c))
        found.append((z, (jnp.argmax(logits, -1) - 1).astype(jnp.int8)))
    z, prediction = map(jnp.stack, zip(*found, strict=True))
    return z, prediction, c


def _by_branch(found):
    return {f"{name}_{b}": value[k] for name, value in found.items() for k, b in enumerate(settings.BRANCHES)}


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
    names = [*evaluate.Cheap._fields, *evaluate.Costly._fields]
    names[1:1] = evaluate.OnHeldOut._fields if tables.held_out is not None else ()
    costly = (*evaluate.Costly._fields, "prior_coverage")
    return tuple(
        Metric(
            f"{name}_{b}", references.better(name), of[name].best, of[name].chance, of[name].untrained, name in costly
        )
        for b in reversed(settings.BRANCHES)  # B is the branch that is judged
        for name in [*names, *(["prior_coverage"] if b in drawn else [])]
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
