"""Text on a lattice as the engine's Task, for any family of lattices: from the face of a left side to a vector.

A family hands over a `Lattice`: its parameters, and how a face becomes another one. What stands here is the same for
all of them: the corpus, a trained encoder of bytes, the losses, what is judged, and the collapse alarm. Vectors are
projected on a face and back by fixed matrices, so nothing that learns comes before the input face or after the output
face; except that with `data.encoder=bytes` an encoder of bytes is trained along.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ternary_jax.config.keys import choice, flag, integer, real, text
from ternary_jax.control import groups
from ternary_jax.engine import start
from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text import data as data_of_text
from ternary_jax.lattice.text import losses, metrics, prepared, projection, splits, verbs, views
from ternary_jax.lattice.text.models import MARK, ByteEncoder
from ternary_jax.metric import Criteria, Metric

BLOCK = 256  # texts that go through the lattice at once in an evaluation
KEYS = {
    "data.pairs": text(),
    "data.on_device": flag(),
    "data.encoder": choice("prepared", "bytes"),
    "data.longest": integer(2, 4096),
    "encoder.width": integer(4, 4096),
    "encoder.heads": integer(1, 64),
    "encoder.layers": integer(1, 64),
    "losses.text.kind": choice(*losses.KINDS),
    "losses.text.temperature": real(0, 100, excluded=(0,), traced=True),
    "losses.text.adapter": flag(),
    "targets.recall_1": real(0, 1),
}


class Lattice(NamedTuple):
    """What a family of lattices hands over, at the values of a config.

    place: the lattice in the name of the task, such as "on 8 x 8"
    init: key -> its parameters by group
    run: params, faces (B, height, width), Context of a training step or None in an evaluation, in which nothing is
        random -> (faces of one number for each cell, (B, ...); whatever `loss` and `measured` need)
    loss: the loss of the text, what `run` has left, hypers -> the Loss with the terms of the family
    measured: what `run` has left, of a block of texts -> scalars by name, whose means over the blocks are metrics
    metrics: of these scalars
    schedules: arrays of one row a step, by name
    linear: whether the faces that come out are a linear map of those that go in
    """

    place: str
    init: Callable[[Array], dict[str, Any]]
    run: Callable[[Any, Array, Context | None], tuple[Array, Any]]
    loss: Callable[[Array, Any, Any], Loss]
    measured: Callable[[Any], dict[str, Array]]
    metrics: tuple[Metric, ...]
    schedules: Mapping[str, Any] = MappingProxyType({})
    linear: bool = False


def check(config: Any) -> None:
    """Raise a ConfigError if keys of KEYS contradict each other."""
    if config.encoder.width % config.encoder.heads:
        raise ConfigError(
            f"config.encoder.width={config.encoder.width} is no multiple of config.encoder.heads="
            f"{config.encoder.heads}: give one"
        )
    batch, parts = config.train.batch_size, config.train.microbatches
    if config.losses.text.kind == "infonce" and batch == parts:
        raise ConfigError(
            "config.losses.text.kind=infonce finds the target among those of a microbatch, and config.train.batch_size"
            f"={batch} with config.train.microbatches={parts} has one at a time: give a larger batch"
        )


def make(static: Any, lattice: Lattice) -> Task:
    """The task of a config on a lattice, with its static values closed over."""
    corpus = data_of_text.corpus(static)
    sides = data_of_text.sides(static, corpus)
    frozen, loaded = static.start.frozen, start.load(static.start)
    shapes = jax.eval_shape(lambda key: _init(static, lattice, corpus, key), jax.random.key(0))
    if loaded or frozen:
        start.check(static.start, loaded, shapes)
    return Task(
        name=f"{corpus.about['name']} {lattice.place}",
        about="A lattice learns to turn a text into the vector of its partner, which is then found among others.",
        data=data_of_text.arrays(static, corpus, *sides),
        stream=None if static.data.on_device else data_of_text.stream(static, corpus, *sides),
        metrics=_metrics(static, lattice),
        init=lambda key, hypers: _init(static, lattice, corpus, key) | jax.tree.map(jnp.asarray, loaded),
        sample=functools.partial(data_of_text.sample, static),
        loss=groups.held(frozen, functools.partial(_loss, static, lattice)),
        evaluate=functools.partial(_evaluate, static, lattice),
        export=functools.partial(_export, static, lattice),
        schedules=lattice.schedules,
        controllers={"start.frozen": groups.freeze(frozen)} if frozen else {},
        criteria=(Criteria("output", {"reached": {"recall_1": static.targets.recall_1}}, {"collapsed": 0.0}),),
        notes=_notes(static, lattice, corpus, shapes),
        warm_start=start.WARM_START,
        verbs=verbs.verbs(static, corpus, functools.partial(outputs, static, lattice)),
        views=views.views(static, corpus),
    )


def outputs(
    static: Any, lattice: Lattice, params: Any, inputs: Array, data: Any, context: Context | None = None
) -> tuple[Array, Any]:
    """Inputs as data.arrays has them -> (centred vectors (B, e), what the run has left). context: as in Lattice.run."""
    if static.data.encoder == "bytes":
        own: Any = encoder(static)
        faces = own.apply({"params": params["encoder"]}, inputs, _within(inputs))
        inputs = faces.reshape(-1, static.lattice.height, static.lattice.width)
    faces, left = lattice.run(params, inputs, context)
    return projection.back(data["back"], faces.reshape(len(inputs), -1)), left


def encoder(static: Any) -> ByteEncoder:
    """The encoder of bytes of a config, whose outputs are the cells of a face."""
    own = static.encoder
    return ByteEncoder(own.width, own.heads, own.layers, static.lattice.width * static.lattice.height)


# --- inside -----------------------------------------------------------------------------------------------------------


def _init(static: Any, lattice: Lattice, corpus: prepared.Prepared, key: Array) -> dict[str, Any]:
    """The parameters of the lattice, of an encoder of bytes, and of the adapter of targets where that defect is on."""
    params = lattice.init(key)
    if static.data.encoder == "bytes":
        ids = jnp.full((1, static.data.longest + 1), MARK)
        params["encoder"] = encoder(static).init(jax.random.fold_in(key, 1), ids, _within(ids))["params"]
    if static.losses.text.adapter:
        params["adapter"] = {"kernel": jnp.eye(corpus.right.shape[1]), "bias": jnp.zeros(corpus.right.shape[1])}
    return params


def _within(ids: Array) -> Array:
    """Which symbols belong to the text: the first mark and its bytes."""
    return (ids != MARK) | (jnp.arange(ids.shape[-1]) == 0)[None]


def _loss(static: Any, lattice: Lattice, params: Any, batch: Any, context: Context) -> Loss:
    """The loss of the text, in the space of the targets, and the terms of the family."""
    found, left = outputs(static, lattice, params, batch["inputs"], context.data, context)
    wanted, own = batch["vectors"], static.losses.text
    if own.adapter:
        wanted = wanted + context.data["back"].mean[None]  # the originals did not centre their targets
        wanted = wanted @ params["adapter"]["kernel"] + params["adapter"]["bias"][None]
    fit = losses.of(own.kind, found, wanted, batch["truth"], context.hypers.losses.text.temperature)
    return lattice.loss(fit, left, context.hypers)


def _all_outputs(
    static: Any, lattice: Lattice, params: Any, part: str, data: Any
) -> tuple[Array, Array, dict[str, Array]]:
    """(centred vectors of a part, the rows of their targets, what the family measures), in blocks."""
    pairs = data[part]
    n, size = len(pairs), min(BLOCK, len(pairs))
    rows = jnp.resize(pairs[:, 0], (-(-n // size), size))  # the last block is filled up with the first texts

    def of_block(block):
        found, left = outputs(static, lattice, params, data["inputs"][block], data)
        return found, lattice.measured(left)

    found, measured = jax.lax.map(of_block, rows)
    return found.reshape(-1, found.shape[-1])[:n], pairs[:, 1], jax.tree.map(jnp.mean, measured)


def _evaluate(static: Any, lattice: Lattice, params: Any, context: Context) -> dict[str, Array]:
    data = context.data
    found, truth, measured = _all_outputs(static, lattice, params, "test", data)
    chosen, truth_of_chosen, _ = _all_outputs(static, lattice, params, "validation", data)
    judged = metrics.judged(found, data["vectors"], truth)
    if not static.data.on_device:  # the targets of the training pairs are not there to be found
        judged = {name: value for name, value in judged.items() if not name.endswith("_of_all")}
    chosen = metrics.judged(chosen, data["vectors"], truth_of_chosen)
    return {
        **judged,
        "validation_cosine": chosen["cosine"],
        "validation_reciprocal_rank": chosen["reciprocal_rank"],
        **measured,
    }


def _metrics(static: Any, lattice: Lattice) -> tuple[Metric, ...]:
    """Of the test pairs, see text/metrics.py; validation_: of the validation pairs; collapsed: outputs are alike."""
    nan, names = float("nan"), ["recall_1", "recall_10", "reciprocal_rank", "cosine"]
    names += ["recall_1_of_all", "recall_10_of_all"] * static.data.on_device
    return (
        *(Metric(name, 1, 1.0, nan, None) for name in names),
        Metric("median_rank", -1, 1.0, nan, None),
        Metric("pair_cosine", -1, nan, nan, None),  # neither direction is better: the targets have a value of their own
        Metric("dimensions", 1, nan, nan, None),
        Metric("collapsed", -1, 0.0, nan, None),
        *(
            Metric(f"validation_{name}", 1, 1.0, nan, None, tag=f"validation/{name}")
            for name in ("reciprocal_rank", "cosine")
        ),
        *lattice.metrics,
    )


def _export(static: Any, lattice: Lattice, params: Any, context: Context) -> dict[str, Array]:
    """The vectors of the test pairs and the rows of their targets."""
    found, truth, _ = _all_outputs(static, lattice, params, "test", context.data)
    return {"outputs": found, "truth": truth}


def _notes(static: Any, lattice: Lattice, corpus: prepared.Prepared, shapes: Any) -> tuple[str, ...]:
    """Sentences below the table of a run. shapes: of its parameters, of which an adapter of targets does not count."""
    test = jnp.asarray(prepared.targets(corpus)[prepared.part(corpus, splits.TEST)[:, 1]])
    own, wide = float(metrics.pair_cosine(test)), float(metrics.dimensions(test))
    size = sum(leaf.size for group, tree in shapes.items() if group != "adapter" for leaf in jax.tree.leaves(tree))
    linear = lattice.linear and static.data.encoder == "prepared"
    of_all = f", and with _of_all among {len(corpus.right):,}" * static.data.on_device
    longest, cut = static.data.longest, 0
    if static.data.encoder == "bytes":
        cut = sum(len(text.encode()) > longest for text in corpus.texts[0])
    return (
        f"{len(test):,} pairs that were never trained on, each among the targets of all of them{of_all}",
        f"pair_cosine is the mean cosine of two outputs, dimensions the effective number of their directions; those of "
        f"the targets are {own:.4f} and {wide:.0f}",
        f"{size:,} parameters" + ", which make one linear map of the input" * linear,
        *[f"{cut:,} of {len(corpus.left):,} left sides were cut at config.data.longest={longest} bytes"] * (cut > 0),
    )
