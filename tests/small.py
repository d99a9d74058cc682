"""Shared fixtures of the tests of ternary_jax.vae: configs, parameters and steps of the dual model on small spaces."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.config import load_config, split
from ternary_jax.control.chain import Controls
from ternary_jax.engine import optimizer, program
from ternary_jax.engine.plan import schedule_rows
from ternary_jax.engine.step import StepInfo, TrainState, make_step
from ternary_jax.engine.task import Context
from ternary_jax.vae import task

CONFIGS = Path(__file__).parents[1] / "configs"
D, N, DIM = 4, 81, 4
SMALL = {
    "data.n_digits": D,
    "data.high_from": 2,
    "data.shifts": 2,
    "data.budget": 0.0,
    "model.dim": DIM,
    "model.c": 0.7,
    "model.max_radius": 0.95,
    "model.inputs": "one_hot",
    **{f"model.{b}.encoder": "improved" for b in "AB"},
    **{f"model.{b}.projection": "direction_radius" for b in "AB"},
    **{f"model.{b}.decoder": "plain" for b in "AB"},
    "model.direction_hidden": (6,),
    "model.radius_hidden": (5,),
    **{f"model.{b}.hidden": (8,) for b in "AB"},
    **{f"model.{b}.decoder_hidden": (7,) for b in "AB"},
    **{f"model.{b}.decoder_gain": 1.0 for b in "AB"},
    "controller.hidden": (6,),
    "train.batch_size": 24,
    "train.learning_rate": 1e-2,
    "train.schedule": "constant",
    "train.warmup_epochs": 0,
    "train.epochs": 4,
    "evaluate.cheap_every": 2,
    "evaluate.costly_every": 4,
    "checkpoint.every": 4,
    "log.tensorboard": False,
    "report.on": "never",
    "compilation_cache": False,
}
# Config overrides that the learned controller of weights requires.
CONTROLLED = {
    "controller__on": True,
    "model__cross_injection": True,
    "model__A__posterior": "gaussian",
    "model__B__posterior": "gaussian",
    "losses__kl__on": "AB",
    "losses__radial__on": "AB",
    "losses__geodesic__on": "AB",
}


def config(**overrides: Any) -> Any:
    """configs/vae.py on a small space. overrides: by key, with __ for a dot."""
    changes = SMALL | {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config(CONFIGS / "vae.py", changes)


def setting(**overrides: Any) -> tuple[Any, Any, Any, Any]:
    """(task, static, hypers of run 0, parameters). Parameters are random, because some initial ones are 0."""
    static, hypers = split(config(**overrides))
    made, hypers = task.make_task(static), jax.tree.map(lambda x: x[0], hypers)
    made = made._replace(data=jax.device_put(made.data))
    return made, static, hypers, drawn(jax.eval_shape(made.init, jax.random.key(0), hypers))


def drawn(shapes: Any, seed: int = 0) -> Any:
    """Random parameters of these shapes, as large as initial ones, none of them 0; theta is that of c = 0.7."""
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda x: (rng.normal(size=x.shape) / np.sqrt(max(1, x.size) ** 0.5)).astype(x.dtype), shapes)
    return params | ({"curvature": {"theta": np.float32(np.log(np.expm1(0.7)))}} if "curvature" in params else {})


def context(made: Any, hypers: Any, seed: int = 0, knobs: Any = None) -> Context:
    """The Context of a step or an evaluation in which only these knobs are set."""
    return Context(jnp.int32(0), jax.random.key(seed), Controls({}, None, knobs or {}), hypers, made.data)


class Steps(NamedTuple):
    """Compiled single steps of a run, step(state, number) -> (state, info), with their parts.

    Without clipping, the gradient of the first step is ten times the first moment of Adam that it leaves.
    """

    made: Any
    static: Any
    hypers: Any
    state: TrainState
    rows: dict[str, Any]
    compiled: Any

    def step(self, state: TrainState, number: int = 0, hypers: Any = None, **rows: float) -> tuple[Any, StepInfo]:
        """Take one step. hypers and rows replace those of the run."""
        at = {name: jnp.float32(rows.get(name, row[number])) for name, row in self.rows.items()}
        given = self.hypers if hypers is None else hypers
        return self.compiled(state, (jnp.int32(number), at), jax.random.key(5), given, self.made.data)


def steps(**overrides: Any) -> Steps:
    """Single steps that start from random parameters."""
    made, static, hypers, params = setting(**overrides)
    # look_ahead=None: no controller learns by looking ahead through further steps.
    made, control = made._replace(look_ahead=None), program.control_chain(made)
    tx = optimizer.adamw_by_group(static.train.clip_norm)
    begin = program.make_init(
        made._replace(init=lambda *_: params), tx, control, program.measured_metrics(made, static)
    )
    state = begin(hypers)
    compiled = jit(make_step(made, static, tx, control))
    return Steps(made, static, hypers, state, schedule_rows(made, static), compiled)


def gradient(state: TrainState) -> dict[str, np.ndarray]:
    """The gradient of the first step, by group, from Adam's first moment; only right without clipping."""
    return {group: 10 * flat(adam.mu) for group, adam in state.opt_state.items()}


def jit(f: Any) -> Any:
    """jax.jit with little optimisation, which halves the time to compile; programs here run only a few times."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def flat(tree: Any) -> np.ndarray:
    """All numbers of a tree, float64."""
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
