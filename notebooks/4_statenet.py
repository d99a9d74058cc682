# %% [markdown]
# # Watching StateNet
#
# **Question.** What does a learned controller do to a training, and does it look at its inputs?
#
# StateNet is a small network that reads twenty values of a step, such as the loss, coverage and curvature, and corrects
# the learning rate and seven knobs. Each knob acts in the gradient path: it is a factor on a loss, a temperature or a
# scale of noise. The config `v5_10:statenet` has the network that `experiments/meta_train_statenet.py` has trained, on
# top of schedules that were tuned with it. The page of [v5.10](../docs/v5_10.md#statenet) describes it.

# %%
import os
from pathlib import Path

import numpy as np

from ternary_jax import load_config, plot, workdir
from ternary_jax.engine import host

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny model, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "statenet")

# %%
TINY = {
    "data.n_digits": 4,
    "data.high_from": 2,
    "train.batch_size": 28,
    "train.epochs": 20,
    "evaluate.cheap_every": 2,
    "evaluate.costly_every": 0,
    "checkpoint.every": 20,
    "statenet.interval": 3,
    "model.A.hidden": (),
    "model.A.decoder_hidden": (),
    "model.B.hidden": (),
    "model.B.decoder_hidden": (8,),
    "losses.stratification.on": "B",
    "losses.entropy.on": "none",
    "prior.homeostat": False,
    "balance.gradients": False,
    "losses.ranking_v2.on": "B",
    "log.tensorboard": False,
    "report.on": "never",
}
config = load_config("v5_10:statenet", TINY if SMALL else {})
summary = host.run(config, FOLDER)
corrections = summary["steps"] // config.statenet.interval
print(f"{summary['steps']:,} steps, {corrections} corrections, {summary['wall_s']:.0f} s")

# %% [markdown]
# ## What it turns, and what it reads
#
# Left to right is training time. A knob in the log is its schedule and the correction together.

# %%
run = workdir.open(FOLDER)
plot.statenet(run)

# %% [markdown]
# All rates and knobs, also those of schedules and of other controllers. What never changes is a line of text.

# %%
plot.controllers(run)

# %% [markdown]
# ## How far does it go?
#
# `plot.data` has the arrays behind a picture. For each output: its range over the run, and the input that it follows
# most closely, by the correlation over the evaluations. A high correlation is no cause: both may just follow time.

# %%
seen = plot.data(run, "statenet")
time = np.arange(len(seen.at))

for output in seen.outputs:
    x = output.values
    if np.ptp(x) == 0:
        print(f"{output.name:14} stays at {x[0]:.4g}")
        continue
    known = {one.name: one.values for one in seen.inputs if np.isfinite(one.values).all()}
    each = {name: np.corrcoef(x, y)[0, 1] for name, y in known.items() if np.ptp(y) > 0}
    nearest, over_time = max(each, key=lambda name: abs(each[name])), np.corrcoef(x, time)[0, 1]
    print(
        f"{output.name:14} {x.min():8.4g} to {x.max():8.4g}; correlation {each[nearest]:+.2f} with {nearest}, "
        f"{over_time:+.2f} with time"
    )

# %% [markdown]
# ## Does it look?
#
# A picture cannot tell a controller that reacts from a fixed course. The test is to replay its mean course on other
# seeds, without any input: `python experiments/compare_statenet.py` does so, and
# [Does StateNet use its inputs?](../docs/v5_10.md#does-statenet-use-its-inputs) has the answer.
#
# ## What to try next
#
# - The schedules alone: `load_config("v5_10:statenet", {"control": "schedules"})`, and the two workdirs side by side by
#   `python -m ternary_jax.analyze DIR DIR`.
# - A StateNet that learns in the run: `{"statenet.learn": "lookahead"}`.
# - A controller of your own is a file and an entry of a config: [README](../README.md#add-to-it).
