# %% [markdown]
# # A vmapped ablation
#
# **Question.** What does late generalisation depend on: weight decay, or the share of the data that is trained on?
#
# An ablation is a product of settings and seeds. `ternary_jax.sweep.run` trains all of them: settings that differ in
# traced keys alone, such as rates, weights and shares, are rows of one compiled program, vmapped; only a change of a
# static key, such as a width, needs a program of its own. The page of [the engine](../docs/engine.md#sweeps) has the
# details. Addition modulo a power of 3 is a task on which this question can be answered in a few minutes:
# [grokking](../docs/grokking.md).

# %%
import os
from pathlib import Path

from ternary_jax import plot, sweep
from ternary_jax.analysis import means, sweep_figures, sweeps

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny sweep, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "ablation")
DIGITS, STEPS, SEEDS = (2, 300, 3) if SMALL else (3, 2000, 6)

# %% [markdown]
# ## Train
#
# The grid has the values of each key. The batch is the largest number of training pairs of all runs; a run with fewer
# pairs weighs the rest with 0. Runs of one share have the same split, `data.split_seed`: the intervals below are over
# initial weights, and not over splits.

# %%
PAIRS = 9**DIGITS
GRID = {"train.weight_decay": [0.0, 2.0], "data.train_share": [0.4, 0.7]}
COMMON = {
    "data.n_digits": DIGITS,
    "train.steps": STEPS,
    "train.batch_size": round(0.7 * PAIRS),
    "evaluate.cheap_every": STEPS // 20,
    "checkpoint.every": STEPS,
    "grokking.on": False,
    "emergence.weight_norm": False,
    "log.tensorboard": False,
    "report.on": "never",
}
swept = sweep.run("grok_addition", GRID, seeds=SEEDS, workdir=FOLDER, overrides=COMMON)
runs = swept.table()
print(f"{len(runs)} runs, {len(swept.content['groups'])} compiled program")
print({ending: sum(run.ending == ending for run in runs) for ending in {run.ending for run in runs}})

# %% [markdown]
# ## Compare
#
# The mean over seeds of the last value of each run, with a 95 % interval by Student's t. A setting is called best only
# if its differences to all others say so, in intervals that hold together. Differences are over pairs of runs with the
# same seed.

# %%
found = sweeps.compared([swept], ("train_accuracy", "held_out_accuracy", "held_out_loss"))
print(found.head)
print(means.text(found.found, found.columns))

# %%
sweep_figures.figure(found.found, found.columns)

# %% [markdown]
# In a terminal, `python -m ternary_jax.analyze DIR` prints the same and writes the figure into the folder.
#
# ## Look at single runs
#
# Each run has its workdir and its number there, so everything that reads a run reads those of a sweep. Here is the run
# that generalises best, and its twin of the same seed and share with the other weight decay.

# %%
best = max(runs, key=lambda run: run.metrics["held_out_accuracy"])
twin = next(
    run
    for run in runs
    if run.seed == best.seed
    and run.settings["data.train_share"] == best.settings["data.train_share"]
    and run.settings["train.weight_decay"] != best.settings["train.weight_decay"]
)
for run in (best, twin):
    fit, held_out = (run.metrics[name] for name in ("train_accuracy", "held_out_accuracy"))
    print(f"run {run.run}, seed {run.seed}, {run.settings}: accuracy {fit:.3f}, held out {held_out:.3f}")

# %%
plot.generalisation(swept.path / best.folder, run=best.place)

# %%
plot.generalisation(swept.path / twin.folder, run=twin.place)

# %% [markdown]
# ## What to try next
#
# - A static key, which needs a program for each value: `"model.width": [16, 64]`.
# - The losses of the dual autoencoder, on small networks: `sweep.run("smoke", {"losses.bands.distance": [0.0, 1.0],
#   "losses.bands.radius": [0.0, 1.0]}, seeds=4)`, with the metrics `hierarchy_B` and `triplet_accuracy_B`.
# - The map over many more values: `python experiments/phase_diagram.py`.
# - Ctrl-C, and the cell again: a sweep goes on from where it was.
