"""The start of training: from scratch, or with groups of parameters from a workdir of this program.

A task that offers it has KEYS among its keys, calls `load` and `check` in its make_task, and puts the loaded groups in
place of those of its own init. Only arrays are read from that workdir: no code that its config names is imported.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from ternary_jax.config.keys import Key, words
from ternary_jax.errors import ConfigError

KEYS: dict[str, Key] = {"start.workdir": Key(str, at_start=True), "start.groups": words(at_start=True)}
WARM_START = "config.start.workdir=DIR and config.start.groups=GROUPS start from its parameters"


def load(start: Any) -> dict[str, Any]:
    """The groups `start.groups` of the newest checkpoint of the first run in `start.workdir`; {} without a workdir."""
    from ternary_jax.workdir import checkpoint  # imports orbax only to read a checkpoint

    if bool(start.workdir) != bool(start.groups):
        raise ConfigError(
            f"config.start.workdir={start.workdir!r} and config.start.groups={','.join(start.groups)!r} go together: "
            "set both, or neither to start from scratch"
        )
    if not start.workdir:
        return {}
    if not Path(start.workdir).is_dir():
        raise ConfigError(f"config.start.workdir={start.workdir} is no folder: give the workdir of a training")
    try:
        _, state, _ = checkpoint.load(Path(start.workdir) / "checkpoints")
    except Exception as e:
        raise ConfigError(f"config.start.workdir={start.workdir} holds no checkpoint to start from: {e}") from e
    found = state["params"] if isinstance(state.get("params"), dict) else {}
    if missing := [group for group in start.groups if group not in found]:
        raise ConfigError(
            f"config.start.groups={','.join(missing)} is not in {start.workdir}: there are {', '.join(found)}; give "
            "some of these, or the workdir of a training of this model"
        )
    if flat := [group for group in start.groups if any(np.shape(a)[:1] < (1,) for a in jax.tree.leaves(found[group]))]:
        raise ConfigError(f"config.start.groups={flat[0]} has an array without runs in {start.workdir}: name another")
    return {group: jax.tree.map(lambda a: np.asarray(a)[0], found[group]) for group in start.groups}


def check(start: Any, loaded: dict[str, Any], params: dict[str, Any]) -> None:
    """Raise a ConfigError if the model does not have a group of the config, or has it with other shapes or types."""
    for key in ("groups", "frozen"):
        if unknown := [group for group in getattr(start, key) if group not in params]:
            raise ConfigError(f"config.start.{key}={','.join(unknown)} is no group: there are {', '.join(params)}")
    for group, tree in loaded.items():
        shapes, wanted = (jax.tree.map(np.shape, t) for t in (tree, params[group]))
        if shapes != wanted:
            raise ConfigError(f"config.start.groups={group} does not fit: it has {shapes} there, and {wanted} here")
        types = zip(jax.tree.leaves(tree), jax.tree.leaves(params[group]), strict=True)
        if other := [
            f"{there.dtype} there, and {here.dtype} here" for there, here in types if there.dtype != here.dtype
        ]:
            raise ConfigError(f"config.start.groups={group} does not fit: it has values of {other[0]}")
