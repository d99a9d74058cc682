# %% [markdown]
# # Grokking, and its analysis
#
# **Question.** When does a network that has fitted its training data begin to generalise, and how does one know?
#
# `grok_addition` learns $a + b$ mod $3^n$ from a share of all pairs. Two runs with different weight decays are trained
# in one program, because several values of a traced key are several runs. A detector runs along: it looks for a rise of
# several metrics after a plateau of the loss, and rules out other causes. The page of [grokking](../docs/grokking.md)
# has its definition and how far it can be trusted.

# %%
import os
from pathlib import Path

import numpy as np

from ternary_jax import load, load_config, plot, workdir
from ternary_jax.analysis import data, text
from ternary_jax.engine import host
from ternary_jax.pictures import style

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny run, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "grokking")

# %%
TINY = {
    "data.n_digits": 2,
    "data.train_share": 0.6,
    "train.batch_size": 49,
    "train.steps": 400,
    "evaluate.cheap_every": 10,
    "checkpoint.every": 400,
    "grokking.on": False,  # the detector takes most of the compiling; the analysis below has it in any case
    "log.tensorboard": False,
    "report.on": "never",
}
config = load_config("grok_addition", {"train.weight_decay": (2.0, 0.0), **(TINY if SMALL else {})})
summary = host.run(config, FOLDER)
run = workdir.open(FOLDER)
modulus = config.data.p**config.data.n_digits
print(f"a + b mod {modulus}: {config.runs} runs of {config.train.steps:,} steps in {summary['wall_s']:.0f} s")

# %% [markdown]
# ## Fit and held-out
#
# Both curves are scaled so that 0 is chance and 1 is the best, and time is logarithmic: a delay is a distance. `t_fit`
# and `t_gen` are the steps at which they reach the level of the upper dashed lines, and stay there.

# %%
for k, decay in enumerate(config.train.weight_decay):
    for pair in plot.data(run, "generalisation", run=k).pairs[:2]:
        delay = f", {pair.ratio:.1f} times t_fit" if np.isfinite(pair.ratio) else ""
        print(f"weight decay {decay:g}, {pair.name}: {pair.verdict}; t_fit {pair.t_fit}, t_gen {pair.t_gen}{delay}")

# %%
plot.generalisation(run, run=0)

# %%
plot.generalisation(run, run=1)

# %% [markdown]
# ## The analysis
#
# What `python -m ternary_jax.analyze DIR` prints: a checklist with reasons, plateaus of the loss, rises that are events
# and rises that something else explains, change points, and the verdict on generalisation. `data.analyse` gives it as
# data.

# %%
found = data.analyse(run)
print(text.text(found))

# %%
for one in found["runs"]:
    events = [rise for rise in one["rises"] if rise["event"]]
    print(f"run {one['run']}: {len(one['plateaus'])} plateaus, {len(one['rises'])} rises, {len(events)} events")

# %% [markdown]
# ## What was learned
#
# Addition mod $m$ is a rotation by $2 \pi k / m$ for every frequency $k$. A network that generalises can use that: its
# embedding of the numbers then has few frequencies. One that only remembers has no reason to. The embedding is a part
# of what a run exports.

# %%
with style.applied():
    made = style.figure(9, 2.8)
    axes = made.subplots(1, 2, sharey=True)
    for k, (decay, ax) in enumerate(zip(config.train.weight_decay, axes, strict=True)):
        embedding = run.embeddings(k)["embedding"]  # (m, width)
        power = (np.abs(np.fft.rfft(embedding - embedding.mean(0), axis=0)) ** 2).sum(1)[1:]
        share = power / power.sum()
        largest = np.sort(share)[::-1][:3].sum()
        ax.bar(np.arange(1, len(share) + 1), share, color=style.FOUND)
        ax.axhline(1 / len(share), **style.LINE)
        ax.set(title=f"weight decay {decay:g}: the three largest have {largest:.0%}", xlabel="frequency k")
    axes[0].set_ylabel("share of the power")
made

# %% [markdown]
# The dashed line is an embedding without any structure. The answers themselves, on the pairs that were held out:

# %%
for k, decay in enumerate(config.train.weight_decay):
    model = load(FOLDER, run=k, at="newest")
    held_out = np.argwhere(~run.embeddings(k)["train_mask"])
    a, b = held_out.T
    right = np.mean(np.asarray(model.predict(a, b)) == (a + b) % modulus)
    print(f"weight decay {decay:g}: {right:.1%} of {len(held_out):,} held-out sums are right")
    assert abs(right - summary["runs"][k]["final"]["held_out_accuracy"]) < 1e-6

# %% [markdown]
# ## What to try next
#
# - The norm of the weights and the rank of the representations over time: `{"emergence.weight_rank": True,
#   "emergence.representation_rank": True}`, then `plot.curves(run)`.
# - Modulo a prime, without partial credit: the command at the top of `configs/grok_addition.py`.
# - The share of pairs and the decay that it needs: [a vmapped ablation](5_ablation.py).
# - The ternary operations with residue classes held out, where no event was found: `--config=grokking`.
