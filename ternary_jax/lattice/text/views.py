"""What can be looked at in a trained lattice of texts, as `Task.views`: which right sides it finds, and at which rank.

Where the corpus has texts there are examples too. They are taken at even distances in the order of the ranks, so that
they are neither the best nor the worst.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ternary_jax.engine.task import View
from ternary_jax.errors import WorkdirError
from ternary_jax.lattice.text import bridge, corpora, metrics, prepared, splits, views_panel
from ternary_jax.lattice.text import data as data_of_text
from ternary_jax.lattice.text.prepared import Prepared
from ternary_jax.pictures import style
from ternary_jax.workdir import Run

EXAMPLES = 6
BEST = 3  # right sides of an example
SHOWN = 92  # characters of a text in the figure


class Found(NamedTuple):
    """A right side that was found. right: whether it is the one that belongs to the left side."""

    text: str
    cosine: float
    right: bool


class Example(NamedTuple):
    """A left side. own: its right side, with its rank and its cosine; found: the nearest ones, the nearest first."""

    left: str
    own: str
    rank: float
    cosine: float
    found: tuple[Found, ...]


class Retrieval(NamedTuple):
    """Which right sides the outputs of the test pairs find, each among the right sides of all test pairs.

    ranks (n,): of the own right side by cosine, 1 is the first; of equal ones, each has the mean of their ranks
    recall: {k: share of the ranks up to k}; by chance k / n
    ends (b,), share (b,), chance (b,): the ranks in bins that end at `ends`, the share of outputs in them, and the
        share of all ranks that they are
    examples: () where the corpus has no texts
    corpus: its name; credit: whose texts they are, "" without texts
    """

    ranks: NDArray
    recall: dict[int, float]
    ends: NDArray
    share: NDArray
    chance: NDArray
    examples: tuple[Example, ...]
    corpus: str
    credit: str


def views(static: Any, corpus: Prepared) -> dict[str, View]:
    """The views of a lattice on a corpus."""
    return {
        "retrieval": View(
            title="which right sides the lattice finds: ranks of the own one, beside chance, and examples",
            data=functools.partial(data, static, corpus),
            figure=figure,
            panel=views_panel.panel,
            text=views_panel.text,
            table=views_panel.table,
            needs="a checkpoint of a lattice between texts",
        )
    }


def data(static: Any, corpus: Prepared, run: Run, k: int) -> Retrieval | None:
    """What run k finds; None where there is no checkpoint yet."""
    exported = run.exported(k)
    if exported is None:
        return None
    pairs = _pairs(static, corpus, exported["truth"])
    own = jnp.asarray(prepared.targets(corpus)[pairs[:, 1]])
    ranks, cosines, places, best = map(np.asarray, _ranked(jnp.asarray(exported["outputs"]), own))
    ends, share, chance = bins(ranks)
    examples = tuple(
        _example(corpus, pairs, n, float(ranks[n]), float(cosines[n]), places[n], best[n])
        for n in (_spread(ranks) if corpus.texts[1] else ())
    )
    recall = {k: float(np.mean(ranks <= k)) for k in (1, 5) if k <= len(ranks)}
    name = str(corpus.about["name"])
    return Retrieval(ranks, recall, ends, share, chance, examples, name, corpora.credit(name) if examples else "")


def bins(ranks: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """(ends, share, chance) of the ranks up to 1, 2, 4, 8, ... and their number; see Retrieval."""
    n = len(ranks)
    ends = np.unique(np.append(2 ** np.arange(n.bit_length()), n))
    share = np.diff([0.0, *(np.mean(ranks <= end) for end in ends)])
    return ends, share, np.diff([0, *ends]) / n


@style.styled
def figure(found: Retrieval) -> Any:
    """The ranks in bins beside chance; at their right the examples."""
    made = style.figure(11 if found.examples else 5.5, 5.2 if found.examples else 3.6)
    parts: Any = made.subplots(1, 2, width_ratios=(1, 1.5), squeeze=False)[0] if found.examples else [made.subplots()]
    at, ax = np.arange(len(found.ends)), parts[0]
    ax.bar(at, found.share, 0.8, color=style.SERIES[2][0], label="left sides")
    ax.hlines(found.chance, at - 0.45, at + 0.45, color="#111111", linestyle=(0, (3, 1)), label="chance")
    ax.set_xticks(at, views_panel.ranges(found.ends), rotation=45, ha="right", rotation_mode="anchor")
    ax.set(xlabel="rank of the own right side", ylabel="share of the left sides")
    ax.legend(loc="upper left")
    ax.set_title("\n".join(views_panel.recalls(found)))
    for ax in parts[1:]:
        ax.axis("off")
        lines = [line for one in found.examples for line in (*_lines(one), "")]
        ax.text(0, 1, "\n".join(lines[:-1]), va="top", fontsize=7, transform=ax.transAxes, linespacing=1.25)
    made.suptitle(f"{found.corpus}: {len(found.ranks):,} left sides that were never trained on")
    if found.credit:
        made.supxlabel(found.credit, fontsize=6.5)
    return made


# --- inside -----------------------------------------------------------------------------------------------------------


def _pairs(static: Any, corpus: Prepared, truth: NDArray) -> NDArray:
    """The test pairs, (n, 2) rows of the corpus; a WorkdirError where they are not those that the run was measured on.

    truth (n,): the rows of their targets in `data_of_text.arrays`, as exported
    """
    pairs, rights = prepared.part(corpus, splits.TEST), data_of_text.rights(static, corpus)
    if not np.array_equal(np.searchsorted(rights, pairs[:, 1]), truth):
        raise WorkdirError(
            f"config.data.pairs={static.data.pairs} has other test pairs than the training had: put back its file"
        )
    return pairs


@jax.jit
def _ranked(outputs: Array, own: Array) -> tuple[Array, Array, Array, Array]:
    """Ranks and cosines (n,) of the own targets (n, e); numbers and cosines (n, BEST) of the nearest ones."""
    numbers = jnp.arange(len(own))
    cosines = jnp.sum(metrics.unit(outputs) * metrics.unit(own), -1)
    return (
        metrics.ranks(outputs, own, numbers, numbers),
        cosines,
        *bridge.nearest(metrics.unit(own), outputs, min(BEST, len(own))),
    )


def _spread(ranks: NDArray) -> NDArray:
    """The numbers of EXAMPLES outputs at even distances in the order of their ranks."""
    number = min(EXAMPLES, len(ranks))
    return np.argsort(ranks, kind="stable")[((np.arange(number) + 0.5) * len(ranks) / number).astype(int)]


def _example(
    corpus: Prepared, pairs: NDArray, n: int, rank: float, cosine: float, places: NDArray, best: NDArray
) -> Example:
    lefts, rights = corpus.texts
    found = (Found(rights[pairs[place, 1]], float(x), bool(place == n)) for place, x in zip(places, best, strict=True))
    return Example(lefts[pairs[n, 0]], rights[pairs[n, 1]], rank, cosine, tuple(found))


def _lines(one: Example) -> list[str]:
    """An example in the figure."""
    shown = functools.partial(views_panel.shortened, most=SHOWN)
    each = [f"  {'✓' if x.right else '   '} {x.cosine:.2f}  {shown(x.text)}" for x in one.found]
    own = [] if any(x.right for x in one.found) else [f"  ✓ {one.cosine:.2f}  {shown(one.own)}"]
    return [f"{shown(one.left)}   (rank {one.rank:.10g})", *each, *own]
