"""The view of what a lattice of texts finds, beside plain float64 loops over the same vectors."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from reference import retrieval as reference

from ternary_jax.errors import WorkdirError
from ternary_jax.lattice.text import data as data_of_text
from ternary_jax.lattice.text import prepared, splits, views, views_panel

STATIC: Any = SimpleNamespace(data=SimpleNamespace(pairs="mine.npz", on_device=False))
OWN: Any = data_of_text.read("fixture", (8, 8))


def corpus(texts=True):
    sides = ([f"left {k}" for k in range(512)], [f"right  {k}" for k in range(512)])
    return OWN._replace(texts=sides if texts else ([], []), about=OWN.about | {"name": "mine"})


def exported():
    """Outputs as far from their targets as half-trained ones, and the rows of these among the pairs off the device."""
    rows = prepared.part(OWN, splits.TEST)[:, 1]
    own, noise = prepared.targets(OWN)[rows], np.random.default_rng(0).normal(size=(len(rows), 384))
    outputs = (own + 0.7 * noise).astype(np.float32)
    kept = sorted(prepared.part(OWN, splits.VALIDATION)[:, 1].tolist() + rows.tolist())
    return outputs, np.array([kept.index(row) for row in rows])


def found(texts=True, truth=None):
    outputs, rows = exported()
    run: Any = SimpleNamespace(exported=lambda k: {"outputs": outputs, "truth": rows if truth is None else truth})
    return views.views(STATIC, corpus(texts))["retrieval"].data(run, 0)


def test_ranks_and_examples_are_those_of_a_plain_loop():
    made, outputs = found(), exported()[0]
    rows = prepared.part(OWN, splits.TEST)
    targets, n = prepared.targets(OWN)[rows[:, 1]].astype(np.float64), len(rows)
    expected = reference.ranks(outputs.astype(np.float64), targets, range(n))
    np.testing.assert_array_equal(made.ranks, expected)
    assert made.recall == {k: sum(rank <= k for rank in expected) / n for k in (1, 5)}
    assert 0.1 < made.recall[1] < made.recall[5] < 0.9
    named = zip(views_panel.ranges(made.ends), made.share, made.chance, strict=True)
    for name, share, chance in named:
        first, _, last = name.partition("-")
        inside = range(int(first), int(last or first) + 1)
        assert share == pytest.approx(sum(rank in inside for rank in expected) / n)
        assert chance == len(inside) / n
    assert [one.rank for one in made.examples] == sorted(one.rank for one in made.examples)
    for one in made.examples:
        k = next(k for k in range(n) if one.left == f"left {rows[k, 0]}")
        near = [reference.cosine(outputs[k].astype(np.float64), target) for target in targets]
        order = sorted(range(n), key=lambda j: -near[j])[:3]
        assert [x.text for x in one.found] == [f"right  {rows[j, 1]}" for j in order]
        assert [x.right for x in one.found] == [j == k for j in order]
        np.testing.assert_allclose([x.cosine for x in one.found], [near[j] for j in order], atol=1e-6)
        assert (one.own, one.rank) == (f"right  {rows[k, 1]}", expected[k])
        assert one.cosine == pytest.approx(near[k], abs=1e-6)


def test_what_is_shown_says_whose_the_texts_are_and_vectors_have_no_examples():
    made = found()
    caption, head, rows = cast(Any, views_panel.table(made))
    assert "Texts of mine, by the authors of these pairs." in caption
    assert [len(row) for row in rows] == [len(head)] * views.EXAMPLES
    assert rows[0][1] == made.examples[0].own.replace("  ", " ")
    assert ["✓" in cell for cell in rows[0][2:5]] == [x.right for x in made.examples[0].found]
    assert views_panel.shortened("é" * 300) == "é" * 236 + " ..."
    assert "recall@5 " in views_panel.text(made)
    alone = found(texts=False)
    assert (alone.examples, alone.credit, views_panel.table(alone)) == ((), "", None)
    assert "vectors and no texts" in views_panel.text(alone)
    assert views.figure(made)._repr_png_()
    assert len(views.figure(alone).axes) == 1
    with pytest.raises(WorkdirError, match=r"config.data.pairs=mine.npz has other test pairs than the training had"):
        found(truth=exported()[1][::-1])
    pytest.importorskip("bokeh", reason="panels need bokeh, of the extra `report`")
    bars = views_panel.panel(alone).renderers[0].data_source.data
    np.testing.assert_array_equal(bars["top"], alone.share)
