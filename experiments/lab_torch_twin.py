# pyright: reportMissingImports=false
"""The model, losses and batches of a config as a PyTorch user would write them: the reference of our speed.

`check_twin` holds the twin to be the same program: from our parameters, on our batch and with our noise, terms agree to
1e-4, gradients to 1e-3, and the parameters after a step of AdamW. It knows what configs/v5_12.py uses and refuses the
rest. Needs the `bench` extra. Written to be fast: features are looked up, pairs of all shifts are one gather, the
optimizer is fused, gradients are freed, a step has no host transfer, and it logs nothing, where ours computes
norms by group. The distance is that of every library in float32, without our float64 gaps.
"""

import math
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ternary_jax import ternary
from ternary_jax.config import resolved
from ternary_jax.vae import data, streams
from ternary_jax.vae.branch import BRANCHES
from ternary_jax.vae.losses import registry

LIMITS = {"term": 1e-4, "gradient": 1e-3, "move": 1e-3}  # largest relative differences that pass

_LOSSES = ("reconstruction", "kl", "radial", "bands")  # those that the twin implements

# Values that the twin supports, of keys that a config could set to other values.
_ABLE = {"data.split": ("none",), "data.budget": (0.0,), "data.partners": (True,), "model.inputs": ("one_hot",)}
_ABLE |= {"model.geometry": ("poincare",), "model.curvature": ("fixed",)}
_ABLE |= {"model.projection_dropout": (0.0,), "model.cross_injection": (False,)}
_ABLE |= {f"model.{b}.projection": ("direction_radius",) for b in BRANCHES}
_ABLE |= {f"model.{b}.decoder": ("plain", "residual") for b in BRANCHES}
_ABLE |= {f"model.{b}.dropout": (0.0,) for b in BRANCHES}
_ABLE |= {f"model.{b}.posterior": ("point", "gaussian") for b in BRANCHES}
_ABLE |= {f"losses.{name}.on": ("none",) for name in registry.table() if name not in _LOSSES}
_ABLE |= {"control": ("none",), "balance.gradients": (False,), "balance.weights": (False,), "controller.on": (False,)}
_ABLE |= {"phases.structure_from": (0,), "phases.geometry_from": (0,), "start.workdir": ("",), "start.frozen": ([],)}
_ABLE |= {"train.dtype": ("float32",), "train.remat": (False,), "train.microbatches": (1,), "runs": (1,)}


def check_config(config: Any) -> None:
    """Raise a ValueError that names the first key whose value the twin does not support."""
    values = resolved(config)
    for key, able in _ABLE.items():
        if values[key] not in able:
            raise ValueError(f"the torch twin has no config.{key}={values[key]}: give {' or '.join(map(str, able))}")
    if rates := [key for key in values if key.startswith("rates.") and values[key] != 1]:
        raise ValueError(f"the torch twin has one rate for all groups, and config.{rates[0]}={values[rates[0]]}")


# --- the networks -----------------------------------------------------------------------------------------------------


class Layer(nn.Module):
    """Linear, then relu ("plain"), silu ("smooth"), or layer norm and silu ("improved")."""

    def __init__(self, n: int, width: int, kind: str):
        super().__init__()
        self.dense, self.kind = nn.Linear(n, width), kind
        if kind == "improved":
            self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(x)
        if self.kind == "plain":
            return F.relu(x)
        return F.silu(self.norm(x) if self.kind == "improved" else x)


def trunk(n: int, widths: tuple[int, ...], kind: str) -> nn.Sequential:
    """Layers one after another."""
    pairs = zip((n, *widths), widths, strict=False)
    return nn.Sequential(OrderedDict((f"layer_{k}", Layer(a, b, kind)) for k, (a, b) in enumerate(pairs)))


class Encoder(nn.Module):
    """Features -> mean, log variance or None."""

    def __init__(self, n: int, own: Any, dim: int):
        super().__init__()
        self.trunk = trunk(n, own.hidden, own.encoder)
        self.mean = nn.Linear(own.hidden[-1], dim)
        self.log_variance = nn.Linear(own.hidden[-1], dim) if own.posterior == "gaussian" else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.trunk(x)
        return self.mean(x), None if self.log_variance is None else self.log_variance(x).clamp(-10, 2)


class Projection(nn.Module):
    """Latent vectors -> directions, not yet of length 1, and radii in (0, 1)."""

    def __init__(self, dim: int, model: Any):
        super().__init__()
        self.direction = trunk(dim, model.direction_hidden, "improved")
        self.turn = nn.Linear(model.direction_hidden[-1], dim)
        self.radius = trunk(dim, model.radius_hidden, "smooth")
        self.length = nn.Linear(model.radius_hidden[-1], 1)

    def towards(self, y: Tensor) -> Tensor:
        return y + self.turn(self.direction(y))

    def share(self, y: Tensor) -> Tensor:
        return torch.sigmoid(self.length(self.radius(y)))


class Decoder(nn.Module):
    """Relu layers."""

    def __init__(self, dim: int, own: Any, out: int):
        super().__init__()
        self.gain = own.decoder_gain
        self.trunk = trunk(dim, own.decoder_hidden, "plain")
        self.out = nn.Linear(own.decoder_hidden[-1], out)

    def forward(self, u: Tensor) -> Tensor:
        return self.out(self.trunk(self.gain * u))


class Block(nn.Module):
    """h + W silu(W h)."""

    def __init__(self, width: int):
        super().__init__()
        self.inner, self.back = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.back(F.silu(self.inner(h)))


class ResidualDecoder(nn.Module):
    """Blocks beside a linear map."""

    def __init__(self, dim: int, own: Any, out: int):
        super().__init__()
        widths = own.decoder_hidden
        self.gain, self.into = own.decoder_gain, nn.Linear(dim, widths[0])
        self.blocks = nn.Sequential(*map(Block, widths))
        self.out, self.direct = nn.Linear(widths[-1], out), nn.Linear(dim, out, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        u = self.gain * u
        return self.out(F.silu(self.blocks(F.silu(self.into(u))))) + self.direct(u)


class Branch(nn.Module):
    """Encoder -> point of the ball -> decoder."""

    def __init__(self, own: Any, model: Any, n_digits: int, c: float):
        super().__init__()
        self.max_radius, self.c = model.max_radius, c
        self.encoder = Encoder(3 * n_digits, own, model.dim)
        self.projection = Projection(model.dim, model)
        decoder = Decoder if own.decoder == "plain" else ResidualDecoder
        self.decoder = decoder(model.dim, own, 3 * n_digits)

    def project(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> z (n, dim) in the ball, u = log_0(z), r = d(0, z) (n,)."""
        norm, r = self.length(y)
        direction = F.normalize(self.projection.towards(y), dim=-1)
        return norm / math.sqrt(self.c) * direction, r / 2 * direction, r.squeeze(-1)

    def length(self, y: Tensor) -> tuple[Tensor, Tensor]:
        norm = self.max_radius * self.projection.share(y)
        return norm, 2 / math.sqrt(self.c) * torch.atanh(norm)

    def forward(
        self, x: Tensor, noise: Tensor, apart: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor, Tensor]:
        """-> mean, log variance, z and r of the mean, logits of a draw; apart: whether z is used, else it is None."""
        mean, log_variance = self.encoder(x)
        if log_variance is None:
            z, u, r = self.project(mean)
        else:
            z, r = self.project(mean)[::2] if apart else (None, self.length(mean)[1].squeeze(-1))
            u = self.project(mean + torch.exp(log_variance / 2) * noise)[1]
        return mean, log_variance, z, r, self.decoder(u)


# --- batches, losses, a step ------------------------------------------------------------------------------------------


class Twin(nn.Module):
    """Both branches and the tables; forward: rows (n,), noise (n, dim), shifts (k,) -> total loss, terms."""

    digits: Tensor
    features: Tensor
    valuations: Tensor
    powers: Tensor
    levels: Tensor
    targets: Tensor
    centres: Tensor

    def __init__(self, config: Any):
        super().__init__()
        check_config(config)
        self.n_digits, self.dim, self.n_shifts = config.data.n_digits, config.model.dim, config.data.shifts
        self.h, self.c, self.n_pairs = config.losses.to_dict(), config.model.c, config.train.batch_size // 2
        branches = {b: Branch(config.model[b], config.model, self.n_digits, self.c) for b in BRANCHES}
        self.branches = nn.ModuleDict(branches)
        self.on = registry.on(config.losses)
        self.random = any(config.model[b].posterior == "gaussian" for b in BRANCHES)
        trits = torch.from_numpy(ternary.operations(self.n_digits).copy()).long()
        level = torch.arange(self.n_digits)
        bands, unit = self.h["bands"], 2 / math.sqrt(self.c)
        radii = torch.linspace(config.radii.outer, config.radii.inner, self.n_digits + 1, dtype=torch.float64)
        centres = math.log(bands["furthest"] * unit / 2) + torch.arange(self.n_digits + 1) * math.log(bands["ratio"])
        tables = {
            "digits": trits + 1,
            "features": F.one_hot(trits + 1, 3).flatten(1).float(),
            "valuations": torch.from_numpy(ternary.valuations(self.n_digits).copy()).long(),
            "powers": 3 ** torch.arange(1, self.n_digits + 1),
            "levels": level.repeat(self.n_pairs // self.n_digits + 1)[: self.n_pairs],
            "targets": (unit * torch.atanh(radii)).float(),
            "centres": centres.float(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table)

    def sample(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rows (n,): uniform anchors, then a partner of each, at each pair valuation in turn; noise; shifts."""
        anchors = torch.randint(3**self.n_digits, (self.n_pairs,))
        # The partner: the same lower digits, another digit at the level, any above it.
        low = 3**self.levels
        word = torch.randint(2**31 - 1, (self.n_pairs,)) % (2 * (3 ** (self.n_digits - 1 - self.levels)))
        digit = (anchors // low + 1 + word % 2) % 3
        rows = torch.cat([anchors, anchors % low + low * (digit + 3 * (word // 2))])
        shifts = torch.randint(1, len(rows), (self.n_shifts,)) if "radial" in self.on else None
        return rows, torch.randn(len(rows), self.dim), shifts

    def forward(self, rows: Tensor, noise: Tensor, shifts: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        x, v, digits = self.features[rows], self.valuations[rows], self.digits[rows]
        total, terms = rows.new_zeros((), dtype=torch.float32), {}
        for b, branch in self.branches.items():
            mean, log_variance, z, r, logits = branch(x, noise, b in self.on.get("bands", ""))
            parts = {}
            if b in self.on.get("reconstruction", ""):
                each = F.cross_entropy(logits.reshape(-1, 3), digits.reshape(-1))
                parts["reconstruction"] = {"reconstruction": (1, self.n_digits * each)}
            if b in self.on.get("kl", ""):
                parts["kl"] = {"kl": (1, self.kl(mean, log_variance))}
            if b in self.on.get("radial", ""):
                parts["radial"] = self.radial(r, v, shifts)
            if b in self.on.get("bands", ""):
                parts["bands"] = self.bands(z, r, v, rows, digits)
            for name, found in parts.items():
                for part, (weight, value) in found.items():
                    terms[f"{part}_{b}"] = value
                    total = total + self.h[name]["weight"] * weight * value
        return total, terms

    def kl(self, mean, log_variance):
        each = (mean.square() + torch.expm1(log_variance) - log_variance) / 2
        return each.mean(0).clamp(min=self.h["kl"]["free_bits"]).sum()

    def radial(self, r, v, shifts):
        h, target = self.h["radial"], self.targets[v]
        squared = ((1 + torch.exp(h["growth"] * v)) * (r - target).square()).mean()
        j = (torch.arange(len(r)) - shifts[:, None]) % len(r)
        outward = torch.sign(v[j] - v)
        short = F.relu(outward * (h["share"] * (target - target[j]) - (r - r[j])))
        margin = short.sum() / (outward != 0).sum().clamp(min=1)  # a pair of one level has no shortfall
        return {"radial": (1, squared), "radial_margin": (h["margin"], margin)}

    def bands(self, z, r, v, rows, digits):
        h, (first, second) = self.h["bands"], rows.split(self.n_pairs)
        half, unit = -h["width"] * math.log(h["ratio"]), 2 / math.sqrt(self.c)
        pair_v = (first[:, None] % self.powers == second[:, None] % self.powers).sum(-1)
        d = self.distance(*z.split(self.n_pairs))
        places = [unit * math.atanh(h["outer"]), unit * math.atanh(h["between"])]
        outermost = digits[:, 0] != 0
        target = torch.where(digits[:, 0] == 1, places[0], places[1])
        off = torch.where(outermost, (r - target).square(), 0.0)
        inner = self.outside(r, v, half)
        # Level 0 is placed by the spread, and counts in the mean as within its band.
        radius = torch.where(v > 0, inner, 0.0).mean()
        apart = self.outside(d, pair_v, half)
        differ = pair_v < self.n_digits
        return {
            "band_radius": (h["radius"], radius),
            "band_distance": (h["distance"], torch.where(differ, apart, 0.0).sum() / differ.sum().clamp(min=1)),
            "band_spread": (h["spread"], off.sum() / outermost.sum().clamp(min=1)),
        }

    def outside(self, length, v, half):
        log = torch.log(length.clamp(min=self.tiniest))
        centre = self.centres[v]
        above = torch.where(v > 0, F.relu(log - centre - half), 0.0)
        below = torch.where(v < self.n_digits, F.relu(centre - half - log), 0.0)
        return above.square() + below.square()

    @property
    def tiniest(self):
        h = self.h["bands"]
        return h["furthest"] / math.sqrt(self.c) * h["ratio"] ** self.n_digits / math.e

    def distance(self, x, y):
        gap_x, gap_y = 1 - self.c * x.square().sum(-1), 1 - self.c * y.square().sum(-1)
        norm = (x - y).square().sum(-1).clamp(min=1e-30).sqrt()
        return 2 / math.sqrt(self.c) * torch.asinh(math.sqrt(self.c) * norm * torch.rsqrt(gap_x * gap_y))


class Trainer:
    """A twin, its optimizer and its schedule: `step()` is one step, on a batch of its own.

    compiled: the loss and its gradient by torch.compile; sampling, clipping and the fused AdamW stay as they are
    """

    def __init__(self, config: Any, compiled: bool = False):
        self.model, self.clip = Twin(config), config.train.clip_norm
        self.loss = torch.compile(self.model, dynamic=False) if compiled else self.model
        self.parameters = [*self.model.parameters()]
        rate, decay = config.train.learning_rate, config.train.weight_decay
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, weight_decay=decay, fused=True)
        factors = lab.schedule_rows(*lab.assemble(config)[:2])["learning_rate"].tolist()
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: factors[min(n, len(factors) - 1)])

    def step(self) -> None:
        """Sample a batch and take a step on it."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(*self.model.sample())[0].backward()
        self.descend()
        self.schedule.step()

    def descend(self) -> None:
        """Clip the gradients that are there and take an optimizer step."""
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.optimizer.step()


# --- whether it is the same program -----------------------------------------------------------------------------------


class OurStep(NamedTuple):
    """A step of ours: its inputs and its results, all numpy. noise: by branch."""

    params: Any
    rows: Any
    noise: dict[str, Any]
    shifts: Any
    terms: dict[str, Any]
    gradients: Any
    moves: Any


def check_twin(config: Any) -> dict[str, Any]:
    """The largest relative differences between a step of ours and one of the twin; a RuntimeError where they differ."""
    check_config(config)
    config = config.copy_and_resolve_references().unlock()
    config.losses.kl.free_bits *= 1e-2  # a KL this small would be free, and have no gradient
    return compare(config, our_step(config))


def our_step(config: Any) -> OurStep:
    """A step from parameters that are all random: zeros among the initial ones would hide whole networks."""
    task, static, hypers = lab.assemble(config)
    hypers, tables = jax.tree.map(lambda a: jnp.asarray(a[0]), hypers), jax.device_put(task.data)
    rng, tx = np.random.default_rng(0), lab.make_optimizer(static)
    shapes = jax.eval_shape(task.init, jax.random.key(0), hypers)
    params = jax.tree.map(lambda a: np.float32(rng.normal(size=a.shape) / math.sqrt(a.shape[0])), shapes)

    @jax.jit
    def step(params, hypers, tables):
        key_batch, key_loss = jax.random.split(lab.prng_keys(hypers)[1])
        batch = task.sample(lab.context(jnp.int32(0), key_batch, hypers, tables))
        rows = data.rows(batch)

        def total(params):
            loss = task.loss(params, batch, lab.context(jnp.int32(0), key_loss, hypers, tables))
            return loss.total, loss.terms

        (loss, terms), gradients = jax.value_and_grad(total, has_aux=True)(params)
        rates, decay = dict.fromkeys(params, hypers.train.learning_rate), hypers.train.weight_decay
        moves, _ = tx.update(gradients, tx.init(params), params, rates=rates, weight_decay=decay)
        shape = len(rows), static.model.dim
        noise = {b: jax.random.normal(streams.stream(key_loss, k), shape) for b, k in streams.NOISE.items()}
        shifts = streams.stream(key_loss, streams.SHIFTS)
        shifts = jax.random.randint(shifts, (static.data.shifts,), 1, len(rows))
        return OurStep(params, rows, noise, shifts, {"total": loss, **terms}, gradients, moves)

    return jax.tree.map(np.array, step(params, hypers, tables))


class TheirStep(NamedTuple):
    """The step of the twin from the same beginning: terms, then gradients and moves by the names of its parameters."""

    terms: dict[str, float]
    gradients: dict[str, np.ndarray]
    moves: dict[str, np.ndarray]


def their_step(config: Any, ours: OurStep) -> TheirStep:
    """A step of the twin with our parameters, batch and noise."""
    drawn = [b for b in BRANCHES if config.model[b].posterior == "gaussian"]
    if len(drawn) > 1:
        raise ValueError("the torch twin gives one noise to all branches: make one of them stochastic, not both")
    trainer = Trainer(config)
    named = dict(trainer.model.named_parameters())
    for name, value in _theirs(ours.params).items():
        named[name].data.copy_(torch.from_numpy(value))
    before = {name: p.detach().clone() for name, p in named.items()}
    noise = torch.from_numpy(ours.noise[drawn[0] if drawn else "A"])
    total, found = trainer.model(torch.from_numpy(ours.rows).long(), noise, torch.from_numpy(ours.shifts).long())
    total.backward()
    gradients = {name: p.grad.numpy().copy() for name, p in named.items() if p.grad is not None}
    for group in trainer.optimizer.param_groups:
        group["lr"] = config.train.learning_rate
    trainer.descend()
    terms = {name: value.item() for name, value in {"total": total, **found}.items()}
    return TheirStep(terms, gradients, {name: (p.detach() - before[name]).numpy() for name, p in named.items()})


def compare(config: Any, ours: OurStep) -> dict[str, Any]:
    """The twin beside a step of ours; a RuntimeError where they differ by more than `LIMITS`.

    Relative: of a term to itself, of a gradient to the largest of its array, of a move to the learning rate. The first
    step of Adam is the sign of a gradient, which rounding decides where it is small: moves count for clipped gradients
    over 1e-5 and over 1e-4 of the largest of their array, and the share of these is returned.
    """
    theirs, rate, clip = their_step(config, ours), config.train.learning_rate, config.train.clip_norm
    if theirs.terms.keys() != ours.terms.keys():
        raise RuntimeError(f"the terms are {sorted(ours.terms)} here and {sorted(theirs.terms)} in the twin")
    off: dict[str, dict[str, float]] = {"term": {}, "gradient": {}, "move": {}}
    off["term"] = {name: abs(value / float(ours.terms[name]) - 1) for name, value in theirs.terms.items()}
    gradients, moves = _theirs(ours.gradients), _theirs(ours.moves)
    norm = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in gradients.values()))
    least, compared = 1e-5 * max(1.0, norm / (clip or math.inf)), 0
    for name, g in gradients.items():
        top = float(np.abs(g).max())
        off["gradient"][name] = float(np.abs(theirs.gradients[name] - g).max()) / top
        sure = np.abs(g) > max(1e-4 * top, least)
        off["move"][name] = float(np.abs(theirs.moves[name] - moves[name])[sure].max(initial=0)) / rate
        compared += int(sure.sum())
    worst = {kind: max(by_name, key=lambda name, of=by_name: of[name]) for kind, by_name in off.items()}
    for kind, name in worst.items():
        if not off[kind][name] <= LIMITS[kind]:
            over = f"the {kind} {name} differs by {off[kind][name]:.2e} of itself, over {LIMITS[kind]}"
            raise RuntimeError(f"the twin is another program: {over}")
    return {
        "terms": {name: float(value) for name, value in ours.terms.items()},
        **{f"worst_{kind}": off[kind][name] for kind, name in worst.items()},
        "moves_compared": compared / sum(g.size for g in gradients.values()),
    }


def _theirs(params: Any) -> dict[str, np.ndarray]:
    """Our tree of parameters by the names of the twin; a kernel (in, out) is a weight (out, in)."""
    renamed, leaves = {"kernel": "weight", "scale": "weight", "in": "inner"}, {}
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        group, *names = [str(entry.key) for entry in path]
        part, _, b = group.rpartition("_")
        names = [f"blocks.{n[6:]}" if n.startswith("block_") else renamed.get(n, n) for n in names]
        leaves[".".join(["branches", b, part, *names])] = np.asarray(value).T.copy()
    return leaves
