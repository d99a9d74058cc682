"""A branch of the dual model: encoder -> latent vector -> point of the ball -> decoder, as pure functions.

    digits x --encoder--> y --projection--> z in the ball, u = log_0(z), r = d(0, z) --decoder--> logits of all digits

The decoder reads u, so the reconstruction is that of the embedded point. Branches A and B are the same functions of two
trees of parameters.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax import poincare
from ternary_jax.config.keys import Key, choice, integer, integers, real
from ternary_jax.errors import ConfigError
from ternary_jax.precision import safe_sqrt
from ternary_jax.vae import geometry
from ternary_jax.vae.models import Decoder, Encoder, Projection

BRANCHES = "AB"
_OWN_KEYS = {
    "encoder": choice("plain", "improved"),
    "hidden": integers(1, 65536),
    "dropout": real(0, 0.99),
    "posterior": choice("point", "gaussian", "wrapped"),
    "projection": choice("direction_radius", "exp_map"),
    "decoder": choice("plain", "improved", "residual", "relu_residual", "shared"),
    "decoder_hidden": integers(1, 65536),
    "decoder_gain": real(1e-3, 1e6),
}
KEYS: dict[str, Key] = {
    "model.dim": integer(2, 1024),
    "model.inputs": choice("trits", "one_hot"),
    "model.max_radius": real(1e-3, 0.999),
    "model.direction_hidden": integers(1, 65536),
    "model.radius_hidden": integers(1, 65536),
    "model.projection_dropout": real(0, 0.99),
    **{f"model.{b}.{name}": key for b in BRANCHES for name, key in _OWN_KEYS.items()},
}


def check(model: Any) -> None:
    """Raise a ConfigError if the group `model` of a config has an impossible decoder."""
    check_shared_decoder(model)
    for b in BRANCHES:
        check_residual_decoder(b, model[b])


def check_shared_decoder(model: Any) -> None:
    """Branch A has a decoder of its own."""
    if model.A.decoder == "shared":
        raise ConfigError("config.model.A.decoder=shared: it is B that may share the decoder of A; give A its own")


def check_residual_decoder(name: str, own: Any) -> None:
    """The blocks of a residual decoder add to their input, so all have one width."""
    if own.decoder in ("residual", "relu_residual") and len(set(own.decoder_hidden)) != 1:
        widths = ",".join(map(str, own.decoder_hidden))
        raise ConfigError(
            f"config.model.{name}.decoder_hidden={widths} has to repeat one width, as 128,128: "
            "the blocks of a residual decoder add to their input"
        )


class Latent(NamedTuple):
    """mean, log_variance (n, dim) of the latent vector; log_variance is None if it is deterministic."""

    mean: Array
    log_variance: Array | None


class Points(NamedTuple):
    """z (n, dim) in the ball or in R^n, u = log_0(z) (n, dim), r = d(0, z) (n,).

    A projection computes u and r without z, because 1 - c|z|^2 cancels near the edge. A wrapped draw computes them from
    z, because a point too near the edge is shortened, and u and r belong to the shortened point.
    """

    z: Array
    u: Array
    r: Array


class Branch(NamedTuple):
    """Functions of the parameters of all groups. key: of the dropout; None without dropout and outside training.

    groups: the keys of its parameters
    init: key -> params
    encode: params, trits (n, D), key -> Latent
    project: params, latent vectors (n, dim), c, key -> Points
    draw: params, Latent, its Points, c, noise (n, dim), key -> Points of a draw from the posterior, or of the mean
    decode: params, tangent vectors (n, dim), key -> logits (n, D, 3)
    preactivations: params, x (n, D or 3 D) as `features` -> {layer: (n, units)} of the encoder
    """

    groups: tuple[str, ...]
    init: Callable[..., Any]
    encode: Callable[..., Latent]
    project: Callable[..., Points]
    draw: Callable[..., Points]
    decode: Callable[..., Array]
    preactivations: Callable[..., dict[str, Array]]


def make_branch(name: str, static: Any) -> Branch:
    """The branch "A" or "B" of a config."""
    own, model, n_digits = getattr(static.model, name), static.model, static.data.n_digits
    direct, dim = own.projection == "direction_radius", model.dim
    encoder, projection, decoder = _networks(own, static)
    groups = {"encoder": f"encoder_{name}", "decoder": "decoder_A" if own.decoder == "shared" else f"decoder_{name}"}
    groups |= {"projection": f"projection_{name}"} if direct else {}

    def init(key):
        inputs = {"encoder": features(jnp.zeros((1, n_digits), jnp.int8), model.inputs)}
        made = {}
        for part, module in {"encoder": encoder, "projection": projection, "decoder": decoder}.items():
            key, own_key = jax.random.split(key)
            if groups.get(part, "").endswith(name):
                made[groups[part]] = module.init(own_key, inputs.get(part, jnp.zeros((1, dim))), False)["params"]
        return made

    def call(part, module, params, x, key):
        rngs = None if key is None else {"dropout": key}
        with jax.named_scope(f"{part}_{name}"):
            out: Any = module.apply({"params": params[groups[part]]}, x, key is not None, rngs=rngs)
        return out

    def encode(params, x, key=None):
        return Latent(*call("encoder", encoder, params, features(x, model.inputs), key))

    def project(params, y, c, key=None):
        if not direct:
            return jax.vmap(_from_tangent, (0, None))(y, c)
        towards, share = call("projection", projection, params, y, key)
        square = jnp.sum(towards * towards, -1, keepdims=True)
        direction = towards / jnp.where(square > 0, safe_sqrt(square), 1)
        norm = model.max_radius * share
        r = geometry.radius(norm, c)
        u = r[:, None] / 2 * direction
        return Points(u if c is None else (norm / jnp.sqrt(c))[:, None] * direction, u, r)

    def draw(params, latent, points, c, noise, key=None):
        if own.posterior == "point":
            return points
        scale = jnp.exp(latent.log_variance / 2)
        if own.posterior == "gaussian":
            return project(params, latent.mean + scale * noise, c, key)
        return jax.vmap(_wrapped_draw, (0, 0, None))(points.z, scale * noise / 2, c)

    def decode(params, u, key=None):
        return call("decoder", decoder, params, u, key).reshape(-1, n_digits, 3)

    preactivations = partial(_preactivations, encoder, groups["encoder"])
    return Branch(tuple(groups.values()), init, encode, project, draw, decode, preactivations)


def _networks(own: Any, static: Any) -> tuple[Encoder, Projection, Decoder]:
    """The networks of a branch. own: its group `model.A` or `model.B`."""
    model, dtype, remat = static.model, jnp.dtype(static.train.dtype), static.train.remat
    theirs = model.A if own.decoder == "shared" else own
    encoder = Encoder(own.hidden, own.encoder, own.dropout, model.dim, own.posterior != "point", dtype, remat)
    projection = Projection(model.direction_hidden, model.radius_hidden, model.projection_dropout, dtype)
    n_logits = 3 * static.data.n_digits
    decoder = Decoder(
        theirs.decoder_hidden, theirs.decoder, theirs.dropout, theirs.decoder_gain, n_logits, dtype, remat
    )
    return encoder, projection, decoder


def _preactivations(encoder: Encoder, group: str, params: Any, x: Array) -> dict[str, Array]:
    """Layer -> its preactivations (n, units)."""
    seen: Any
    _, seen = encoder.apply({"params": params[group]}, x, False, mutable=["intermediates"])
    layers = seen.get("intermediates", {"trunk": {}})["trunk"]  # an encoder without layers has none
    return {name: units["preactivation"][0] for name, units in layers.items()}


def _from_tangent(y: Array, c: Array | None) -> Points:
    """exp_0(y) of y (dim,), shortened to the limit of `poincare.project` if its point would round to the edge."""
    if c is None:
        return Points(y, y, geometry.dist0(y, c))
    norm, longest = safe_sqrt(jnp.sum(y * y)), jnp.arctanh(poincare.max_norm(y.dtype)) / jnp.sqrt(c)
    beyond = ~(norm <= longest)  # NaN counts as beyond, so that c <= 0, which is no ball, gives NaN
    u = jnp.where(beyond, longest / jnp.where(beyond, norm, 1), 1) * y
    return Points(poincare.exp0(u, c), u, 2 * jnp.where(beyond, longest, norm))


def _wrapped_draw(z: Array, s: Array, c: Array) -> Points:
    """exp_z of the transport of s (dim,), a tangent vector at 0, to z."""
    z = poincare.project(poincare.translate(z, s, c), c)
    return Points(z, poincare.log0(z, c), poincare.dist0(z, c))


def features(x: Array, inputs: str) -> Array:
    """Trits (n, D) -> the input of an encoder, float32: (n, D) "trits" as numbers, or (n, 3 D) "one_hot" digits."""
    if inputs == "trits":
        return x.astype(jnp.float32)
    return (x[:, :, None] == jnp.array([-1, 0, 1], jnp.int8)[None, None]).reshape(len(x), -1).astype(jnp.float32)
