# %% [markdown]
# # The lattices
#
# **Question.** How do values cross a lattice: carried by flows that choose their way, or handed on from cell to cell?
#
# Two models on a box of cells have to show a mirrored face on the far side. In the
# [energy-flow lattice](../docs/energy_flow.md) each cell of the input face starts a flow, which carries a number
# through the box; all flows share one small network. In the [emergent cube](../docs/cube.md) nothing moves: cells with
# weights of their own see their six neighbours alone.

# %%
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import load, load_config, plot, workdir
from ternary_jax.config import split
from ternary_jax.engine import host
from ternary_jax.lattice import metrics, targets
from ternary_jax.lattice.cube import probes as cube_probes
from ternary_jax.lattice.energy_flow import probes as flow_probes
from ternary_jax.pictures import style

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # tiny lattices, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "lattices")

# %% [markdown]
# ## Flows

# %%
TINY = {
    "lattice.width": 3,
    "lattice.height": 2,
    "lattice.depth": 3,
    "train.steps": 60,
    "train.batch_size": 8,
    "evaluate.cheap_every": 20,
    "checkpoint.every": 60,
    "data.evaluated": 32,
    "losses.blur.width": 0.0,
    "log.tensorboard": False,
    "report.on": "never",
}
TINY_FLOWS = {"model.steps": 3, "model.reach": 2.0, "model.hidden": 8, "model.layers": 1, "model.neuron_hidden": 8}
changes = TINY | TINY_FLOWS if SMALL else {"train.steps": 600, "checkpoint.every": 600}
config = load_config("energy_flow:mirror", changes)
flows = host.run(config, FOLDER / "flows")
final = flows["runs"][0]["final"]
print(f"{flows['wall_s']:.0f} s; " + ", ".join(f"{name} {final[name]:.4f}" for name in ("r2", "landing", "arrival")))

# %% [markdown]
# The ways of the flows of a face that was never trained on. A mirror sends each of them to the other side.

# %%
plot.flows(FOLDER / "flows")

# %% [markdown]
# **A probe.** What does a flow matter? Remove some of them. If each brings one value to its own place and nothing else,
# a removed one costs the variance of its own output: a line that needs no experiment. Probes are pure functions of the
# parameters, and `load` gives these.

# %%
model = load(FOLDER / "flows", at="newest")
static, given = split(config)[0], model.trained.context.data["evaluated"]
height, width = given.shape[1:]
target = targets.make("mirror", width, height, config.data.shift, config.data.maps)
wanted = target.apply(jnp.asarray(target.table[0]), given)
assert abs(float(metrics.r2(model.run(given).outputs, wanted)) - final["r2"]) < 1e-3  # the same faces as in the log
removed = jax.jit(flow_probes.r2_without, static_argnums=3)
r2 = np.asarray(removed(model.trained.params, given, wanted, static, jax.random.key(0)))
expected = np.asarray(flow_probes.r2_of_lost_outputs(width * height))
print("share removed   r2      each costs its own output")
for share, found, line in zip(flow_probes.SHARES, r2, expected, strict=True):
    print(f"{share:13.0%}{found:9.4f}{line:9.4f}")
print(f"largest difference beyond what was missing before: {np.abs((r2 - r2[0]) - (expected - expected[0])).max():.4f}")

# %% [markdown]
# ## The cube
#
# All cells are updated together, and the loss asks for the answer over a window of updates, so that it is held.

# %%
CHANGES = {"model.schedule": "all", "losses.window": "mean", "checkpoint.every": 300, "train.steps": 300}
TINY_CUBE = {"model.channels": 4, "model.hidden": 4, "model.updates": 5}
config = load_config("cube:mirror", CHANGES | (TINY | TINY_CUBE if SMALL else {"data.evaluated": 128}))
cube = host.run(config, FOLDER / "cube")
final = cube["runs"][0]["final"]
print(f"{cube['wall_s']:.0f} s; r2 {final['r2']:.4f}")

# %%
plot.activity(FOLDER / "cube")

# %% [markdown]
# **A probe.** Is the answer an attractor? Training asks for it from T to 2 T updates, and the curve goes on to 10 T. A
# cube that is only right for a moment falls off behind the band.

# %%
model = load(FOLDER / "cube", at="newest")
static, given = split(config)[0], model.trained.context.data["evaluated"]
height, width = given.shape[1:]
target = targets.make("mirror", width, height, config.data.shift, config.data.maps)
wanted = target.apply(jnp.asarray(target.table[0]), given)[:, 0]
T = config.model.updates
by_update = jax.jit(cube_probes.r2_by_update, static_argnums=(3, 4))
r2 = np.asarray(by_update(model.trained.params, given, wanted, static, 10 * T)[0])
with style.applied():
    made = style.figure(9, 2.6)
    ax = made.subplots()
    ax.plot(np.arange(1, 10 * T + 1), r2, color=style.FOUND, marker=".", markersize=3)
    ax.axvspan(T, 2 * T, color=style.ASKED, alpha=0.45, linewidth=0)
    ax.axhline(1, **style.LINE)
    low = min(-0.1, float(r2[T:].min()))
    ax.set(xlabel="update", ylabel="r2", ylim=(low, 1.05), title="band: the updates at which training asks")
made

# %%
print(f"r2 at T: {r2[T - 1]:.4f}, at 2 T: {r2[2 * T - 1]:.4f}, at 10 T: {r2[-1]:.4f}")

# %% [markdown]
# ## Side by side

# %%
for name in ("flows", "cube"):
    run = workdir.open(FOLDER / name)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(run.model().params))
    print(f"{name}: r2 {run.rows(0)['r2'][-1]:.4f}, {numbers:,} parameters, {run.summary['wall_s']:.0f} s")

# %% [markdown]
# ## What to try next
#
# - A map that no movement can make: `energy_flow:dense` and `cube:dense`. Which exchange between flows helps is on the
#   page of the [flows](../docs/energy_flow.md#what-movement-does-and-what-it-does-not).
# - Memory: `cube:recall` is shown a face, and asked for it long after.
# - Damage, noise and lesions: `python experiments/cube_probes.py` lists the probes.
# - Texts through a lattice: the page of the [bridge](../docs/text.md).
