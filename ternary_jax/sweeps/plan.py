"""The plan of a sweep: its runs, in groups of equal static settings, each checked before anything is compiled."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ternary_jax import config as configs
from ternary_jax.config.keys import Key, as_used, flat, nested, shown, typed, value_of
from ternary_jax.config.validate import validated_again
from ternary_jax.engine import stopping
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import plan as plan_of_steps
from ternary_jax.engine.program import measured_metrics
from ternary_jax.errors import ConfigError
from ternary_jax.sweeps import grid as grids
from ternary_jax.tables import fitted
from ternary_jax.workdir.rows import MOST_RUNS


class PlannedRun(NamedTuple):
    """A run of a sweep.

    run: its number in the sweep
    settings: the swept keys without the seed, each with its value
    """

    run: int
    settings: dict[str, Any]
    seed: int


class Group(NamedTuple):
    """The runs of equal static settings, which one compiled program trains.

    static: the swept keys that are the same in the group, with their values
    config: of all of its runs; run k of it is runs[k]
    steps: optimizer steps of a run
    """

    static: dict[str, Any]
    config: Any
    runs: tuple[PlannedRun, ...]
    steps: int


class SweepPlan(NamedTuple):
    """A sweep.

    name: of the config file
    keys: the swept keys without the seed, in the order of the grid
    seeds: the number of seeds of each setting; 0 where the rows set the seed
    groups: in the order of their first run
    """

    name: str
    keys: tuple[str, ...]
    seeds: int
    groups: tuple[Group, ...]

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs, by number."""
        return [run for group in self.groups for run in group.runs]


def plan(
    path: str | Path,
    grid: Mapping[str, Iterable[Any]],
    overrides: Mapping[str, Any] | Iterable[str] = (),
    seeds: int | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
    otherwise: int = 1,
) -> SweepPlan:
    """The plan of a sweep, or the ConfigError of its first mistake; nothing is compiled.

    path, overrides: as in `load_config`; the overrides hold in all runs
    grid: the values of each key; a setting is one of their product
    seeds: their number for each setting, from config.seed on
    rows: the settings, each {key: value}, in place of a grid; `seeds`, if given, replaces a list of seeds alone
    otherwise: the number of seeds where `seeds` is None, and neither the settings nor the config have several seeds
    """
    changes = dict(overrides) if isinstance(overrides, Mapping) else typed(overrides)
    values, table, module = configs.values_and_keys(path, changes)
    if hasattr(module, "report"):
        raise ConfigError(
            f"{path}: {module.__name__} trains nothing, so there is nothing to sweep: give another config"
        )
    if rows is not None and seeds is not None and all({*row} == {"seed"} for row in rows):
        rows = None
    where = " in --grid" if rows is None else f" in sweep(add) of {path}"
    if rows is None:
        settings = grids.product(grid, table)
    else:
        grids.check_keys(rows[0], table, where)
        settings = grids.checked(rows, table, where)
        _check_rows_differ(settings, table, where)
    keys = tuple(settings[0])
    _check_overrides(changes, keys, where)
    _check_one_value(values, keys, table)
    each = _with_seeds(settings, values, table, (seeds, otherwise), where)
    made = _Maker(path, changes, table, where)
    groups, number = [], 0
    for static, members in _grouped(each, table).items():
        runs = tuple(PlannedRun(number + k, row, seed) for k, (row, seed) in enumerate(members))
        groups.append(_group(made, dict(static), runs))
        number += len(runs)
    by_seed = len(each) // len(settings) if "seed" not in keys else 0
    return SweepPlan(configs.config_name(path), tuple(key for key in keys if key != "seed"), by_seed, tuple(groups))


def config_of(group: Group, members: Sequence[int]) -> Any:
    """The config of some runs of a group, by their places in it."""
    return validated_again(ConfigDict(nested(values_of(group, members))).lock())


def values_of(group: Group, members: Sequence[int]) -> dict[str, Any]:
    """The values of that config by dotted key, not checked again, which takes 10 ms."""
    table, _ = configs.keys_of(group.config.task)
    values = {
        key: tuple(value[k] for k in members) if table[key].traced and isinstance(value, tuple) else value
        for key, value in flat(group.config).items()
    }
    return values | {"runs": len(members)}


def text(found: SweepPlan, memory: Mapping[int, str] | None = None) -> str:
    """The plan as a table: a row for each group. memory: of its compiled program, by number of the group."""
    runs, groups = len(found.runs), len(found.groups)
    settings = runs // found.seeds if found.seeds else runs
    counted = f"{settings:,} setting{'s' * (settings > 1)} x {found.seeds:,} seed{'s' * (found.seeds > 1)}"
    head = f"sweep of {found.name}: {runs:,} run{'s' * (runs > 1)}, {groups:,} group{'s' * (groups > 1)}"
    head += f": {counted}" * bool(found.seeds) + "; a group is one compiled program"
    keys = [key for key in found.keys if any(key in group.static for group in found.groups)]
    lines = [["group", *keys, "runs", "steps of a run", *["memory"] * bool(memory)]]
    for k, group in enumerate(found.groups):
        row = [f"{k}", *(shown(group.static[key], 40) for key in keys), f"{len(group.runs):,}", f"{group.steps:,}"]
        lines.append([*row, *([memory.get(k, "-")] if memory else [])])
    traced = [key for key in found.keys if key not in keys]
    inside = [f"within a group the runs differ in {', '.join([*traced, 'seed'])}"]
    return "\n".join([head, fitted(lines), *inside])


def label(settings: Mapping[str, Any]) -> str:
    """Settings for a message: "config.a=1, config.b=2"."""
    return ", ".join(f"config.{key}={shown(value, 40)}" for key, value in settings.items())


# --- inside -----------------------------------------------------------------------------------------------------------


class _Maker(NamedTuple):
    """What makes a config of the sweep: the file, the overrides of all runs, the keys, the source of the settings."""

    path: str | Path
    changes: Mapping[str, Any]
    table: Mapping[str, Key]
    where: str

    def config(self, settings: Mapping[str, Any]) -> Any:
        """The config with these settings; a ConfigError where one cannot be trained."""
        config = configs.load_config(self.path, {**self.changes, **settings})
        task, static, _ = assemble(config)
        stopping.check(static, measured_metrics(task, static))
        plan_of_steps(static, task.samples_per_epoch)
        return config


def _group(made: _Maker, static: dict[str, Any], runs: tuple[PlannedRun, ...]) -> Group:
    """The group with its config, or a ConfigError that names the settings that contradict each other."""
    if len(runs) > MOST_RUNS:
        about = f" of {label(static)}" if static else ""
        raise ConfigError(
            f"--grid and --seeds give {len(runs):,} runs{about} that differ in traced keys alone, and a group has at "
            f"most {MOST_RUNS:,}: give fewer values or seeds"
        )
    traced = [key for key in runs[0].settings if key not in static]
    values = {key: tuple(run.settings[key] for run in runs) for key in traced}
    try:
        config = made.config({**static, **values, "seed": tuple(run.seed for run in runs), "runs": len(runs)})
    except ConfigError as e:
        distinct = {tuple(run.settings.items()): run.settings for run in runs}
        for settings in distinct.values():
            _refuse_contradiction(made, settings)
        raise e from None  # no single setting is wrong, as where two runs are the same
    task, split, _ = assemble(config)
    return Group(static, config, runs, plan_of_steps(split, task.samples_per_epoch).total)


def _refuse_contradiction(made: _Maker, settings: Mapping[str, Any]) -> None:
    """Raise the ConfigError of these settings, if they have one; it names the fewest that have it together."""
    if not (error := _error(made, settings)):
        return
    # With the same sentence: without a setting, another value may take its place in the sentence, and be wrong too.
    fewest = fewest_that(lambda some: _error(made, some) == error, settings)
    if not fewest:
        raise ConfigError(error)
    what = label(fewest)
    if len(fewest) == 1:
        raise ConfigError(f"{what}{made.where} is not possible with this config: {error}")
    raise ConfigError(f"{' and '.join(what.rsplit(', ', 1))}{made.where} contradict each other: {error}")


def fewest_that(fail: Callable[[dict[str, Any]], bool], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Some of the settings that fail together, of which none can be left out. All of them fail together."""
    kept = dict(settings)
    for key in settings:
        without = {name: value for name, value in kept.items() if name != key}
        if fail(without):
            kept = without
    return kept


def _error(made: _Maker, settings: Mapping[str, Any]) -> str:
    """The sentence of the ConfigError of these settings; "" without one."""
    try:
        made.config(settings)
    except ConfigError as e:
        return str(e)
    return ""


def _grouped(each: Sequence[tuple[dict[str, Any], int]], table: Mapping[str, Key]) -> dict[tuple, list]:
    """{static settings as items: its (settings, seed) in order}."""
    groups: dict[tuple, list] = {}
    for settings, seed in each:
        # A key that the table lacks belongs to another task, and is static.
        static = tuple((key, value) for key, value in settings.items() if not (key in table and table[key].traced))
        groups.setdefault(static, []).append((settings, seed))
    return groups


def _with_seeds(
    settings: Sequence[dict[str, Any]],
    values: Mapping[str, Any],
    table: Mapping[str, Key],
    number: tuple[int | None, int],
    where: str,
) -> list[tuple[dict[str, Any], int]]:
    """(settings without the seed, seed) of each run, the seed varying fastest. number: (seeds, otherwise) of `plan`."""
    seeds, otherwise = number
    if "seed" in settings[0]:
        if seeds is not None:
            raise ConfigError(f"--seeds={seeds} and config.seed{where} are both given: leave one of them out")
        return [({key: value for key, value in row.items() if key != "seed"}, row["seed"]) for row in settings]
    first = value_of("seed", values["seed"], "", dict(table)) if "seed" in values else 0
    if isinstance(first, tuple):
        if seeds is not None:
            raise ConfigError(
                f"--seeds={seeds} and config.seed={shown(first)}, one per run, are both given: leave one of them out"
            )
        return [(row, seed) for row in settings for seed in first]
    if seeds is not None and (
        isinstance(seeds, bool) or not isinstance(seeds, numbers.Integral) or not 1 <= seeds <= MOST_RUNS
    ):
        raise ConfigError(f"--seeds={seeds} is not allowed: give an int from 1 to {MOST_RUNS}")
    return [(row, first + k) for row in settings for k in range(otherwise if seeds is None else seeds)]


def _check_overrides(changes: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    """Refuse an override of a key that the sweep sets, and of the number of runs."""
    if "runs" in changes:
        raise ConfigError(
            f"config.runs={shown(changes['runs'])} is not allowed in a sweep, whose runs are its settings times its "
            "seeds: leave it out, and give --seeds"
        )
    if both := [key for key in changes if key in keys]:
        given = f"--config.{both[0]}={shown(changes[both[0]])}"
        raise ConfigError(f"{given} and config.{both[0]}{where} set the same key: leave one of the two out")


def _check_rows_differ(rows: Sequence[Mapping[str, Any]], table: Mapping[str, Key], where: str) -> None:
    """Refuse a row that is another one, in float32 where the program has it. A grid has such a value refused."""
    first: dict[tuple, Mapping[str, Any]] = {}
    for row in rows:
        same = first.setdefault(tuple(as_used(table[key], value) for key, value in row.items()), row)
        if same is not row:
            rounded = [f"config.{key} is {shown(same[key])}" for key, value in row.items() if same[key] != value]
            note = f", as {' and '.join(rounded)} in float32" if rounded else ""
            seeds = "" if "seed" in row else ", or give each a config.seed of its own"
            what = label(row) or "a run without settings"
            raise ConfigError(f"{what}{where} is added twice{note}: leave one of the two out{seeds}")


def _check_one_value(values: Mapping[str, Any], keys: Iterable[str], table: Mapping[str, Key]) -> None:
    """Refuse a traced key with a value per run that the sweep does not set: it would not fit the runs of the sweep."""
    for key, given in values.items():
        if key in table and table[key].traced and key != "seed" and key not in keys:
            value = value_of(key, given, "", dict(table))
            if isinstance(value, tuple) and len(value) > 1:
                raise ConfigError(
                    f"config.{key}={shown(value)} has a value per run, and the runs of a sweep are made by its grid: "
                    f"give --grid config.{key}={','.join(map(str, value[:3]))}{',...' * (len(value) > 3)}"
                )


def most_at_once(runs: int, most: int) -> int:
    """The size of the batches of a group: at most `most`, and a divisor of `runs` where one is over half of it.

    Batches of one size share one compiled program; a smaller last one needs another.
    """
    size = math.ceil(runs / math.ceil(runs / most))
    divisor = next(n for n in range(min(most, runs), 0, -1) if runs % n == 0)
    return divisor if 2 * divisor > size else size
