"""The keys of the engine, and the table of all keys of the configs of a task.

A task module has a table `KEYS` of its own keys, and may have `check(config)`, which raises a ConfigError for a rule
that involves several keys, and `check_to_train(config)` for one that only a training has to keep. A module with
`report(config)` trains nothing, and its configs have only `task` and its own KEYS. An extension is a module with KEYS,
which are in every table, and perhaps `check`; it may change any task. Defaults are in configs/.
"""

import importlib
import os
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from ternary_jax.config.keys import Key, choice, flag, integer, integers, real, reals, text, words
from ternary_jax.errors import ConfigError

# Extensions of any task. They are imported by name, as tasks are, because this package may not import those above it.
EXTENSIONS = ("ternary_jax.grokking.extension",)

SHAPES = ("constant", "cosine", "linear", "warm_restarts")  # shapes of the learning-rate schedule

KEYS = {
    "task": text(),
    "seed": integer(0, 10**9, traced=True),  # seed + runs - 1 is an int32
    "runs": integer(1, 4096),
    "train.epochs": integer(0, 10**7),
    "train.steps": integer(0, 10**9),
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
    "train.chunk": integer(0, 10**7),
    "train.microbatches": integer(1, 10**6),
    "train.on_nan": choice("stop", "rollback", free=True),
    "train.max_rollbacks": integer(1, 100, free=True),
    "evaluate.cheap_every": integer(1, 10**7),
    "evaluate.costly_every": integer(0, 10**7),
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
    "log.level": choice("normal", "performance", free=True),
    "log.tensorboard": flag(),
    "log.tensorboard_share": real(0, 1),
    "log.histograms": flag(),
    "log.progress_s": real(0, 3600),
    "profile.steps": Key(str, free=True),
    "report.on": choice("auto", "always", "never", free=True),
    "compilation_cache": flag(),
}


def keys_of(task: str, where: str = "", folder: str = "") -> tuple[dict[str, Key], ModuleType]:
    """(table of all keys of the task's configs, task module). where, folder: of the config file, for the message."""
    what = f"config.task={task}{where} has to be the name of a task module, such as ternary_jax.addition.task"
    try:
        module = importlib.import_module(task)
    except ConfigError:
        raise
    except ModuleNotFoundError as e:
        if not (e.name and f"{task}.".startswith(f"{e.name}.")):
            raise ConfigError(f"{what}: it imports {e.name}, which is not there") from e
        nearest = get_close_matches(task, [file.stem for file in Path(folder or ".").glob("*.py")], 1)
        near = f"; the nearest is {nearest[0]}" if nearest else ""
        beside = f"in {os.path.abspath(folder)}, " if folder else ""
        places = f"{beside}in the current folder or among the installed ones{near}"
        raise ConfigError(f"{what}: there is no module {e.name} {places}; put a module of your own there") from e
    except (Exception, SystemExit) as e:
        raise ConfigError(f"{what}: {type(e).__name__}: {' '.join(str(e).split())}") from e
    if not isinstance(getattr(module, "KEYS", None), dict):
        raise ConfigError(f"{what}: this one has no KEYS")
    if wrong := [name for name, key in module.KEYS.items() if not isinstance(key, Key)]:
        raise ConfigError(f"KEYS of {task} has no Key for {wrong[0]}: make one, such as real(0, 1), by config.keys")
    if hasattr(module, "report"):
        return {"task": KEYS["task"]} | module.KEYS, module
    return KEYS | {key: kind for one in extensions() for key, kind in one.KEYS.items()} | module.KEYS, module


def extensions() -> list[ModuleType]:
    """The imported modules of EXTENSIONS."""
    return [importlib.import_module(name) for name in EXTENSIONS]
