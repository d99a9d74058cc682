# %% [markdown]
# # Hyperbolic space and the 3-adic tree
#
# **Question.** Why does the model live in a ball, and how well does it hold the tree?
#
# The 3-adic distance of two indices is $d(i, j) = 3^{-v(i - j)}$, where $v$ counts the leading digits that both share.
# It is the distance between leaves of a tree: the nodes at depth $L$ are the classes mod $3^L$. The leaves of a tree
# grow exponentially with its depth, and so does the room in a hyperbolic ball with the radius. Definitions are on the
# page of [geometry](../docs/geometry.md).

# %%
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import load, load_config, plot, poincare, ternary, workdir
from ternary_jax.engine import host
from ternary_jax.pictures import style
from ternary_jax.vae import baselines

SMALL = os.environ.get("NOTEBOOK_SIZE") == "small"  # a tiny model, for tests; without it, sizes are for a person
FOLDER = Path("runs/notebooks", "small" if SMALL else "full", "ceiling")

# %% [markdown]
# ## The tree
#
# `ternary` works on integers of any shape. The space is finite, so what is said about it can be checked on all of it:
# here the strong triangle inequality, $d(i, k) \le \max(d(i, j), d(j, k))$, on all triples of 27 indices.

# %%
i, j, k = np.ogrid[:27, :27, :27]
d_ij, d_jk, d_ik = (ternary.distance(*pair, n_digits=3) for pair in ((i, j), (j, k), (i, k)))
assert np.all(d_ik <= np.maximum(d_ij, d_jk))
print(f"strong triangle inequality: {np.broadcast(i, j, k).size:,} triples, no exception")
for v, count in enumerate(ternary.level_counts(9)):
    print(f"valuation {v}: {count:6,} operations")

# %% [markdown]
# ## The ball
#
# `poincare` takes single points, and `jax.vmap` makes the batches; the curvature is $-c$, and `c` is the last argument
# everywhere. A step of a fixed Euclidean length is longer the nearer it is to the edge, and a geodesic bends towards
# the origin. Each line below joins two points on one circle.

# %%
angles = jnp.linspace(0.15, jnp.pi - 0.15, 7)
ends = 0.97 * jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
starts = ends * jnp.array([1.0, -1.0])
times = jnp.linspace(0, 1, 61)
geodesic = jax.vmap(jax.vmap(poincare.geodesic, (0, None, None, None)), (None, 0, 0, None))
lines = geodesic(times, starts, ends, 1.0)  # (7, 61, 2)
straight = jax.vmap(poincare.dist, (0, 0, None))(starts, ends, 1.0)
around = jax.vmap(poincare.dist0, (0, None))(starts, 1.0) + jax.vmap(poincare.dist0, (0, None))(ends, 1.0)
print("distance of the ends over the way through the origin:", np.round(straight / around, 3))
nearest = np.linalg.norm(lines, axis=-1).min(1)
assert np.all(nearest <= 0.97 * abs(np.cos(angles)) + 1e-5)  # no further from the origin than the straight line

# %% [markdown]
# Two points that lie far apart near the edge have a distance that is nearly the way through the origin: as in a tree,
# where the way between two leaves leads through their last common node. So a tree can be drawn with little distortion.
# `baselines.tree` is a closed form of the 3-adic tree, without any training; here it is in two dimensions, with
# geodesics from each class mod $3^L$ to its three classes mod $3^{L+1}$.

# %%
DIGITS = 4
form = baselines.Tree(n_digits=DIGITS, dim=2, scale=0.54, ratio=0.42)
points = baselines.tree(form)
indices = np.arange(3**DIGITS)
with style.applied():
    made = style.figure(9, 4.6)
    left, right = made.subplots(1, 2)
    style.lines(left, np.asarray(lines), "#1f4e79", linewidth=1)
    left.set_title("geodesics bend towards the origin")
    for level, color in zip(range(DIGITS), style.sequence(DIGITS), strict=True):
        children = indices[: 3 ** (level + 1)]
        edges = geodesic(times, points[children % 3**level], points[children], 1.0)
        style.lines(right, np.asarray(edges), color, linewidth=1.2 - 0.2 * level)
    v = ternary.valuations(DIGITS)
    right.scatter(*points.T, c=v, s=6 + 10 * v, cmap="viridis_r", zorder=3)
    right.set_title("the 3-adic tree, larger dots: higher valuations")
    around_once = np.linspace(0, 2 * np.pi, 200)
    for ax in (left, right):
        ax.plot(np.cos(around_once), np.sin(around_once), color="black", linewidth=1)
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.axis("off")
made

# %% [markdown]
# How much of the tree is in the distances of this drawing? The mean by the number of shared digits says it.

# %%
pairwise = jax.vmap(jax.vmap(poincare.dist, (None, 0, None)), (0, None, None))
distances = np.asarray(pairwise(points, points, 1.0))
shared = ternary.pair_valuation(indices[:, None], indices, DIGITS)
means = [float(distances[shared == level].mean()) for level in range(DIGITS)]
for level, mean in enumerate(means):
    print(f"{level} shared digits: mean distance {mean:.4f}, 3-adic distance {3.0**-level:.4f}")
assert np.isfinite(means).all()
assert means == sorted(means, reverse=True)

# %% [markdown]
# ## What was learned
#
# The model of [the first notebook](1_ceiling.py): if it is not trained yet, this cell trains it. It never saw the
# drawing above, but its losses are given $v(i)$ and $v(i - j)$, so the scores show a fit and not a discovery of the
# tree: [limits](../README.md#limits).

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
summary = host.run(config, FOLDER)
run, model = workdir.open(FOLDER), load(FOLDER, at="newest")

# %% [markdown]
# Distances of pairs by shared digits: a staircase without overlap is a tree.

# %%
plot.distances(run)

# %% [markdown]
# One residue ball, from the outside to the inside: the distances from one operation to all that share its first digits.

# %%
D = config.data.n_digits
operation = 3 ** (D - 1) + 1
for level in range(D):
    ball = model.residue_ball(operation, level)
    away = np.asarray(ball.distances)
    print(f"{level} or more shared digits: {away.size:6,} operations within {away.max():.4f}")

# %% [markdown]
# The midpoint of a geodesic between two operations is a point that the decoder was not trained on. What does it make of
# it, and does it keep the digits that both ends share?

# %%
rng = np.random.default_rng(0)
for level in range(1, D):
    low = rng.integers(0, 3**level, 200)  # the shared digits
    first, second = (low + 3**level * rng.integers(0, 3 ** (D - level), 200) for _ in range(2))
    middle = np.asarray(model.decode(model.interpolate(first, second)))
    kept = np.mean(middle % 3**level == low)
    print(f"{level} shared digits or more: the midpoint keeps them in {kept:.0%} of 200 pairs")

# %% [markdown]
# ## What to try next
#
# - The same without curvature: `load_config("v5_12", {"model.geometry": "euclidean"})`, then `plot.distances` again.
# - `plot.bands(run)` has the radii by valuation beside what the losses ask for.
# - A table of points instead of an encoder: `python experiments/embed_tree.py`, on the page of
#   [geometry](../docs/geometry.md#riemannian-optimizers).
# - [A task of your own](3_own_task.py) embeds another tree.
