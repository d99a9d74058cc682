"""Workdirs with models that were not trained: the files of a training, with given parameters, in a second."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.config import split
from ternary_jax.config.table import keys_of
from ternary_jax.control.chain import Controls
from ternary_jax.engine.task import Context
from ternary_jax.workdir import checkpoint, claim, files
from ternary_jax.workdir.checkpoint import Policy


class Made(NamedTuple):
    """A workdir, and what its models are: task, static config, parameters and hypers with a leading axis of runs."""

    path: Path
    task: Any
    static: Any
    params: Any
    hypers: Any

    def of_run(self, k: int) -> tuple[Any, Context]:
        """(parameters, the Context of an evaluation) of run k."""
        hypers, params = jax.tree.map(lambda x: jnp.asarray(x[k]), (self.hypers, self.params))
        controls = Controls({}, None, self.task.knobs(hypers))
        return params, Context(jnp.int32(0), None, controls, hypers, jax.device_put(self.task.data))


def drawn(task: Any, hypers: Any, runs: int) -> Any:
    """Parameters of all runs, none of them 0 and no two runs alike."""
    first = jax.tree.map(lambda x: x[0], hypers)
    shapes, rng = jax.eval_shape(task.init, jax.random.key(0), first), np.random.default_rng(0)

    def of_leaf(x):
        return (rng.normal(size=(runs, *x.shape)) / np.sqrt(max(1, x.size) ** 0.5)).astype(x.dtype)

    return jax.tree.map(of_leaf, shapes)


def write(path: Path, config: Any, finished: bool = True, steps: tuple[int, ...] = (8,)) -> Made:
    """Write the workdir. steps: of its checkpoints, the first of which is the best; all have the same parameters."""
    static, hypers = split(config)
    task, runs = keys_of(config.task)[1].make_task(static), config.runs
    params = drawn(task, hypers, runs)
    path.mkdir()
    files.write_json(path / "config.json", claim.contents(config))
    store = checkpoint.open_store(path / "checkpoints", Policy(9, 1, 0), print)
    each = [task.knobs(jax.tree.map(lambda x, k=k: x[k], hypers)) for k in range(runs)]
    knobs = {name: np.stack([np.float32(one[name]) for one in each]) for name in each[0]}
    for rank, step in enumerate(steps):
        at = {"at": np.full(runs, step, np.int32)}
        checkpoint.save(store, step, {"params": params, "knobs": knobs, "stop": at, "task": {}}, rank, {})
    checkpoint.wait(store)
    if finished:
        stop = {"reason": "epochs done", "step": steps[-1], "detail": ""}
        rows = [{"run": k, "seed": k, "hypers": {}, "stop": stop, "final": {}, "best": {}} for k in range(runs)]
        files.write_json(path / "summary.json", {"finished": True, "wall_s": 1.0, "runs": rows})
    return Made(path, task, static, params, hypers)
