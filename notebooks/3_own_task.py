# %% [markdown]
# # A task of your own in forty lines
#
# **Question.** Does curvature help to place a binary tree in the plane, and how much of it?
#
# Nothing in the engine knows a model family. It trains any `Task`: a name, data, metrics, and pure functions of one run
# (`ternary_jax/engine/task.py` documents each field). Here the parameters are the points of a tree themselves, and the
# loss asks each distance to be the number of edges between two nodes. The curvature is a value of the config that may
# differ between runs, so all curvatures are trained at once, in one program.

# %%
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import load, plot, poincare, workdir
from ternary_jax.config import read
from ternary_jax.config.keys import integer, real
from ternary_jax.engine import host
from ternary_jax.engine.task import Loss, Task, Verbs
from ternary_jax.metric import Metric
from ternary_jax.pictures import style

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny tree, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "own_task")

# %% [markdown]
# ## The task
#
# `KEYS` are the keys of its config, each with its range; `traced` ones may differ between runs. `make_task` gets the
# values that are compiled in, and `context.hypers` has the traced ones. There is no loop, no optimizer and no gradient
# here: they are the engine's, as are seeds, evaluation, stopping, checkpoints and resuming.

# %%
KEYS = {"tree.depth": integer(1, 12), "tree.c": real(1e-4, 100, traced=True)}


def edges_between(depth):
    """Node k has the children 2 k and 2 k + 1; (n, n) numbers of edges between nodes 1 .. n."""
    ways = [[k >> up for up in range(k.bit_length())] for k in range(1, 2**depth)]
    return np.array([[len({*one} ^ {*other}) for other in ways] for one in ways], np.float32)


def make_task(static):
    wanted = edges_between(static.tree.depth)
    n = len(wanted)

    def distances(params, i, j, c):
        points = jax.vmap(poincare.exp0, (0, None))(params["table"]["tangents"], c)
        return jax.vmap(poincare.dist, (0, 0, None))(points[i], points[j], c)

    def init(key, hypers):
        return {"table": {"tangents": 0.1 * jax.random.normal(key, (n, 2))}}

    def sample(context):  # pairs of two nodes that differ
        first, step = jax.random.randint(context.key, (2, static.train.batch_size), 0, jnp.array([[n], [n - 1]]))
        return first, (first + 1 + step) % n

    def loss(params, pairs, context):
        i, j = pairs
        ratio = distances(params, i, j, context.hypers.tree.c) / context.data[i, j]
        stress = jnp.mean((ratio - 1) ** 2)
        return Loss(stress, {"stress": stress}, {})

    def evaluate(params, context):
        i, j = np.triu_indices(n, 1)
        ratio = distances(params, i, j, context.hypers.tree.c) / context.data[i, j]
        return {"distortion": jnp.mean(jnp.abs(ratio - 1))}

    def points(params, context, part):
        """Where each node is."""
        c = context.hypers.tree.c
        return {"points": lambda: jax.vmap(poincare.exp0, (0, None))(params["table"]["tangents"], c)}

    metric = Metric("distortion", better=-1, best=0.0, chance=float("nan"), untrained=None)
    return Task("a binary tree", wanted, (metric,), init, sample, loss, evaluate, verbs=Verbs(points))


# %% [markdown]
# ## Its config
#
# It starts from the packaged `defaults`. `config.task` is the name of the module with `make_task`; a notebook is the
# module `__main__`. For more than a notebook, move the cell above to a file and give its name: then
# `python -m ternary_jax.main --config=FILE` trains it too. Several values of a traced key are as many runs: here each
# curvature with several seeds.

# %%
CURVATURES, SEEDS = (0.01, 0.1, 0.5, 2.0), 2 if SMALL else 4
config = read("defaults")
config.task = "__main__"
config.runs = len(CURVATURES) * SEEDS
config.tree = {"depth": 3 if SMALL else 6, "c": tuple(c for c in CURVATURES for _ in range(SEEDS))}
config.stop.watch = "distortion"
config.train.epochs = 0
config.train.steps = 200 if SMALL else 4000
config.train.batch_size = 32 if SMALL else 256
config.train.learning_rate = 0.05
config.evaluate.cheap_every = config.checkpoint.every = config.train.steps // 10
config.evaluate.costly_every = 0
if SMALL:
    config.log.tensorboard = False
    config.report.on = "never"
summary = host.run(config.lock(), FOLDER)

# %% [markdown]
# A workdir names its task, and a module that only a file names is never imported: so whoever reads it gives `task=`.

# %%
run = workdir.open(FOLDER, task="__main__")
final = np.array([run.rows(k)["distortion"][-1] for k in range(config.runs)]).reshape(-1, SEEDS)
for c, values in zip(CURVATURES, final, strict=True):
    low, middle, high = np.quantile(values, (0, 0.5, 1))
    print(f"c = {c:g}: distances are off by {middle:.1%} (best seed {low:.1%}, worst {high:.1%})")
best, times = CURVATURES[final.min(1).argmin()], final[0].min() / final.min()
print(f"the least distortion is at c = {best:g}: {times:.1f} times less than at c = {CURVATURES[0]:g}")

# %%
plot.curves(run, run=int(final.argmin()))

# %% [markdown]
# The best seed of each curvature, in units of the ball's radius $1 / \sqrt c$, with geodesics for edges. Edges that
# cross are a local minimum: a branch that begins on the wrong side has to pass others to get away. `points` is a verb
# that the task has registered, so a loaded model has it.

# %%
times = jnp.linspace(0, 1, 30)
geodesics = jax.vmap(jax.vmap(poincare.geodesic, (0, None, None, None)), (None, 0, 0, None))
angle = np.linspace(0, 2 * np.pi, 100)
with style.applied():
    made = style.figure(3 * len(CURVATURES), 3.4)
    for k, (c, ax) in enumerate(zip(CURVATURES, made.subplots(1, len(CURVATURES)), strict=True)):
        seed = int(final[k].argmin())
        points = load(FOLDER, run=k * SEEDS + seed, at="newest", task="__main__").points()
        child = np.arange(1, len(points))
        lines = geodesics(times, points[(child - 1) // 2], points[child], c)
        style.lines(ax, np.asarray(lines) * np.sqrt(c), "#1f4e79", linewidth=0.8)
        ax.scatter(*np.asarray(points).T * np.sqrt(c), s=6, color="#d9822b", zorder=3)
        ax.plot(np.cos(angle), np.sin(angle), color="black", linewidth=0.8)
        ax.set(aspect="equal", title=f"c = {c:g}, off by {final[k, seed]:.1%}")
        ax.axis("off")
made

# %% [markdown]
# ## What to try next
#
# - Four seeds are few: a task in a file is swept over seeds with intervals, see [a vmapped ablation](5_ablation.py).
# - Fewer local minima: three dimensions, or a curvature that grows, by a controller.
# - A deeper tree, or three children: `edges_between` is all that knows the tree.
# - Controllers, schedules, a task state, data from the host: the further fields of `Task`, on the page of
#   [the engine](../docs/engine.md#from-a-config-to-a-workdir).
