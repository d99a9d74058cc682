"""What trained lattices can be asked: flows beside a plain loop, a cube of wires, retrieval beside numpy."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import small_cube
import small_flows

from ternary_jax.errors import QuestionError
from ternary_jax.lattice.cube import task as task_of_cubes
from ternary_jax.lattice.energy_flow import flow
from ternary_jax.lattice.energy_flow import task as task_of_flows
from ternary_jax.lattice.text import data as data_of_text
from ternary_jax.lattice.text import verbs as of_texts


def verbs_of(task: Any, params: Any, data: Any = None) -> Any:
    context: Any = SimpleNamespace(data=data)
    return task.verbs.make(params, context, "")


def test_flows_carry_faces_as_the_plain_loop_does():
    static = small_flows.settings(interaction__kind="none", model__content=False)
    params = small.drawn(jax.eval_shape(lambda key: flow.init(key, static), jax.random.key(0)))
    run = verbs_of(task_of_flows.make_task(static), params)["run"]
    found = run(small_flows.FACES)
    assert found.outputs.shape == (2, 1, 4, 5)
    assert found.paths.shape == (3, 1, 20, 3)  # one way for all samples, as it does not depend on what is carried
    assert found.steps.shape == found.arrived.shape == (1, 20)
    for face, outputs in zip(small_flows.FACES, found.outputs, strict=True):
        wanted, points = small_flows.plain_loop(static, params, face)
        np.testing.assert_allclose(outputs, wanted, atol=2e-5)
        np.testing.assert_allclose(found.paths[-1, 0], points, atol=1e-4)
    with pytest.raises(
        QuestionError, match=r"the shape \(4, 5\) is not that of faces \(B, height, width\): give \(B, 4, 5"
    ):
        run(small_flows.FACES[0])
    with pytest.raises(QuestionError, match="have a NaN or an infinity: give finite numbers"):
        run(np.full((1, 4, 5), np.nan))
    with pytest.raises(QuestionError, match="'a' is no array of numbers"):
        run("a")


def test_a_cube_of_wires_shows_each_face_after_its_depth():
    static = small_cube.setting(model__schedule="all", model__leak=1.0, model__carry=True, model__private=0)
    run = verbs_of(task_of_cubes.make_task(static), small_cube.wires(static))["run"]
    face = np.random.default_rng(0).uniform(-0.8, 0.8, (2, 2, 3)).astype(np.float32)
    read = run(face, 5)
    assert read.shape == (5, 2, 2, 3)
    np.testing.assert_allclose(read[2:], np.broadcast_to(face, (3, 2, 2, 3)), atol=1e-6)
    assert np.abs(read[0]).max() < 1e-6
    assert run(face).shape[0] == static.model.updates
    with pytest.raises(QuestionError, match="updates=0 is not allowed: give an int from 1 to"):
        run(face, 0)


WIDTH, HEIGHT, E = 3, 2, 4


def lattice_of_texts(encoder="prepared", on_device=True, texts=True):
    """(verbs of a lattice that is one matrix, its data, its corpus, the matrix)."""
    rng = np.random.default_rng(0)
    static = SimpleNamespace(
        data=SimpleNamespace(encoder=encoder, on_device=on_device, longest=8),
        lattice=SimpleNamespace(width=WIDTH, height=HEIGHT),
    )
    matrix = rng.normal(size=(9 if encoder == "bytes" else WIDTH * HEIGHT, E)).astype(np.float32)
    rights = ("yes", "no", "perhaps", "never", "often")
    corpus: Any = SimpleNamespace(
        right=np.zeros((5, E)),
        right_of=np.array([0, 1, 2, 3, 4]),
        left_of=np.array([0, 1, 2, 3, 4]),
        split=np.array([data_of_text.PARTS[name] for name in ("train", "test", "train", "validation", "test")]),
        texts=((), rights if texts else ()),
    )
    rows = np.arange(5) if on_device else np.array([1, 3, 4])
    data = {"inputs": jnp.asarray(rng.normal(size=(len(rows), HEIGHT, WIDTH)), "float32")}
    data["vectors"] = jnp.asarray(rng.normal(size=(len(rows), E)), "float32")

    def outputs(params, inputs, data):
        return inputs.reshape(len(inputs), -1).astype("float32") @ params, ()

    context: Any = SimpleNamespace(data=data)
    made = of_texts.verbs(static, corpus, outputs).make(jnp.asarray(matrix), context, "")
    return made, data, corpus, matrix


@pytest.mark.parametrize("on_device", [True, False])
def test_retrieval_has_the_greatest_cosines_of_all_right_sides(on_device):
    made, data, corpus, matrix = lattice_of_texts(on_device=on_device)
    faces = np.asarray(data["inputs"], np.float64)
    vectors = np.asarray(data["vectors"], np.float64)
    out = faces.reshape(len(faces), -1) @ matrix
    cosines = out @ vectors.T / np.linalg.norm(out, axis=1)[:, None] / np.linalg.norm(vectors, axis=1)
    found = made["retrieve"](np.arange(len(faces)), 2)
    rows = np.arange(5) if on_device else np.array([1, 3, 4])
    np.testing.assert_array_equal(found.rows, rows[np.argsort(-cosines, 1)[:, :2]])
    np.testing.assert_allclose(found.cosines, -np.sort(-cosines, 1)[:, :2], atol=1e-5)
    assert found.texts == tuple(tuple(corpus.texts[1][row] for row in each) for each in found.rows)
    np.testing.assert_array_equal(made["retrieve"](data["inputs"], 2).rows, found.rows)
    assert lattice_of_texts(texts=False)[0]["retrieve"](0).texts == ()


def test_an_encoder_of_bytes_reads_texts():
    made, _, _, matrix = lattice_of_texts("bytes")
    found = made["run"](["ab", "c"])
    symbols = np.array([[256, 97, 98, *[256] * 6], [256, 99, *[256] * 7]], np.float64)
    np.testing.assert_allclose(found, symbols @ matrix, rtol=1e-5)
    np.testing.assert_allclose(made["run"]("ab"), found[:1], rtol=1e-5)
    with pytest.raises(QuestionError, match=r"is no text, and config\.data\.encoder=bytes reads texts"):
        made["run"](np.zeros((1, HEIGHT, WIDTH)))


def test_what_is_no_left_side_is_one_sentence():
    made, *_ = lattice_of_texts()
    with pytest.raises(QuestionError, match="row 5 is no left side: give rows from 0 to 4"):
        made["run"]([0, 5])
    with pytest.raises(QuestionError, match="is a text, and this model reads faces: make them by lattice"):
        made["run"]("hello")
    with pytest.raises(QuestionError, match=r"k=6 is outside 1 \.\. 5, the number of right sides"):
        made["retrieve"](0, 6)
    with pytest.raises(QuestionError, match=r"the shape \(1, 3, 3\) is not that of faces"):
        made["run"](np.zeros((1, 3, 3)))


def test_the_tasks_register_them():
    from ternary_jax.config import load_config, split
    from ternary_jax.lattice.energy_flow import text_task

    static = split(load_config("energy_flow_text", {"model.hidden": 6}))[0]
    task = text_task.make_task(static)
    assert [*verbs_of(task, {}, jax.tree.map(jnp.asarray, task.data))] == ["run", "retrieve"]
