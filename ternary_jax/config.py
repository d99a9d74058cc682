"""The keys of the engine; a config file read, overridden, checked, and split into static and traced values.

A task module brings `KEYS`, a table like the one here, of its own keys, and may bring `check(config)`, which raises a
ConfigError for what involves several keys. One with `report(config)` trains nothing: its own KEYS are all there is.
Defaults live in configs/ only.
"""

import collections
import importlib
import os
import runpy
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ternary_jax.keys import (
    ConfigError,
    Key,
    allowed,
    choice,
    flag,
    flat,
    integer,
    integers,
    nested,
    real,
    reals,
    text,
    typed,
    value_of,
    words,
)

SHAPES = ("constant", "cosine", "linear", "warm_restarts")  # of `schedules.learning_rate`

KEYS = {
    "task": text(),
    "seed": integer(0, 10**9, traced=True),  # seed + runs - 1 is an int32
    "runs": integer(1, 4096),
    "train.epochs": integer(1, 10**7),
    "train.batch_size": integer(1, 10**7),
    "train.learning_rate": real(0, 10, excluded=(0,), traced=True),
    "train.weight_decay": real(0, 10, traced=True),
    "train.schedule": choice(*SHAPES, "phases"),
    "train.phase_shapes": words(),
    "train.phase_epochs": integers(1, 10**7),
    "train.phase_rates": reals(0, 1),
    "train.warmup_epochs": integer(0, 10**7),
    "train.final_rate": real(0, 1),
    "train.cycle_epochs": integer(1, 10**7),
    "train.cycle_growth": integer(1, 100),
    "train.clip_norm": real(0, 10**9),
    "train.dtype": choice("float32", "bfloat16"),
    "train.remat": flag(),
    "train.microbatches": integer(1, 10**6),
    "train.on_nan": choice("stop", "rollback", free=True),
    "train.max_rollbacks": integer(1, 100, free=True),
    "evaluate.cheap_every": integer(1, 10**7),
    "evaluate.costly_every": integer(0, 10**7),
    "emergence.weight_norm": flag(),
    "emergence.weight_rank": flag(),
    "emergence.representation_rank": flag(),
    "emergence.local_complexity": flag(),
    "emergence.radius": real(0, 10**6, excluded=(0,)),
    "emergence.points": integer(1, 10**7),
    "emergence.directions": integer(1, 10**7),
    "stop.watch": text(),
    "stop.watch_threshold": real(),
    "stop.watch_share": real(0, 1),
    "stop.watch_patience": integer(0, 10**7),
    "stop.loss_share": real(0, 1),
    "stop.loss_patience": integer(0, 10**7),
    "stop.divergence": real(0),
    "stop.on_targets": flag(),
    "checkpoint.every": integer(1, 10**7),
    "checkpoint.latest": integer(1, 1000),
    "checkpoint.best": integer(0, 1000),
    "checkpoint.best_metric": text(),
    "checkpoint.keep_every": integer(0, 10**7),
    "log.tensorboard": flag(),
    "log.tensorboard_share": real(0, 1),
    "log.histograms": flag(),
    "log.progress_s": real(0, 3600),
    "grokking.on": flag(),
    "grokking.metrics": words(),
    "grokking.memory": integer(1, 10**4),
    "grokking.flat": real(0, 1e6),
    "grokking.floor": real(0, 1),
    "grokking.plateaus": integers(1, 10**7),
    "grokking.gains": reals(0, 1),
    "grokking.within": integer(1, 1000),
    "grokking.kept": integer(1, 1000),
    "grokking.together": integer(1, 100),
    "grokking.over": real(0, 1e6),
    "grokking.jump": real(0, 1),
    "grokking.steps": real(0, 1e6),
    "compilation_cache": flag(),
}


def load_config(path: str | Path, overrides: Mapping | Iterable[str] = (), sweep: bool = False) -> Any:
    """The config of a file, checked and locked, a ConfigDict.

    path: a file with get_config(), or FILE:ARG for get_config(ARG)
    overrides: {"a.b": value}, or texts "a.b=value" as they are typed
    sweep: take the runs that sweep(add) of the file adds, each a dict of keys that may differ between runs
    """
    file, _ = _cut(path)
    rows = _rows(file) if sweep else {}
    changes = overrides if isinstance(overrides, Mapping) else typed(overrides)
    layers = {f" in {file}": flat(read(path)), f" in sweep(add) of {file}": rows, "": changes}
    given = {key: (value, where) for where, layer in layers.items() for key, value in layer.items()}
    if "task" not in given:
        raise ConfigError(f"{file} has no config.task: set it to the name of a task module; other configs do")
    table, module = keys_of(given["task"][0])
    if fixed := [key for key in rows if key in table and not (table[key].traced or key == "runs")]:
        traced = ", ".join(key for key in table if table[key].traced)
        raise ConfigError(f"sweep(add) of {file} sets config.{fixed[0]}, which is the same in all runs: set {traced}")
    values = {key: value_of(key, value, where, table) for key, (value, where) in given.items()}
    for key in table:
        if key not in values:
            raise ConfigError(f"{file} has no config.{key}: set it to {allowed(table[key])}")
    if not hasattr(module, "report"):
        _check(values, table)
    config = ConfigDict(nested(values)).lock()
    if hasattr(module, "check"):
        module.check(config)
    return config


def read(path: str | Path) -> Any:
    """What get_config() of a file returns, unlocked and unchecked: a start for a config that differs from it."""
    file, arg = _cut(path)
    config = _call(file, _named(file, "get_config(arg)"), *[arg] if arg else [])
    if not isinstance(config, ConfigDict):
        raise ConfigError(f"get_config() of {file} returns no ml_collections.ConfigDict, but {type(config).__name__}")
    return ConfigDict(nested(_call(file, flat, config)), type_safe=False)  # a tuple may replace one number


def config_name(path: str | Path) -> str:
    """The name of the file, without folder and ending, and ARG after it: v5_10_all of configs/v5_10.py:all."""
    file, arg = _cut(path)
    return "_".join(filter(None, (Path(file).stem, arg)))


def keys_of(task: str) -> tuple[dict[str, Key], ModuleType]:
    """All keys of the configs of a task, and its module."""
    what = f"config.task={task} has to be the name of a task module, such as ternary_jax.vae.baselines"
    module = _call(what, importlib.import_module, task)
    if not isinstance(getattr(module, "KEYS", None), dict):
        raise ConfigError(f"{what}: this one has no KEYS")
    return ({"task": KEYS["task"]} if hasattr(module, "report") else KEYS) | module.KEYS, module


def split(config: ConfigDict) -> tuple[Any, Any]:
    """Static and Hypers: NamedTuples with the names of the config, the groups in them NamedTuples too.

    Static: what is the same in all runs, hashable. Hypers: the rest, (runs,) each, float32 or, the seeds, int32.
    """
    static, hypers = flat(config), {}
    (table, _), runs = keys_of(static["task"]), static["runs"]
    for key in [key for key in static if table[key].traced]:
        value, dtype = static.pop(key), np.int32 if table[key].kind is int else np.float32
        later = np.arange(runs) if key == "seed" and np.isscalar(value) else 0
        hypers[key] = np.full(runs, np.asarray(value) + later, dtype)
    return _tuple("Static", nested(static)), _tuple("Hypers", nested(hypers))


def resolved(config: ConfigDict) -> dict[str, Any]:
    """All values by dotted key, sorted, as JSON has them."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in sorted(flat(config).items())}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two `resolved` configs, but for keys that are free to: old is there, new is here."""
    table, _ = keys_of(new["task"])
    bound = [key for key in sorted(old | new) if not (key in table and table[key].free)]
    rows = [(key, old.get(key, "not set"), new.get(key, "not set")) for key in bound]
    return [f"{key} is {there} there and {here} here" for key, there, here in rows if there != here]


# --- inside -----------------------------------------------------------------------------------------------------------


def _cut(path: str | Path) -> tuple[str, str]:
    """FILE.py:ARG -> FILE.py, ARG."""
    stem, ending, arg = str(path).partition(".py:")
    return stem + ending[:3], arg


def _call(what: str, function: Callable, *args: Any) -> Any:
    """A config is a program: whatever it raises is a ConfigError."""
    try:
        return function(*args)
    except ConfigError:
        raise
    except (Exception, SystemExit) as e:
        raise ConfigError(f"{what}: {type(e).__name__}: {' '.join(str(e).split())}") from e


def _named(file: str, form: str) -> Any:
    """The function of a config file that is called like this."""
    if not os.path.isfile(file):
        raise ConfigError(f"--config={file}: there is no such file; those of this repository are in configs/")
    names = _call(file, runpy.run_path, os.path.abspath(file))
    name = form.partition("(")[0]
    if name not in names:
        raise ConfigError(f"{file} has no {form}: define it, or name another file")
    return names[name]


def _rows(file: str) -> dict[str, Any]:
    """The runs of a sweep: per key a tuple of one value per run."""
    rows: list[dict] = []
    _call(file, _named(file, "sweep(add)"), lambda row: rows.append(dict(row)))
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        raise ConfigError(f"sweep(add) of {file} has to call add once per run, each time with the same keys")
    return {"runs": len(rows)} | {key: tuple(row[key] for row in rows) for key in rows[0]}


def _check(values: dict[str, Any], table: dict[str, Key]) -> None:
    """What involves several keys of the engine."""
    runs, cheap = values["runs"], values["evaluate.cheap_every"]
    for key, value in values.items():
        if table[key].traced and isinstance(value, tuple) and len(value) != runs:
            raise ConfigError(f"config.{key} has {len(value)} values for config.runs={runs}: give one, or one per run")
    if values["train.batch_size"] % values["train.microbatches"]:
        batch = f"config.train.batch_size={values['train.batch_size']}"
        raise ConfigError(f"config.train.microbatches={values['train.microbatches']} has to divide {batch}")
    for key in ("evaluate.costly_every", "checkpoint.every"):
        if values[key] % cheap:
            fix = f"give a multiple, such as {-(-values[key] // cheap) * cheap}"
            raise ConfigError(f"config.{key}={values[key]} is no multiple of evaluate.cheap_every={cheap}: {fix}")
    _check_phases({key.removeprefix("train."): value for key, value in values.items() if key.startswith("train.")})
    for name in ("plateaus", "gains"):
        levels = values[f"grokking.{name}"]
        if len(levels) != 3 or list(levels) != sorted(levels):
            shown = ",".join(map(str, levels))
            raise ConfigError(f"config.grokking.{name}={shown} has to be three numbers that rise: micro,standard,major")
    least, memory = values["grokking.plateaus"][0], values["grokking.memory"]
    if memory < least:
        raise ConfigError(f"config.grokking.memory={memory} is shorter than the least of .plateaus, {least}: give more")


def _check_phases(train):
    """That there are phases where they are asked for, and that they fill the run."""
    schedule, total, warmup = train["schedule"], train["epochs"], train["warmup_epochs"]
    shapes, epochs, rates = (train[f"phase_{name}"] for name in ("shapes", "epochs", "rates"))
    if schedule != "phases":
        if shapes or epochs or rates:
            raise ConfigError(
                f"config.train.phase_... go with config.train.schedule=phases, which is {schedule}: set it"
            )
        return
    if not shapes or not len(shapes) == len(epochs) == len(rates):
        raise ConfigError(
            "config.train.schedule=phases needs as many config.train.phase_shapes as .phase_epochs and .phase_rates: "
            f"there are {len(shapes)}, {len(epochs)} and {len(rates)}"
        )
    if unknown := [shape for shape in shapes if shape not in SHAPES]:
        raise ConfigError(f"config.train.phase_shapes has {', '.join(unknown)}: allowed are {', '.join(SHAPES)}")
    if warmup >= epochs[0]:
        raise ConfigError(
            f"config.train.warmup_epochs={warmup} are not over before the end of the first phase, of {epochs[0]} "
            "epochs: give less, or a longer phase"
        )
    if sum(epochs) != total:
        raise ConfigError(
            f"config.train.phase_epochs={','.join(map(str, epochs))} are {sum(epochs)} epochs together, and "
            f"config.train.epochs={total}: give as many"
        )


@cache
def _class(name: str, fields: tuple[str, ...]) -> Any:
    """One class for the same names, so that what is split from one config twice is one pytree structure."""
    return collections.namedtuple(name, fields)


def _tuple(name: str, tree: dict[str, Any]) -> Any:
    fields = {k: _tuple(k.title(), v) if isinstance(v, dict) else v for k, v in sorted(tree.items())}
    return _class(name, tuple(fields))(**fields)
