"""The cubes of full size: their parameters, and three steps of training with a small batch."""

import jax
import numpy as np
import pytest
from small_cube import CONFIG

from ternary_jax.config import load_config, split
from ternary_jax.engine import assembly, program
from ternary_jax.lattice.cube import cube

FULL = CONFIG.with_name("cube_full.py")
CELLS = 15 * 15 * 11
SMALL_BATCH = {
    "train.batch_size": 8,
    "model.updates": 11,
    "losses.window": "end",
    "train.chunk": 1,
    "data.evaluated": 8,
    "pool.size": 16,
}


@pytest.mark.parametrize(
    ("file", "of_a_cell", "of_readout"),
    [(str(FULL), 240 * (3 * 32 + 9) + 2 * 32, 225 * 33), (f"{CONFIG}:document", 51 * (15 * 32 + 2) + 2 * 32, 33)],
)
def test_the_parameters_are_those_that_the_documents_promise(file, of_a_cell, of_readout):
    static = split(load_config(file))[0]
    shapes = jax.eval_shape(lambda: cube.init(jax.random.key(0), static))
    counts = {group: sum(leaf.size for leaf in jax.tree.leaves(tree)) for group, tree in shapes.items()}
    assert counts["cells"] + counts["start"] == CELLS * of_a_cell  # 62,528,400 of cube_full
    assert (counts["drive"], counts["readout"]) == (2 * 32, of_readout)
    assert of_a_cell == pytest.approx(25_000, rel=0.02)
    assert sum(counts.values()) == pytest.approx(61e6, rel=0.03)


@pytest.mark.slow
def test_three_steps_of_the_full_cube_are_finite_and_the_second_changes_every_array():
    """In the code of the documents, a second step failed: its gradient went back into the graph of the first."""
    task, static, hypers = assembly.assemble(load_config(FULL, SMALL_BATCH))
    init, chunk = program.make_train(task, static)
    state, losses, after = init(hypers), [], []
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == 62_535_889
    for step in range(3):
        state, report = chunk(state, step, hypers)
        losses.append(float(report.info.loss[0]))
        after += [jax.device_get(state.params)] if step < 2 else []
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 3  # they need not fall: the pool asks states of other ages in each step
    first, second = (jax.tree_util.tree_leaves_with_path(params) for params in after)
    for (path, one), (_, other) in zip(first, second, strict=True):
        assert np.isfinite(other).all(), path
        assert np.mean(one != other) > 0.5, path
