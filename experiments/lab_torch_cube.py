# pyright: reportMissingImports=false
"""The cells of the original emergent cube in PyTorch, one module for each cell, called in a Python loop, as it did.

Its sizes: states of 32 numbers, 6 neighbours, 32 hidden units, 12 external inputs (always 0), a memory of 16. A pass is
one update of every cell of the cube, whose layers all begin as copies of the input. What does nothing there is kept, as
it costs time: the seven equal rows of the gate, and the weights of neighbours. Needs the `bench` extra.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STATE, NEIGHBOURS, HIDDEN, EXTERNAL, MEMORY = 32, 6, 32, 12, 16
SEEN = STATE * (NEIGHBOURS + 1) + EXTERNAL


class Cell(nn.Module):
    """neighbours (B, 6, 32), own state (B, 32) -> the new state (B, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.first, self.split = nn.LayerNorm(SEEN), nn.Linear(SEEN, HIDDEN), nn.Linear(HIDDEN, 2 * HIDDEN)
        self.gate_norm, self.rows = nn.LayerNorm(HIDDEN), NEIGHBOURS + 1
        self.mix, self.offset = nn.Parameter(1e-3 * torch.randn(7, 7)), nn.Parameter(torch.ones(7))
        self.wide, self.narrow = nn.Linear(HIDDEN, 2 * HIDDEN), nn.Linear(2 * HIDDEN, HIDDEN)
        self.memory, self.recall = nn.GRUCell(HIDDEN, MEMORY), nn.Linear(MEMORY, HIDDEN)
        self.out_norm, self.out, self.past = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, STATE), nn.Linear(SEEN, STATE)
        self.weigh = nn.Sequential(nn.Linear(2 * STATE, STATE), nn.ReLU(), nn.Linear(STATE, NEIGHBOURS))
        self.layer = nn.Linear(STATE, STATE)  # of a context that nobody passes

    def forward(self, neighbours: Tensor, own: Tensor) -> Tensor:
        """One update."""
        batch = len(own)
        seen = torch.cat([neighbours.flatten(1), own, own.new_zeros(batch, EXTERNAL)], 1)
        doubled = F.gelu(self.split(self.first(self.norm(seen))))
        u, v = doubled[:, None].expand(-1, self.rows, -1).chunk(2, -1)
        mixed = torch.einsum("jk,bkh->bjh", self.mix, self.gate_norm(v)) + self.offset[None, :, None]
        x = (u * mixed).mean(1)
        x = x + self.narrow(F.gelu(self.wide(x)))
        x = x + self.recall(self.memory(x, x.new_zeros(batch, MEMORY)))
        found = self.out(self.out_norm(x)) + 0.1 * self.past(seen)
        weights = self.weigh(torch.cat([own[:, None].expand(-1, NEIGHBOURS, -1), neighbours], -1)).softmax(-1)
        weights = weights.diagonal(dim1=1, dim2=2)  # the k-th weight of neighbour k
        return found + 0.1 * (weights[..., None] * neighbours).mean(1)


class Original(nn.Module):
    """A face (B, height, width) -> the mean over the channels of the last layer, after one update of every cell."""

    def __init__(self, width: int, height: int, depth: int) -> None:
        super().__init__()
        self.width, self.height, self.depth = width, height, depth
        self.cells = nn.ModuleList(Cell() for _ in range(width * height * depth))

    def forward(self, face: Tensor) -> Tensor:
        """One pass."""
        first = F.pad(face[..., None], (0, STATE - 1))
        first = first + 0.01 * torch.randn_like(first)
        cube = torch.stack([0.9**d * first for d in range(self.depth)], 1)
        padded, after = F.pad(cube, (0, 0, 1, 1, 1, 1, 1, 1)), []
        steps = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
        for number, cell in enumerate(self.cells):
            d, rest = divmod(number, self.height * self.width)
            h, w = divmod(rest, self.width)
            seen = torch.stack([padded[:, d + 1 + i, h + 1 + j, w + 1 + k] for i, j, k in steps], 1)
            after.append(cell(seen, cube[:, d, h, w]))
        last = torch.stack(after[-self.height * self.width :], 1)
        return last.mean(-1).reshape(face.shape) + 0 * sum(x.mean() for x in after)  # every cell has a gradient


class Trainer:
    """step(): one pass of random faces with its gradient and AdamW."""

    def __init__(self, config: Any, threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        lattice = config.lattice
        self.model = Original(lattice.width, lattice.height, lattice.depth)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3)
        self.faces = torch.randn(config.train.batch_size, lattice.height, lattice.width)

    def step(self) -> float:
        """The loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = (self.model(self.faces) - self.faces).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def parameters(self) -> int:
        """How many there are."""
        return sum(p.numel() for p in self.model.parameters())
