# %% [markdown]
# # From zero to the ceiling
#
# **Question.** Can a network hold every ternary operation exactly, and place each where the 3-adic tree has it?
#
# A ternary operation maps two of {-1, 0, 1} to one of them: a table of nine entries, so there are $3^9$. Its digits
# make an index $i$, and the valuation $v(i)$ counts how often 3 divides $i$. The config `v5_12` trains two autoencoders
# whose latent space is the hyperbolic ball; branch B has to
#
# - decode each operation from its point without an error (`coverage`),
# - order the radii by valuation: the higher, the nearer to the origin (`hierarchy`),
# - order the distances by the digits that two operations share (`triplet_accuracy`).
#
# Each of them has a ceiling that can be proved: [geometry](../docs/geometry.md#ceilings). The model and its losses are
# described on the page of [v5.12](../docs/v5_12.md).

# %%
import os
from pathlib import Path

import numpy as np

from ternary_jax import load, load_config, plot, workdir
from ternary_jax.engine import host

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny model, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "ceiling")

# %% [markdown]
# ## Train
#
# A config is a program that returns a `ConfigDict`; `load_config` takes its name and values for some of its keys. The
# whole training is a few calls of one compiled program, and all its files go into one folder, the workdir. Run the cell
# again, and it finds the finished training there and changes nothing.

# %%
TINY = {
    "data.n_digits": 4,
    "data.high_from": 2,
    "train.batch_size": 28,
    "evaluate.costly_every": 0,
    "model.A.hidden": (),
    "model.A.decoder_hidden": (),
    "model.A.decoder": "plain",
    "model.B.hidden": (32,),
    "losses.reconstruction.on": "B",
    "losses.radial.on": "none",
    "log.tensorboard": False,
    "report.on": "never",
}
config = load_config("smoke", TINY) if SMALL else load_config("v5_12")
print(f"{3**config.data.n_digits:,} operations, {config.train.epochs} epochs, points in {config.model.dim} dimensions")

# %%
summary = host.run(config, FOLDER)
print(f"{summary['wall_s']:.1f} s, of which {summary['compile_s']:.1f} s are compiling")

# %% [markdown]
# ## How good is it?
#
# `workdir.open` reads a workdir, also while a training writes it. A metric knows its direction, its ceiling and what
# chance gives.

# %%
run = workdir.open(FOLDER)
final = summary["runs"][0]["final"]
print(f"{'metric':20}{'final':>10}{'ceiling':>10}{'chance':>10}  at the ceiling")
for name in sorted(final.keys() & {"coverage_B", "hierarchy_B", "triplet_accuracy_B"}):
    metric = run.metrics[name]
    reached = abs(final[name] - metric.best) <= metric.tolerance
    print(f"{name:20}{final[name]:10.5f}{metric.best:10.5f}{metric.chance:10.5f}  {'yes' if reached else 'no'}")
targets = ", ".join(f"{name} {value:g}" for name, value in summary["targets"].items())
seconds = summary["time_to_ceiling_s"]
print(f"targets ({targets}):", "not met" if seconds is None else f"met after {seconds:.1f} s")

# %%
plot.curves(run)

# %% [markdown]
# Dashed lines are ceilings, chance and targets. `plot.names(run)` lists the other pictures, and
# [pictures](../docs/pictures.md) says how to read each.
#
# ## The picture
#
# Every operation in the disc. The radius is measured; the angle is a layout: it follows the digits, so that the residue
# classes are sectors. Rings that do not overlap are a hierarchy at its ceiling.

# %%
plot.disc(run)

# %% [markdown]
# ## Ask the model
#
# `load` gives the trained model with its verbs, each of which is compiled and takes batches. An operation is an index,
# its trits, or a text of the signs `+0-`.

# %%
model = load(FOLDER, at="newest")
print(model)

# %%
operation = 3 ** (config.data.n_digits - 1) + 1
near = model.nearest(operation, 5)
print(f"{model.text(operation)}, radius {float(model.radius(operation)):.3f}; its nearest:")
for text, distance in zip(model.text(near.indices), near.distances.tolist(), strict=True):
    print(f"  {text} at {distance:.4f}")

# %% [markdown]
# Does "coverage" mean what it says? Decode the point of every operation, and count.

# %%
operations = np.arange(3**config.data.n_digits)
exact = int(np.sum(model.decode(model.points()) == operations))
print(f"{exact:,} of {operations.size:,} operations are decoded from their points")
assert abs(exact / operations.size - final["coverage_B"]) < 1e-6

# %% [markdown]
# ## What to try next
#
# - [Hyperbolic space and the 3-adic tree](2_hyperbolic_space.py) looks into this model.
# - Is it luck? `load_config("v5_12", {"runs": 8})` trains eight seeds in one program.
# - More spread of the radii at the same hierarchy: the config `v5_12_rich`. The bound is `plot.frontier(run)`.
# - In a terminal: `python -m ternary_jax.query WORKDIR --operation "+0-0+0-0+"`, see [model](../docs/model.md).
