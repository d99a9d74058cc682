"""Flows between texts: the face of a left side goes in, and what arrives is judged among the vectors of right sides.

The corpus is a file that `python -m ternary_jax.lattice.text prepare` writes. Vectors are projected on a face and back
by fixed matrices, so nothing that learns comes before the input face or after the output face; except that with
`data.encoder=bytes` an encoder of bytes is trained along.

With `model.content` off, a linear exchange and multiplied energies, the outputs are a linear map of the input: such a
run shows how well a lattice represents a matrix.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ternary_jax.config.keys import choice, flag, integer, real, text
from ternary_jax.control import groups
from ternary_jax.engine import start
from ternary_jax.engine.task import Context, Loss, Task
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.energy_flow import flow, settings, widths
from ternary_jax.lattice.energy_flow import losses as losses_of_flows
from ternary_jax.lattice.energy_flow.settings import check_to_train as check_to_train
from ternary_jax.lattice.text import byte_texts, losses, metrics, prepared, projection, splits
from ternary_jax.lattice.text.models import MARK, ByteEncoder
from ternary_jax.metric import Criteria, Metric

FIXTURE = Path(__file__).parents[2] / "assets" / "chatterbot_pairs.npz"
SEED = 0  # of the batches that are streamed, which all runs share
BLOCK = 256  # texts whose flows are run at once in an evaluation
PARTS = {"train": splits.TRAIN, "validation": splits.VALIDATION, "test": splits.TEST}
KEYS = {
    **settings.FLOW,
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


def check(config: Any) -> None:
    """Raise a ConfigError if keys contradict each other."""
    if config.model.planes != 1:
        raise ConfigError(
            f"config.model.planes={config.model.planes}, and a text has one output face: give config.model.planes=1"
        )
    if config.encoder.width % config.encoder.heads:
        raise ConfigError(
            f"config.encoder.width={config.encoder.width} is no multiple of config.encoder.heads="
            f"{config.encoder.heads}: give one"
        )
    settings.check_flow(config)


def make_task(static: Any) -> Task:
    """The task of a config, with its static values closed over."""
    corpus = _corpus(static)
    sides = _sides(static, corpus)
    frozen, sizes = static.start.frozen, _sizes(static, corpus)
    loaded = start.load(static.start)
    if loaded or frozen:
        shapes = jax.eval_shape(lambda key: _init(static, corpus, key, None), jax.random.key(0))
        start.check(static.start, loaded, shapes)
    return Task(
        name=f"{corpus.about['name']} on {static.lattice.width} x {static.lattice.height}",
        data=_data(static, corpus, *sides),
        stream=None if static.data.on_device else _stream(static, corpus, *sides),
        metrics=_metrics(static),
        init=lambda key, hypers: _init(static, corpus, key, hypers) | jax.tree.map(jnp.asarray, loaded),
        sample=functools.partial(_sample, static),
        loss=functools.partial(_loss, static),
        evaluate=functools.partial(_evaluate, static),
        export=functools.partial(_export, static),
        schedules=widths.falling(static),
        controllers={"start.frozen": groups.freeze(frozen)} if frozen else {},
        criteria=(Criteria("output", {"reached": {"recall_1": static.targets.recall_1}}, {"collapsed": 0.0}),),
        notes=_notes(static, corpus, sizes),
        warm_start=start.WARM_START,
    )


def outputs(
    static: Any, params: Any, inputs: Array, data: Any, key: Array | None = None, softness: Any = None
) -> tuple[Array, flow.Flows, Array]:
    """Inputs as _data has them -> (centred vectors (B, e), the flows that made them, the mean square of the pushes).

    key: of noise and dropout; softness: of the barrier. None in an evaluation.
    """
    if static.data.encoder == "bytes":
        encoder: Any = _encoder(static)
        faces = encoder.apply({"params": params["encoder"]}, inputs, _within(inputs))
        inputs = faces.reshape(-1, static.lattice.height, static.lattice.width)
    flows, push, _ = flow.run(params, inputs, static, static.model.steps, key, softness)
    rows = flow.outputs(flows, static).reshape(len(inputs), -1)
    return projection.back(data["back"], rows), flows, push


# --- inside -----------------------------------------------------------------------------------------------------------


def _corpus(static: Any) -> prepared.Prepared:
    """The corpus of data.pairs, whose face has to be that of the lattice."""
    name = static.data.pairs
    corpus = prepared.read(FIXTURE if name == "fixture" else Path(name))
    face, lattice = tuple(corpus.about["face"]), (static.lattice.width, static.lattice.height)
    if face != lattice:
        raise ConfigError(
            f"config.data.pairs={name} is prepared for a face of {face[0]} x {face[1]}, and config.lattice.width="
            f"{lattice[0]} and config.lattice.height={lattice[1]}: give --face={lattice[0]}x{lattice[1]} to prepare, "
            "or the other lattice"
        )
    if static.data.encoder == "bytes" and not corpus.texts[0]:
        raise ConfigError(
            f"config.data.encoder=bytes reads texts, and config.data.pairs={name} has none: give a corpus that was "
            "prepared from texts without --small, or config.data.encoder=prepared"
        )
    return corpus


def _data(static: Any, corpus: prepared.Prepared, inputs: np.ndarray, vectors: np.ndarray) -> dict[str, Any]:
    """inputs; vectors (rights, e), centred; back: their projection; pairs of each part, (n, 2): rows of the first two.

    inputs: faces (lefts, height, width), or where an encoder is trained along, symbols (lefts, longest + 1)
    Where the training pairs are not on the device, these are the inputs and vectors of the other pairs alone.
    """
    parts = {name: prepared.part(corpus, number) for name, number in PARTS.items()}
    if not static.data.on_device:
        del parts["train"]
        inputs, vectors, parts = _rows_of(inputs, vectors, parts)
    return {"inputs": inputs, "vectors": vectors, "back": corpus.back, **parts}


def _sides(static: Any, corpus: prepared.Prepared) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of all left sides, and the centred vectors of all right ones."""
    if static.data.encoder == "bytes":
        return byte_texts.rows(corpus.texts[0], static.data.longest).ids, prepared.targets(corpus)
    return prepared.faces(corpus), prepared.targets(corpus)


def _rows_of(inputs: np.ndarray, vectors: np.ndarray, parts: dict[str, np.ndarray]) -> tuple[Any, Any, dict[str, Any]]:
    """The inputs and vectors of these pairs alone, and the pairs with the numbers of the rows that are left."""
    kept = np.concatenate([*parts.values()])
    sides = [np.unique(rows) for rows in kept.T]
    numbers = {
        name: np.stack([np.searchsorted(side, rows) for side, rows in zip(sides, pairs.T, strict=True)], 1)
        for name, pairs in parts.items()
    }
    return inputs[sides[0]], vectors[sides[1]], {name: pairs.astype(np.int32) for name, pairs in numbers.items()}


def _stream(
    static: Any, corpus: prepared.Prepared, inputs: np.ndarray, vectors: np.ndarray
) -> Callable[[int, int], dict[str, np.ndarray]]:
    """First step, n -> the batches of n steps, from the memory of the host.

    A batch depends on its step alone and not on config.seed, as all runs share it.
    """
    pairs = prepared.part(corpus, splits.TRAIN)

    def batches(first: int, n: int) -> dict[str, np.ndarray]:
        drawn = [np.random.default_rng((SEED, step)) for step in range(first, first + n)]
        rows = pairs[np.stack([one.integers(len(pairs), size=static.train.batch_size) for one in drawn])]
        return {"inputs": inputs[rows[..., 0]], "vectors": vectors[rows[..., 1]], "truth": rows[..., 1]}

    return batches


def _init(static: Any, corpus: prepared.Prepared, key: Array, hypers: Any) -> dict[str, Any]:
    """The parameters of the flows, of an encoder of bytes, and of the adapter of targets where that defect is on."""
    params = flow.init(key, static)
    if static.data.encoder == "bytes":
        ids = jnp.full((1, static.data.longest + 1), MARK)
        params["encoder"] = _encoder(static).init(jax.random.fold_in(key, 1), ids, _within(ids))["params"]
    if static.losses.text.adapter:
        params["adapter"] = {"kernel": jnp.eye(corpus.right.shape[1]), "bias": jnp.zeros(corpus.right.shape[1])}
    return params


def _encoder(static: Any) -> ByteEncoder:
    own = static.encoder
    return ByteEncoder(own.width, own.heads, own.layers, static.lattice.width * static.lattice.height)


def _within(ids: Array) -> Array:
    """Which symbols belong to the text: the first mark and its bytes."""
    return (ids != MARK) | (jnp.arange(ids.shape[-1]) == 0)[None]


def _sample(static: Any, context: Context) -> dict[str, Array]:
    if not static.data.on_device:
        return context.streamed
    data = context.data
    rows = data["train"][jax.random.randint(context.key, (static.train.batch_size,), 0, len(data["train"]))]
    return {"inputs": data["inputs"][rows[:, 0]], "vectors": data["vectors"][rows[:, 1]], "truth": rows[:, 1]}


def _loss(static: Any, params: Any, batch: Any, context: Context) -> Loss:
    """The loss of the text, in the space of the targets, and the terms that keep flows apart and able to move."""
    softness = widths.softness(static, context)
    found, flows, push = outputs(static, params, batch["inputs"], context.data, context.key, softness)
    wanted, own = batch["vectors"], static.losses.text
    if own.adapter:
        wanted = wanted + context.data["back"].mean[None]  # the originals did not centre their targets
        wanted = wanted @ params["adapter"]["kernel"] + params["adapter"]["bias"][None]
    fit = losses.of(own.kind, found, wanted, batch["truth"], context.hypers.losses.text.temperature)
    terms = losses_of_flows.of_flows(static, flows, push)
    return Loss(losses_of_flows.total(fit, terms, context.hypers.losses), {"fit": fit, **terms}, {})


def _all_outputs(static: Any, params: Any, part: str, data: Any) -> tuple[Array, Array, Array]:
    """(centred vectors of a part, the rows of their targets, share of the flows that have arrived), in blocks."""
    pairs = data[part]
    n, size = len(pairs), min(BLOCK, len(pairs))
    rows = jnp.resize(pairs[:, 0], (-(-n // size), size))  # the last block is filled up with the first texts

    def of_block(block):
        found, flows, _ = outputs(static, params, data["inputs"][block], data)
        return found, jnp.mean(flows.arrived)

    found, arrived = jax.lax.map(of_block, rows)
    return found.reshape(-1, found.shape[-1])[:n], pairs[:, 1], jnp.mean(arrived)


def _evaluate(static: Any, params: Any, context: Context) -> dict[str, Array]:
    data = context.data
    found, truth, arrived = _all_outputs(static, params, "test", data)
    chosen, truth_of_chosen, _ = _all_outputs(static, params, "validation", data)
    judged = metrics.judged(found, data["vectors"], truth)
    if not static.data.on_device:  # the targets of the training pairs are not there to be found
        judged = {name: value for name, value in judged.items() if not name.endswith("_of_all")}
    chosen = metrics.judged(chosen, data["vectors"], truth_of_chosen)
    return {
        **judged,
        "validation_cosine": chosen["cosine"],
        "validation_reciprocal_rank": chosen["reciprocal_rank"],
        "arrival": arrived,
    }


def _metrics(static: Any) -> tuple[Metric, ...]:
    """Of the test pairs, see text/metrics.py; validation_: of the validation pairs; collapsed: outputs are alike."""
    nan, names = float("nan"), ["recall_1", "recall_10", "reciprocal_rank", "cosine"]
    names += ["recall_1_of_all", "recall_10_of_all"] * static.data.on_device
    return (
        *(Metric(name, 1, 1.0, nan, None) for name in names),
        Metric("median_rank", -1, 1.0, nan, None),
        Metric("pair_cosine", -1, nan, nan, None),  # neither direction is better: the targets have a value of their own
        Metric("dimensions", 1, nan, nan, None),
        Metric("collapsed", -1, 0.0, nan, None),
        *(Metric(f"validation_{name}", 1, 1.0, nan, None) for name in ("reciprocal_rank", "cosine")),
        Metric("arrival", 1, 1.0, nan, None),
    )


def _export(static: Any, params: Any, context: Context) -> dict[str, Array]:
    """The vectors of the test pairs and the rows of their targets."""
    found, truth, _ = _all_outputs(static, params, "test", context.data)
    return {"outputs": found, "truth": truth}


def _sizes(static: Any, corpus: prepared.Prepared) -> int:
    """Parameters, without the adapter."""
    shapes = jax.eval_shape(lambda key: _init(static, corpus, key, None), jax.random.key(0))
    return sum(leaf.size for group, tree in shapes.items() if group != "adapter" for leaf in jax.tree.leaves(tree))


def _notes(static: Any, corpus: prepared.Prepared, size: int) -> tuple[str, ...]:
    test = jnp.asarray(prepared.targets(corpus)[prepared.part(corpus, splits.TEST)[:, 1]])
    own, wide = float(metrics.pair_cosine(test)), float(metrics.dimensions(test))
    linear = not static.model.content and static.model.energy == "multiply" and static.data.encoder == "prepared"
    linear = linear and (static.interaction.linear or static.interaction.kind == "none")
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
