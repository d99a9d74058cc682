"""The networks that StateNet can be: their inputs, their parameters, and the files of these.

The network of the documents sees one moment. It has attention over groups of inputs, a bottleneck of 14, and 8 outputs
(8,274 parameters), see `models.StateNet`. The documents have two more attention heads, of 126 and 84 parameters, whose
weights nothing reads; they are left out. A `Kind` adds to it what a disturbance in the middle of a run asks for: inputs
that compare the last steps with those before, and a memory.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.vae.controllers.corrections import OUTPUTS
from ternary_jax.vae.controllers.models import StateNet, compressed
from ternary_jax.workdir import npz

# The inputs, in order; the inputs of a group share an attention weight.
GROUPS = (
    ("entropy_A",),
    ("entropy_B",),
    ("kl_A",),
    ("kl_B",),
    ("gradient_ratio", "rho"),
    ("lambda_1", "lambda_2", "lambda_3"),
    ("coverage_A", "coverage_B", "missing"),
    ("ranking_A", "ranking_B"),
    ("radius_A", "radius_B"),
    ("sigma", "c"),
    ("radial",),
    ("tau",),
)
INPUTS = tuple(name for group in GROUPS for name in group)
TRENDS = ("trend_loss", "trend_coverage_A", "trend_coverage_B")  # a coverage without a trend is on a plateau


class Kind(NamedTuple):
    """Which network: `memory`, units of a GRU, 0 for none; `trends`, whether it reads TRENDS too."""

    memory: int = 0
    trends: bool = False

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups of its inputs."""
        return (*GROUPS, TRENDS[:1], TRENDS[1:]) if self.trends else GROUPS

    def inputs(self) -> tuple[str, ...]:
        """Its inputs, in order."""
        return tuple(name for group in self.groups() for name in group)

    def network(self) -> StateNet:
        """The flax module."""
        return StateNet(tuple(map(len, self.groups())), len(OUTPUTS), self.memory)

    def nothing_yet(self) -> Array | None:
        """The memory before the first correction, (memory,); None without one."""
        return jnp.zeros(self.memory, jnp.float32) if self.memory else None


DOCUMENTS = Kind()


def init(key: Array, kind: Kind = DOCUMENTS) -> Any:
    """Initial parameters, with which StateNet changes nothing."""
    x = jnp.zeros(len(kind.inputs()), jnp.float32)
    return kind.network().init(key, x, kind.nothing_yet())["params"]


def delta(
    params: Any, inputs: dict[str, Array], memory: Array | None = None, kind: Kind = DOCUMENTS
) -> tuple[Array, Array | None]:
    """(outputs, (8,), in the order of OUTPUTS; the memory after them). inputs: each of those of the kind, ()."""
    x = compressed([inputs[name] for name in kind.inputs()])
    found: Any = kind.network().apply({"params": params}, x, memory)
    return found


def save(path: Path, params: Any) -> None:
    """Write the parameters as arrays by LAYER/NAME, for `load`."""
    np.savez(path, **_flat(params))


def load(path: Path, kind: Kind = DOCUMENTS) -> Any:
    """The parameters that `save` has written. A ValueError if they do not fit this network, or are not finite."""
    found = {name: np.float32(x) for name, x in npz.read(Path(path).resolve()).items()}  # a link is the user's own
    layers = jax.eval_shape(lambda key: init(key, kind), jax.random.key(0))
    wanted = {name: a.shape for name, a in _flat(layers).items()}
    given = {name: a.shape for name, a in found.items()}
    if differ := [name for name in wanted | given if wanted.get(name) != given.get(name)]:
        raise ValueError(f"{', '.join(differ)} in {path} are not those of this network")
    if bad := [name for name, a in found.items() if not np.isfinite(a).all()]:
        raise ValueError(f"{', '.join(bad)} in {path} are not finite")
    return jax.tree.unflatten(jax.tree.structure(layers), [found[name] for name in wanted])


def _flat(params):
    """Arrays by LAYER/NAME, in the order of `jax.tree.leaves`; the layers of a GRU have layers of their own."""
    return {"/".join(k.key for k in path): a for path, a in jax.tree.leaves_with_path(params)}
