"""Flows: their state, one step of all of them, and what they leave on the output face. Pure functions of fixed shape.

Axes: B samples of a batch, b samples that differ in the way of their flows (B, or 1 where `model.content` is off: then
one way serves the whole batch), n flows of a sample, c channels of energy, h units. Positions (x, y, z) are in cells:
x in 0 .. width - 1, y in 0 .. height - 1, z in 0 .. depth - 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ternary_jax.lattice import faces
from ternary_jax.lattice.energy_flow import barrier, interaction
from ternary_jax.lattice.energy_flow.models import SUMS, Carrier, Exchange, Head, Neuron

Params = dict[str, Any]


class Flows(NamedTuple):
    """All flows of a batch.

    position: (b, n, 3), in cells
    hidden: (layers, b, n, h)
    energy: (B, n, c)
    arrived: (b, n) bool, whether the flow has reached an output face
    steps: (b, n) int32, steps that it took until then
    memory: what the cells remember, (B, height, width, m); () without a field
    left: (b, n) bool, whether the flow belongs to the left side of the barrier; () without one
    """

    position: Array
    hidden: Array
    energy: Array
    arrived: Array
    steps: Array
    memory: Any
    left: Any = ()


class Networks(NamedTuple):
    """The modules of a config; each has the group of its name; `children`, `cells` and `spread` are arrays."""

    neuron: Any
    carrier: Any
    movement: Any
    energy: Any
    exchange: Any


def networks(static: Any) -> Networks:
    """The networks of a config."""
    model, dtype = static.model, jnp.dtype(static.train.dtype)
    factor = Head(model.channels, 0, 0.02, dtype)
    replaced = Head(model.channels, model.hidden // 2, model.hidden**-0.5, dtype)
    return Networks(
        neuron=Neuron(model.neuron_hidden, model.neuron_output, model.zero_energy, dtype),
        carrier=Carrier(model.hidden, model.layers, model.zero_energy, dtype),
        movement=Head(3, model.movement_hidden, model.movement_scale / model.movement_hidden**0.5, dtype),
        energy=factor if model.energy == "multiply" else replaced,
        exchange=Exchange(static.interaction, model.channels, dtype),
    )


def init(key: Array, static: Any) -> Params:
    """The parameters by group: those of the networks, and `children`, `cells`, `spread` where the config has them."""
    nets, model, keys = networks(static), static.model, jax.random.split(key, 7)
    place = jnp.zeros((1, 1, _n_features(model)))
    energy, h = jnp.zeros((1, 1, model.channels)), jnp.zeros((1, 1, model.hidden))
    content = energy if model.content else None
    x, hidden = jnp.zeros((1, 1, model.neuron_output)), jnp.zeros((model.layers, *h.shape))
    params: Params = {
        "neuron": nets.neuron.init(keys[0], place, content),
        "carrier": nets.carrier.init(keys[1], x, content, hidden),
        "movement": nets.movement.init(keys[2], h),
        "energy": nets.energy.init(keys[3], h),
    }
    if static.interaction.kind != "none":
        params["exchange"] = nets.exchange.init(keys[4], energy, h, lambda messages, _: (messages, ()))
    params = {group: tree["params"] for group, tree in params.items()}
    if model.children:
        n = 1 + model.children
        drawn = model.children_scale * jax.random.normal(keys[5], (n, model.hidden))
        params["children"] = {"hidden": drawn, "share": jnp.full(n, 1 / n)}
    if model.cells_scale:
        drawn = model.cells_scale * jax.random.normal(
            keys[6], (static.lattice.width * static.lattice.height, model.hidden)
        )
        params["cells"] = {"hidden": drawn}
    if model.channels > 1:
        params["spread"] = {"weights": jnp.ones(model.channels)}
    return params


def place(params: Params, inputs: Array, static: Any) -> Flows:
    """The flows of inputs (B, height, width): one for each cell, on the input face, or 1 + model.children of them."""
    model, (width, height, depth) = static.model, size(static)
    z = (depth - 1) / 2 if static.model.planes == 2 else 0.0
    start = jnp.pad(faces.cells(width, height), ((0, 0), (0, 1)), constant_values=z)
    energy = inputs.reshape(len(inputs), -1, 1)
    if model.channels > 1:
        energy = energy * params["spread"]["weights"][None, None]
    b = len(inputs) if model.content else 1
    hidden = jnp.zeros((model.layers, b, len(start), model.hidden))
    if model.cells_scale:
        hidden = hidden + params["cells"]["hidden"][None, None]
    if model.children:
        n, cells = 1 + model.children, len(start)
        share, first = jnp.tile(params["children"]["share"], cells), jnp.tile(params["children"]["hidden"], (cells, 1))
        start, energy = jnp.repeat(start, n, 0), jnp.repeat(energy, n, 1) * share[None, :, None]
        hidden = jnp.repeat(hidden, n, 2) + first[None, None]
    position = jnp.broadcast_to(start, (b, *start.shape))
    none = jnp.zeros(position.shape[:-1], bool)
    memory = interaction.empty(static.interaction, len(inputs), width, height)
    left = barrier.sides(position, static.barrier) if static.barrier.on else ()
    return Flows(position, hidden, energy, none, none.astype("int32"), memory, left)


def step(
    params: Params, flows: Flows, static: Any, key: Array | None = None, softness: ArrayLike | None = None
) -> tuple[Flows, Array]:
    """One step of all flows, and the mean square of the pushes before tanh. key: of noise and dropout; None: neither.

    softness: of the barrier, in cells; None: it is hard

    hidden' = carrier(neuron(position, energy), energy, hidden); position' = position + reach tanh(movement(hidden'));
    energy' = energy (1 + factor(hidden')), and what the exchange with other flows adds. Each part is a named scope.
    """
    nets, model = networks(static), static.model
    content = flows.energy if model.content else None
    with jax.named_scope("neuron"):
        x = nets.neuron.apply({"params": params["neuron"]}, features(flows.position, static), content)
        if key is not None and model.dropout:
            kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - model.dropout, x.shape)
            x = jnp.where(kept, x / (1 - model.dropout), 0)
    with jax.named_scope("carrier"):
        hidden = nets.carrier.apply({"params": params["carrier"]}, x, content, flows.hidden)
        h = hidden[-1]
    with jax.named_scope("movement"):
        push = nets.movement.apply({"params": params["movement"]}, h)
        position, arrived = moved(flows.position, push, static, key)
        left = flows.left
        if static.barrier.on:
            position, left = barrier.stopped(flows.position, position, left, static.barrier, model.walls, softness)
    with jax.named_scope("energy"):
        said = nets.energy.apply({"params": params["energy"]}, h)
        energy = flows.energy * (1 + said) if model.energy == "multiply" else _replaced(said, flows.energy)
    memory = flows.memory
    if static.interaction.kind != "none":
        with jax.named_scope("exchange"):
            meet = interaction.meet(static.interaction, position, memory)
            answer, memory = nets.exchange.apply({"params": params["exchange"]}, flows.energy, h, meet)
            energy = energy + answer
    after = Flows(position, hidden, energy, arrived | flows.arrived, flows.steps + ~flows.arrived, memory, left)
    if model.freeze:
        after, push = _held(flows, after), jnp.where(flows.arrived[..., None], 0, push)
    return after, jnp.mean(jnp.square(push))


def moved(position: Array, push: Array, static: Any, key: Array | None) -> tuple[Array, Array]:
    """(position after a step, whether it is on an output face). In x and y a step is reach tanh(push), in cells.

    In z with one output face it is drift (1 + tanh(push)), never back, so that the depth does not change how many steps
    a flow needs; with two faces, which lie on both sides of the start, it is drift tanh(push).
    """
    model, limits = static.model, last_cells(static)
    turned = jnp.tanh(push)
    forward = turned[..., 2:] + (model.planes == 1)
    if model.still:
        turned = jnp.zeros_like(turned)
    length = jnp.concatenate([model.reach * turned[..., :2], drift(static) * forward], -1)
    if key is not None and model.noise:
        length = length + model.noise * jax.random.normal(jax.random.fold_in(key, 0), length.shape)
    position = within_walls(position + length, limits, model.walls)
    z, last = position[..., 2], static.lattice.depth - 1
    return position, ((z <= 0) | (z >= last)) if model.planes == 2 else z >= last


def within_walls(position: Array, limits: Array, walls: str) -> Array:
    """A position, put back to the nearest point in 0 .. limits; `walls` says which gradient passes from outside.

    "inward": the one whose descent leads back inside; "through": all of it; "clip": none. "reflect" mirrors x and y at
    the wall first, but not z, as a flow at the end of z has arrived.
    """
    limits = limits.reshape((1,) * (position.ndim - 1) + (3,))
    if walls == "inward":
        return _clip_inward(position, limits)
    if walls == "through":
        difference = position - jax.lax.stop_gradient(position)  # exactly 0, with the gradient of the position
        return jax.lax.stop_gradient(jnp.clip(position, 0, limits)) + difference
    if walls == "reflect":
        mirrored = limits - jnp.abs(limits - jnp.abs(position))
        position = jnp.concatenate([mirrored[..., :2], position[..., 2:]], -1)
    return jnp.clip(position, 0, limits)


def run(
    params: Params,
    inputs: Array,
    static: Any,
    steps: int,
    key: Array | None = None,
    softness: ArrayLike | None = None,
) -> tuple[Flows, Array, Array]:
    """(flows after the steps, mean square of all pushes, positions after each step (steps, b, n, 3))."""
    key = key if static.model.noise or static.model.dropout else None

    def body(flows, number):
        flows, push = step(params, flows, static, None if key is None else jax.random.fold_in(key, number), softness)
        return flows, (push, flows.position)

    # Without remat the sums of the carrier are kept, so that no large product is computed twice. Keeping all
    # activations was rejected: it takes twice the memory and no less time.
    kept = None if static.train.remat else jax.checkpoint_policies.save_only_these_names(SUMS)
    body = jax.checkpoint(body, policy=kept)
    flows, (pushes, path) = jax.lax.scan(body, place(params, inputs, static), jnp.arange(steps))
    return flows, jnp.mean(pushes), path


def outputs(flows: Flows, static: Any) -> Array:
    """What the flows leave on the output faces, (B, planes, height, width): the mean over the channels, spread.

    A flow that has not arrived counts as if it had: its z is projected. With two faces, a flow at z has the share
    1 - z / (depth - 1) on the first one, and the rest on the second.
    """
    with jax.named_scope("collect"):
        values, (width, height, depth) = jnp.mean(flows.energy, -1, keepdims=True), size(static)
        if static.model.planes == 2:
            far = flows.position[..., 2:] / (depth - 1)
            values = values * jnp.concatenate([1 - far, far], -1)
        collected = collect(flows.position[..., :2], values, width, height, static.model.collect)
        return jnp.moveaxis(collected, -1, 1)


def collect(points: Array, values: Array, width: int, height: int, how: str) -> Array:
    """Values (..., n, c) at points (..., n, 2) on a face, (..., height, width, c).

    "spread": faces.spread, the one that teaches the flows where to land. The others are those of the original, to show
    what they cost: "round" to the nearest cell, without a gradient, and "average", divided by the weight of the flows.
    """
    if how == "round":
        points = jax.lax.stop_gradient(jnp.round(points))
    summed = faces.spread(points, values, width, height)
    if how == "average":
        summed = summed / (0.05 + occupancy(points, width, height)[..., None])
    return summed


def occupancy(points: Array, width: int, height: int) -> Array:
    """How many flows lie on each cell, by the weights of `faces.spread`: (..., height, width)."""
    return faces.spread(points, jnp.ones((*points.shape[:-1], 1)), width, height)[..., 0]


def features(position: Array, static: Any) -> Array:
    """The position in -1 .. 1, and sin and cos of pi 2^k times it, k < model.frequencies: (..., 3 + 6 frequencies).

    Without them the networks are too smooth to send neighbours to different places (Tancik et al., arXiv 2006.10739).
    """
    q = 2 * position / last_cells(static)[None, None] - 1
    angles = [jnp.pi * 2**k * q for k in range(static.model.frequencies)]
    return jnp.concatenate([q, *(f(angle) for angle in angles for f in (jnp.sin, jnp.cos))], -1)


def drift(static: Any) -> float:
    """Cells along z of a step without a push: model.drift, or the depth over all steps but one if that is 0."""
    return static.model.drift or (static.lattice.depth - 1) / (static.model.steps - 1)


def last_cells(static: Any) -> Array:
    """(3,): the number of the last cell along x, y and z."""
    return jnp.asarray(size(static), "float32") - 1


def size(static: Any) -> tuple[int, int, int]:
    """(width, height, depth) of the lattice."""
    return static.lattice.width, static.lattice.height, static.lattice.depth


# --- inside -----------------------------------------------------------------------------------------------------------


@jax.custom_vjp
def _clip_inward(position: Array, limits: Array) -> Array:
    """Clip to 0 .. limits; from outside, only a gradient passes whose descent leads back inside."""
    return jnp.clip(position, 0, limits)


def _clip_inward_bwd(kept, gradient):
    position, limits = kept
    stays = (position < 0) & (gradient > 0) | (position > limits) & (gradient < 0)
    return jnp.where(stays, 0, gradient), jnp.zeros_like(limits)


_clip_inward.defvjp(lambda position, limits: (jnp.clip(position, 0, limits), (position, limits)), _clip_inward_bwd)


def _held(before: Flows, after: Flows) -> Flows:
    """The flows after a step; a flow that had arrived before it is unchanged."""
    still = before.arrived[..., None]
    return after._replace(
        position=jnp.where(still, before.position, after.position),
        hidden=jnp.where(still, before.hidden, after.hidden),
        energy=jnp.where(still, before.energy, after.energy),
        left=jax.tree.map(lambda old, new: jnp.where(before.arrived, old, new), before.left, after.left),
    )


def _replaced(said: Array, energy: Array) -> Array:
    return jnp.broadcast_to(jnp.tanh(said), energy.shape)


def _n_features(model: Any) -> int:
    return 3 + 6 * model.frequencies
