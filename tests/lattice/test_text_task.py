"""Text on flows and on a cube, with the small corpus of the package, beside numpy float64."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from reference import cube as reference

from ternary_jax import workdir
from ternary_jax.config import load_config
from ternary_jax.control.chain import Controls
from ternary_jax.engine import assembly, host
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.lattice.cube import cube
from ternary_jax.lattice.cube import text_task as text_on_cube
from ternary_jax.lattice.energy_flow import flow
from ternary_jax.lattice.energy_flow import text_task as text_on_flows
from ternary_jax.lattice.text import data, metrics, prepared, projection, splits
from ternary_jax.lattice.text import task as text_task
from ternary_jax.lattice.text.models import MARK

SHORT = {"train.batch_size": 8, "train.steps": 20, "train.warmup_epochs": 0, "evaluate.cheap_every": 10}
SHORT |= {"checkpoint.every": 20}
NO_DROPOUT = {"model.dropout": 0.0, **SHORT}
SMALL = {
    "flows": {
        "model.hidden": 6,
        "model.neuron_hidden": 5,
        "model.neuron_output": 4,
        "model.movement_hidden": 7,
        "model.channels": 2,
        "model.steps": 2,
        "interaction.messages": 3,
        **SHORT,
    },
    "cube": {"lattice.depth": 2, "model.channels": 4, "model.hidden": 3, "model.repeats": 1, **NO_DROPOUT},
}
FAMILIES = {"flows": ("energy_flow_text.py", text_on_flows), "cube": ("cube_text.py", text_on_cube)}
EACH = pytest.mark.parametrize("family", [*FAMILIES])


def config_of(family, changes):
    return load_config(Path(__file__).parents[2] / "configs" / FAMILIES[family][0], changes)


@functools.cache
def made(family="flows", **changes):
    """(the task, its static config, parameters, a context) of a small model."""
    given = SMALL[family] | {key.replace("__", "."): value for key, value in changes.items()}
    task, static, hypers = assembly.assemble(config_of(family, given))
    hypers = jax.tree.map(lambda a: np.asarray(a)[0], hypers)
    params = small.drawn(jax.eval_shape(task.init, jax.random.key(1), hypers), 1)  # none is 0; nothing is compiled
    context = Context(
        jnp.int32(0), jax.random.key(2), Controls({}, None, {}), hypers, jax.tree.map(jnp.asarray, task.data)
    )
    return task, static, params, context


@functools.cache
def corpus():
    return prepared.read(data.FIXTURE)


def vectors_of(static, params, faces):
    """The centred vectors of faces, by the lattice and numpy float64."""

    @jax.jit
    def read(params, faces):
        if "drive" in params:
            return cube.sweep(params, faces, static)[1]
        return flow.outputs(flow.run(params, faces, static, static.model.steps)[0], static)

    return projected(np.asarray(read(params, faces), float).reshape(len(faces), -1))


def projected(rows):
    """The centred vectors of rows of output faces, by numpy float64."""
    return rows @ corpus().back.basis.T.astype(float) / float(corpus().back.gain)


def exported(task, params, context):
    """The arrays that a run exports."""
    assert task.export
    return jax.jit(task.export)(params, context)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_a_batch_is_of_training_pairs():
    task, _, _, context = made()
    batch, of = jax.jit(task.sample)(context), corpus()
    pairs = {(a, b) for a, b, part in zip(of.left_of, of.right_of, of.split, strict=True) if part == splits.TRAIN}
    faces = np.asarray(projection.onto(of.onto, of.left)).reshape(-1, 8, 8)
    for face, truth in zip(batch["inputs"], np.asarray(batch["truth"]), strict=True):
        left = int(np.abs(faces - np.asarray(face)).max((1, 2)).argmin())
        np.testing.assert_allclose(face, faces[left], atol=1e-5)
        assert (left, truth) in pairs


def test_training_pairs_that_stay_with_the_host_are_those_of_the_corpus():
    task, _, params, context = made("cube", data__on_device=False)
    assert task.stream
    of = corpus()
    faces, vectors = prepared.faces(of), (of.right - of.back.mean).astype(float)
    pairs = {(a, b) for a, b, part in zip(of.left_of, of.right_of, of.split, strict=True) if part == splits.TRAIN}
    batches = task.stream(3, 2)
    assert [len(x) for x in batches["truth"]] == [8, 8]
    assert list(batches["truth"][0]) != list(batches["truth"][1])
    for face, vector, truth in zip(*(batches[name][1] for name in ("inputs", "vectors", "truth")), strict=True):
        left = int(np.abs(faces - face).max((1, 2)).argmin())
        np.testing.assert_array_equal(face, faces[left])
        np.testing.assert_allclose(vector, vectors[truth], atol=1e-6)
        assert (left, truth) in pairs
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a[0], b), task.stream(4, 1), {k: v[1] for k, v in batches.items()}
    )
    found, whole = jax.jit(task.evaluate)(params, context), made("cube")
    expected = jax.jit(whole[0].evaluate)(params, whole[3])
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert found.keys() == {name for name in expected if not name.endswith("_of_all")}
    assert found.keys() == {metric.name for metric in task.metrics}
    assert len(context.data["vectors"]) < len(of.right)


@pytest.mark.parametrize(("family", "kind"), [("flows", "cosine"), ("flows", "infonce"), ("cube", "infonce")])
def test_the_loss_is_that_of_centred_vectors(family, kind):
    task, static, params, context = made(family, losses__text__kind=kind)
    batch = jax.jit(task.sample)(context)
    found = jax.jit(task.loss)(params, batch, context._replace(key=jax.random.key(3))).terms["fit"]
    outputs = unit(vectors_of(static, params, batch["inputs"]))
    truth = np.asarray(batch["truth"])
    wanted = unit((corpus().right - corpus().back.mean)[truth].astype(float))
    if kind == "cosine":
        expected = 1 - (outputs * wanted).sum(-1).mean()
    else:
        logits = outputs @ wanted.T / 0.05
        expected = np.mean(
            [
                np.log(np.exp(row).sum() / np.exp(row[truth == own]).sum())
                for row, own in zip(logits, truth, strict=True)
            ]
        )
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@EACH
def test_an_adapter_maps_targets_that_are_not_centred_and_has_a_gradient(family):
    task, static, params, context = made(family, losses__text__kind="cosine", losses__text__adapter=True)
    batch = jax.jit(task.sample)(context)

    def fit(params):
        loss = task.loss(params, batch, context._replace(key=jax.random.key(3)))
        return loss.total, loss.terms["fit"]

    slope, found = jax.jit(jax.grad(fit, has_aux=True))(params)
    outputs = unit(vectors_of(static, params, batch["inputs"]))
    own = {name: np.asarray(x, float) for name, x in params["adapter"].items()}
    wanted = unit(corpus().right[np.asarray(batch["truth"])].astype(float) @ own["kernel"] + own["bias"])
    np.testing.assert_allclose(found, 1 - (outputs * wanted).sum(-1).mean(), rtol=1e-4)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(slope["adapter"]))


@EACH
def test_an_evaluation_is_of_all_test_pairs_in_blocks(monkeypatch, family):
    monkeypatch.setattr(text_task, "BLOCK", 50)  # 128 pairs: the last block is not full
    task, static, params, context = made(family)
    found = jax.jit(task.evaluate)(params, context)
    of = corpus()
    test = of.split == splits.TEST
    faces = np.asarray(projection.onto(of.onto, of.left[of.left_of[test]])).reshape(-1, 8, 8)
    outputs, candidates = unit(vectors_of(static, params, faces)), unit((of.right - of.back.mean).astype(float))
    truth = of.right_of[test]
    similar = outputs @ candidates.T
    own = similar[np.arange(len(truth)), truth]
    among = 1 + (similar[:, truth] > own[:, None]).sum(1)
    of_all = 1 + (similar > own[:, None]).sum(1)
    pairs = np.mean([outputs[a] @ outputs[b] for a in range(len(outputs)) for b in range(a)])
    wide = 1 / np.mean((outputs @ outputs.T) ** 2)
    expected = {
        "recall_1": np.mean(among == 1),
        "recall_10": np.mean(among <= 10),
        "median_rank": np.median(among),
        "reciprocal_rank": np.mean(1 / among),
        "cosine": own.mean(),
        "recall_1_of_all": np.mean(of_all == 1),
        "recall_10_of_all": np.mean(of_all <= 10),
        "pair_cosine": pairs,
        "dimensions": wide,
        "collapsed": pairs > 0.99 or wide < 2,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert {metric.name for metric in task.metrics} == found.keys()


def test_all_outputs_alike_are_a_collapse():
    task, _, params, context = made()
    alike = {**context.data, "inputs": jnp.ones_like(context.data["inputs"])}
    found = jax.jit(task.evaluate)(params, context._replace(data=alike))
    assert found["collapsed"] == 1
    assert found["pair_cosine"] > metrics.COLLAPSED


OF_BOTH = [
    (
        {"lattice.width": 9},
        r"config\.data\.pairs=fixture is prepared for a face of 8 x 8, and config\.lattice\.width",
    ),
    (
        {"data.pairs": "none.npz"},
        r"config\.data\.pairs=none\.npz is no file: python -m ternary_jax\.lattice\.text pre",
    ),
    (
        {"data.encoder": "bytes"},
        r"config\.data\.encoder=bytes reads texts, and config\.data\.pairs=fixture has none: ",
    ),
    ({"encoder.heads": 5}, r"config\.encoder\.width=64 is no multiple of config\.encoder\.heads=5: give one"),
    (
        {"train.batch_size": 4, "train.microbatches": 4},
        r"infonce finds the target among those of a microbatch, and .*batch_size=4 with .*=4 has one at a time: give",
    ),
    ({"start.frozen": ("nothing",)}, r"config\.start\.frozen=nothing is no group: there are "),
]
PLANES = r"config\.model\.planes=2, and a text has one output face: give config\.model\.planes=1"
UPDATES = r"config\.model\.updates=1 do not reach the last layer of config\.lattice\.depth=2"


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        *((family, *case) for family in FAMILIES for case in OF_BOTH),
        ("flows", {"model.planes": 2}, PLANES),
        ("cube", {"model.schedule": "all", "model.updates": 1}, UPDATES),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(family, changes, words):
    with pytest.raises(ConfigError, match=words) as e:
        assembly.assemble(config_of(family, SMALL[family] | changes))
    assert "\n" not in str(e.value)


def test_an_encoder_of_bytes_reads_a_text_up_to_its_end(tmp_path):
    of = corpus()
    texts = [f"left {k}" for k in range(len(of.left))], [f"right {k}" for k in range(len(of.right))]
    texts[0][5] = "a text of 20 bytes ."
    prepared.write(tmp_path / "texts.npz", of._replace(texts=texts))
    changes = {"data__pairs": str(tmp_path / "texts.npz"), "data__encoder": "bytes", "data__longest": 12}
    task, static, params, context = made(**changes, encoder__width=8, encoder__heads=2, encoder__layers=1)
    assert task.notes[-1] == f"1 of {len(of.left)} left sides were cut at config.data.longest=12 bytes"
    ids = context.data["inputs"][:2]
    assert bytes(np.asarray(ids[1, 1:7]).tolist()) == b"left 1"
    lattice = text_on_flows.lattice(static)
    run = jax.jit(lambda ids: text_task.outputs(static, lattice, params, ids, context.data)[0])
    plain, longer = run(ids), run(ids.at[0, 7].set(ord("x")))
    np.testing.assert_array_equal(plain[1], longer[1])
    assert np.abs(plain[0] - longer[0]).max() > 1e-4
    own = text_task.encoder(static)
    mask = jnp.zeros((2, 13), bool).at[:, :7].set(True)
    faces: Any = jax.jit(own.apply)({"params": params["encoder"]}, ids.at[:, 7:].set(MARK), mask)
    np.testing.assert_allclose(plain, vectors_of(static, params, faces.reshape(-1, 8, 8)), atol=1e-5)


@pytest.mark.parametrize("schedule", ["sweep", "all"])
def test_the_vectors_of_a_cube_are_those_of_a_float64_loop(schedule):
    task, static, params, context = made("cube", model__schedule=schedule, model__updates=3)
    found = exported(task, params, context)
    of, lefts = corpus(), corpus().left_of[corpus().split == splits.TEST]
    for k in (0, 3):
        face = (of.left[lefts[k]] - of.onto.mean).astype(float) @ of.onto.basis * of.onto.gain
        one = reference.Cube(params, static.model, cube.size(static))
        if schedule == "sweep":
            one.sweep(face.reshape(8, 8))
        for _ in range(3 * (schedule == "all")):
            one.step(face.reshape(8, 8))
        expected = projected(one.read().reshape(1, -1))[0]
        np.testing.assert_allclose(found["outputs"][k], expected, rtol=2e-4, atol=2e-5)
        assert found["truth"][k] == of.right_of[of.split == splits.TEST][k]


def test_synthetic_pairs_are_drawn_for_the_face_of_the_lattice():
    task, _, params, context = made("cube", data__pairs="synthetic_linear", lattice__width=3, lattice__height=2)
    assert context.data["inputs"].shape == (35_328, 2, 3)
    assert exported(task, params, context)["outputs"].shape == (2048, 6)


@pytest.mark.slow
@EACH
def test_a_short_training_finds_what_it_was_never_shown(tmp_path, compiled_soon, family):
    short = {"train.steps": 100, "evaluate.cheap_every": 50, "checkpoint.every": 100}
    smaller = {"lattice.depth": 2, "model.repeats": 1, "train.batch_size": 64} if family == "cube" else {}
    config = config_of(family, short | smaller)
    host.run(config, tmp_path / "run")
    row = workdir.open(tmp_path / "run").rows(0)
    assert row["recall_10"][-1] > 0.4  # chance: 10 of 128
    assert abs(row["pair_cosine"][-1]) < {"flows": 0.05, "cube": 0.1}[family]
    assert row["collapsed"][-1] == 0
