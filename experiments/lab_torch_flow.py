# pyright: reportMissingImports=false
"""The energy-flow lattice as a PyTorch user would write it, all flows of a batch as rows: the reference of our speed.

`check` holds it to be the same model: from our parameters, outputs agree to 1e-4, and so do the loss and its gradients
relative to the largest of their array. It knows what configs/energy_flow.py:debug uses and refuses the rest. Needs the
`bench` extra. Its recurrent units are PyTorch's fused ones, and so is its optimizer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import lab
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ternary_jax.config import resolved
from ternary_jax.control.chain import Signals
from ternary_jax.lattice.energy_flow import flow

LIMIT = 1e-4
_ABLE: dict[str, Any] = {"model.content": True, "model.planes": 1, "model.walls": "inward", "model.energy": "multiply"}
_ABLE |= {"model.channels": 1, "model.children": 0, "model.still": False, "model.freeze": False, "model.noise": 0.0}
_ABLE |= {"model.dropout": 0.0, "model.collect": "spread", "interaction.kind": "none", "losses.push.on": True}
_ABLE |= {"losses.occupancy.on": False, "losses.distance.on": True, "data.target": "permutation", "runs": 1}
_ABLE |= {"train.dtype": "float32", "train.microbatches": 1, "start.frozen": ()}


def check_config(config: Any) -> None:
    """Raise a ValueError that names the first key whose value the twin does not support."""
    values = resolved(config)
    for key, able in _ABLE.items():
        if values[key] != able and [*np.atleast_1d(values[key])] != [*np.atleast_1d(able)]:
            raise ValueError(f"the torch twin has no config.{key}={values[key]}: give {able}")


class Inward(torch.autograd.Function):
    """Clip to 0 .. limits; from outside, only a gradient passes whose descent leads back inside."""

    @staticmethod
    def forward(ctx: Any, position: Tensor, limits: Tensor) -> Tensor:
        """The nearest point inside."""
        ctx.save_for_backward(position, limits)
        return position.clamp(min=torch.zeros_like(limits), max=limits)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient of the position."""
        (gradient,), (position, limits) = gradients, ctx.saved_tensors
        stays = (position < 0) & (gradient > 0) | (position > limits) & (gradient < 0)
        return gradient.masked_fill(stays, 0), None


class Twin(nn.Module):
    """forward: inputs (B, height, width) -> outputs (B, height, width), mean square of the pushes, mean way left."""

    limits: Tensor
    start: Tensor

    def __init__(self, config: Any):
        super().__init__()
        check_config(config)
        self.model, lattice = config.model, config.lattice
        model, self.width, self.height = config.model, lattice.width, lattice.height
        self.drift = model.drift or (lattice.depth - 1) / (model.steps - 1)
        k, h = model.neuron_hidden, model.hidden
        self.place = nn.Linear(3 + 6 * model.frequencies + 1, k)
        self.norm_0, self.hidden, self.norm_1 = nn.LayerNorm(k, eps=1e-6), nn.Linear(k, k), nn.LayerNorm(k, eps=1e-6)
        self.out = nn.Linear(k, model.neuron_output)
        widths = [model.neuron_output + 1, *[h] * (model.layers - 1)]
        self.cells = nn.ModuleList(nn.GRUCell(width, h) for width in widths)
        self.movement = nn.Sequential(
            nn.Linear(h, model.movement_hidden), nn.GELU("tanh"), nn.Linear(model.movement_hidden, 3)
        )
        self.energy = nn.Linear(h, 1)
        size = self.width, self.height, lattice.depth
        y, x = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        self.register_buffer("limits", torch.tensor(size).float() - 1)
        self.register_buffer("start", torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3).float())

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model, batch = self.model, len(inputs)
        position, energy = self.start.repeat(batch, 1), inputs.reshape(-1, 1)
        hidden, push_square = [position.new_zeros(len(position), model.hidden)] * model.layers, position.new_zeros(())
        for _ in range(model.steps):
            x = torch.cat([self.neuron(position, energy), energy], -1)
            for layer, cell in enumerate(self.cells):
                x = cell(x, hidden[layer])
                hidden[layer] = x
            push = self.movement(x)
            push_square = push_square + push.square().mean() / model.steps
            turned = push.tanh()
            length = torch.cat([model.reach * turned[:, :2], self.drift * (turned[:, 2:] + 1)], -1)
            position, energy = Inward.apply(position + length, self.limits), energy * (1 + self.energy(x))
        x, y, z = (c.view(batch, -1) for c in position.unbind(-1))
        across, down = self.hat(x, self.width), self.hat(y, self.height)
        outputs = torch.bmm(down.mT, across * energy.view(batch, -1, 1))
        return outputs, push_square, (self.limits[2] - z).mean()

    def neuron(self, position: Tensor, energy: Tensor) -> Tensor:
        """What is known of the place of a flow and of its energy, as features, through the perceptron."""
        q = 2 * position / self.limits - 1
        angles = [np.pi * 2**k * q for k in range(self.model.frequencies)]
        features = [q, *(f(angle) for angle in angles for f in (torch.sin, torch.cos)), energy]
        x = F.gelu(self.norm_0(self.place(torch.cat(features, -1))), approximate="tanh")
        return self.out(F.gelu(self.norm_1(self.hidden(x)), approximate="tanh"))

    def hat(self, x: Tensor, size: int) -> Tensor:
        """The weights of the cells along an axis, with the slopes of `faces.hat` where a point lies on a cell."""
        number, x = torch.arange(size), x[..., None]
        first = x.detach().floor().clamp(0, size - 2)
        distance = torch.where(number > first, number - x, x - number)
        return torch.where((number - first - 0.5).abs() < 1, 1 - distance, 0)


class Trainer:
    """A twin and its optimizer: `step()` is one step, on a batch of its own, at the blur of the first step."""

    def __init__(self, config: Any):
        self.config, self.twin = config, Twin(config)
        task, static, _ = lab.assemble(config)
        self.blur = float(lab.schedule_rows(task, static)["blur"][0])
        self.sources = torch.from_numpy(np.asarray(task.data["table"][config.data.map])).long()
        self.down, self.across = (self.gaussian(n) for n in (config.lattice.height, config.lattice.width))
        rate, decay = config.train.learning_rate, config.train.weight_decay
        self.optimizer = torch.optim.AdamW(self.twin.parameters(), lr=rate, weight_decay=decay, fused=True)

    def gaussian(self, size: int) -> Tensor:
        """The filter over the residual, (size + 2 padding, size)."""
        padding = self.config.losses.blur.padding
        at = torch.arange(-padding, size + padding)[:, None] - torch.arange(size)[None]
        reach = torch.arange(-size - padding, size + padding + 1)
        norm = torch.exp(-(reach**2) / (2 * self.blur**2)).square().sum().sqrt()
        return torch.exp(-(at**2) / (2 * self.blur**2)) / norm

    def loss(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The total and the outputs."""
        outputs, push, left = self.twin(inputs)
        residual = outputs - inputs.flatten(1)[:, self.sources].view_as(inputs)
        fit = (self.down @ residual @ self.across.T).square().sum() / residual.numel()
        losses = self.config.losses
        return fit + losses.push.weight * push + losses.distance.weight * left, outputs

    def step(self) -> None:
        """Draw a batch and take a step on it."""
        data, lattice = self.config.data, self.config.lattice
        drawn = torch.rand(self.config.train.batch_size, lattice.height, lattice.width)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(data.amplitude * (2 * drawn - 1))[0].backward()
        if self.config.train.clip_norm:
            nn.utils.clip_grad_norm_(self.twin.parameters(), self.config.train.clip_norm, foreach=True)
        self.optimizer.step()


def check(config: Any) -> dict[str, float]:
    """The largest differences of outputs, loss and gradients between ours and the twin; RuntimeError over LIMIT."""
    trainer = Trainer(config)
    task, static, hypers = lab.assemble(config)
    hypers, data = jax.tree.map(lambda a: jnp.asarray(a[0]), hypers), jax.device_put(task.data)
    params = jax.jit(task.init)(jax.random.key(0), hypers)
    # Zeros among the initial parameters would hide whole networks, and larger weights would magnify rounding.
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: np.float32(p + 0.02 * rng.normal(size=p.shape)), params)
    faces = rng.uniform(-1, 1, (config.train.batch_size, config.lattice.height, config.lattice.width))
    inputs = jnp.asarray(config.data.amplitude * faces, jnp.float32)

    def total(params):
        signals = Signals(jnp.int32(0), {"blur": jnp.float32(trainer.blur)}, {}, {})
        context = lab.context(jnp.int32(0), jax.random.key(1), hypers, data)._replace(signals=signals)
        flows, _, _ = flow.run(params, inputs, static, static.model.steps)
        return task.loss(params, inputs, context).total, flow.outputs(flows, static)[:, 0]

    (loss, outputs), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(params)
    named = dict(trainer.twin.named_parameters())
    for name, value in _theirs(params).items():
        named[name].data.copy_(torch.from_numpy(value))
    their_loss, their_outputs = trainer.loss(torch.from_numpy(np.array(inputs)))
    their_loss.backward()
    found = {"outputs": float(np.abs(their_outputs.detach().numpy() - np.asarray(outputs)).max())}
    found["loss"] = abs(their_loss.item() / float(loss) - 1)
    for name, value in _theirs(gradients).items():
        gradient: Any = named[name].grad
        theirs = gradient.numpy()
        if name.endswith("bias_hh"):  # ours has no biases for the first two thirds
            theirs = np.where(np.arange(len(theirs)) < 2 * config.model.hidden, 0, theirs)
        found[f"gradient of {name}"] = float(np.abs(theirs - value).max() / np.abs(value).max())
    worst = max(found, key=lambda name: found[name])
    if not found[worst] <= LIMIT:
        raise RuntimeError(f"the twin is another model: {worst} differs by {found[worst]:.2e}, over {LIMIT}")
    gradient = max(value for name, value in found.items() if name.startswith("gradient"))
    return {"outputs": found["outputs"], "loss": found["loss"], "gradients": gradient}


def _theirs(params: Any) -> dict[str, np.ndarray]:
    """Our parameters by the names of the twin; a kernel (in, out) is a weight (out, in), with the energy as last in."""
    params = jax.tree.map(np.array, params)
    neuron, carrier, movement = params["neuron"], params["carrier"], params["movement"]
    found = {}

    def dense(name, layer, *more):
        found[f"{name}.weight"] = np.concatenate([layer["kernel"], *more]).T.copy()
        found[f"{name}.bias"] = layer["bias"]

    dense("place", neuron["place"], neuron["energy"]["kernel"])
    dense("hidden", neuron["hidden"])
    dense("out", neuron["out"])
    for name in ("norm_0", "norm_1"):
        found |= {f"{name}.weight": neuron[name]["scale"], f"{name}.bias": neuron[name]["bias"]}
    for layer in range(sum(name.startswith("input_") for name in carrier)):
        given, kept, bias = (carrier[f"{part}_{layer}"] for part in ("input", "recurrent", "bias"))
        more = [carrier["energy"]["kernel"]] if layer == 0 else []
        cell = f"cells.{layer}"
        found[f"{cell}.weight_ih"] = np.concatenate([given["kernel"], *more]).T.copy()
        found[f"{cell}.weight_hh"] = kept["kernel"].T.copy()
        found[f"{cell}.bias_ih"] = given["bias"]
        found[f"{cell}.bias_hh"] = np.concatenate([np.zeros(2 * len(bias), np.float32), bias])
    dense("movement.0", movement["hidden"])
    dense("movement.2", movement["out"])
    dense("energy", params["energy"]["out"])
    return found
