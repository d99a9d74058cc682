"""Rules that involve several keys of the engine: one rule a function, which raises a ConfigError or does nothing."""

import re
from typing import Any

from ternary_jax.config.keys import Key, as_used, flat, shown
from ternary_jax.config.table import SHAPES
from ternary_jax.errors import ConfigError


def check(config: Any, table: dict[str, Key]) -> None:
    """Raise the ConfigError of the first rule that the config breaks."""
    check_values_per_run(config, table)
    check_length(config.train)
    check_warmup(config.train)
    check_microbatches(config.train)
    check_cadences(config)
    check_phases(config.train)
    profiled_steps(config.profile)


def length(train: Any) -> int:
    """The length of a run: in steps where train.steps is set, else in epochs."""
    return train.steps or train.epochs


def unit(train: Any) -> str:
    """The unit of all lengths in the config: "epochs" or "steps"."""
    return "steps" if train.steps else "epochs"


def values_per_run(values: dict[str, Any], table: dict[str, Key]) -> dict[str, int]:
    """The number of values of each traced key that has several; `values` are by dotted key."""
    several = {key: value for key, value in values.items() if table[key].traced and isinstance(value, tuple)}
    return {key: len(value) for key, value in several.items() if len(value) > 1}


def runs_by_values(values: dict[str, Any], table: dict[str, Key]) -> int:
    """The number of runs that the traced keys with several values give; 1 without such keys."""
    counts = values_per_run(values, table)
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"config.{key} has {n} values" for key, n in counts.items())
        raise ConfigError(f"{listed}: these are one per run, so give as many of each")
    return max(counts.values(), default=1)


def about_runs(config: Any, table: dict[str, Key]) -> str:
    """A sentence on runs that differ in given values, such as "2 runs, one per value of seed (0, 1)"; or ""."""
    values = flat(config)
    given = [f"{key} {shown(values[key])}" for key in values_per_run(values, table)]
    return f"{config.runs} runs, one per value of {' and '.join(given)}" if given else ""


def check_values_per_run(config: Any, table: dict[str, Key]) -> None:
    """A traced key has one value, or one per run."""
    for key, value in flat(config).items():
        if table[key].traced and isinstance(value, tuple) and len(value) != config.runs:
            raise ConfigError(
                f"config.{key} has {len(value)} values for config.runs={config.runs}: give one, or one per run"
            )


def check_runs_differ(config: Any, table: dict[str, Key]) -> None:
    """No two runs have the same seed and the same value of every other traced key, in float32.

    For a config that is to be trained: a workdir that has such runs can still be read.
    """
    if not isinstance(config.seed, tuple):
        return  # the runs have the seeds from this one on
    columns = []
    for key, value in flat(config).items():
        if table[key].traced and isinstance(value, tuple):
            columns.append([as_used(table[key], each) for each in value])
    first: dict[tuple, int] = {}
    for k, row in enumerate(zip(*columns, strict=True)):
        if (same := first.setdefault(row, k)) != k:
            raise ConfigError(
                f"config.seed={shown(config.seed)} makes runs {same} and {k} the same, as they differ in no other "
                f"value either: give run {k} another seed, or leave it out"
            )


def check_length(train: Any) -> None:
    """Exactly one of train.epochs and train.steps is set."""
    if train.steps and train.epochs:
        raise ConfigError(
            f"config.train.epochs={train.epochs} and config.train.steps={train.steps} are both set, and a run is "
            "counted in one of them: set the other to 0"
        )
    if not train.steps and not train.epochs:
        raise ConfigError("config.train.epochs=0 and config.train.steps=0 leave nothing to train: set one of them")


def check_warmup(train: Any) -> None:
    """The warmup is shorter than the run; with phases, than the first phase, which `check_phases` checks."""
    if train.schedule != "phases" and train.warmup_epochs >= length(train):
        raise ConfigError(
            f"config.train.warmup_epochs={train.warmup_epochs} are not over before the end of the run, of "
            f"{length(train)} {unit(train)}: give less, or more config.train.{unit(train)}"
        )


def check_microbatches(train: Any) -> None:
    """Microbatches are equal parts of a batch."""
    if train.batch_size % train.microbatches:
        fits = max(n for n in range(1, train.microbatches) if train.batch_size % n == 0)
        raise ConfigError(
            f"config.train.microbatches={train.microbatches} has to divide config.train.batch_size={train.batch_size}: "
            f"give a divisor, such as {fits}"
        )


def check_cadences(config: Any) -> None:
    """Costly evaluations and checkpoints happen at cheap evaluations."""
    cheap = config.evaluate.cheap_every
    for key, every in (
        ("evaluate.costly_every", config.evaluate.costly_every),
        ("checkpoint.every", config.checkpoint.every),
    ):
        if every % cheap:
            fix = f"give a multiple, such as {-(-every // cheap) * cheap}"
            raise ConfigError(f"config.{key}={every} is no multiple of evaluate.cheap_every={cheap}: {fix}")


def check_phases(train: Any) -> None:
    """The phases of train.schedule=phases fill the run; other schedules have no phases."""
    shapes, lengths, rates = train.phase_shapes, train.phase_epochs, train.phase_rates
    if train.schedule != "phases":
        if shapes or lengths or rates:
            raise ConfigError(
                f"config.train.phase_shapes, .phase_epochs or .phase_rates are set, and config.train.schedule="
                f"{train.schedule} has no phases: set config.train.schedule=phases, or leave these three empty"
            )
        return
    if not (shapes or lengths or rates):
        raise ConfigError(
            "config.train.schedule=phases, and there are no phases: set config.train.phase_shapes, .phase_epochs and "
            f".phase_rates, one value a phase, such as cosine, {length(train)} and 1.0 for a single phase"
        )
    if not shapes or not len(shapes) == len(lengths) == len(rates):
        raise ConfigError(
            "config.train.schedule=phases needs as many config.train.phase_shapes as .phase_epochs and .phase_rates: "
            f"there are {len(shapes)}, {len(lengths)} and {len(rates)}"
        )
    if unknown := [shape for shape in shapes if shape not in SHAPES]:
        raise ConfigError(f"config.train.phase_shapes has {', '.join(unknown)}: allowed are {', '.join(SHAPES)}")
    if train.warmup_epochs >= lengths[0]:
        raise ConfigError(
            f"config.train.warmup_epochs={train.warmup_epochs} are not over before the end of the first phase, of "
            f"{lengths[0]} {unit(train)}: give less, or a longer phase"
        )
    if sum(lengths) != length(train):
        raise ConfigError(
            f"config.train.phase_epochs={','.join(map(str, lengths))} are {sum(lengths)} {unit(train)} together, and "
            f"config.train.{unit(train)}={length(train)}: give as many"
        )


def profiled_steps(profile: Any) -> tuple[int, int] | None:
    """(START, STOP) of profile.steps, the steps from START on and before STOP; None where it is empty."""
    if not profile.steps:
        return None
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", profile.steps)
    if not found or int(found[1]) >= int(found[2]):
        raise ConfigError(
            f"config.profile.steps={profile.steps} is no range of steps: give START:STOP, two whole numbers of which "
            "START is the smaller, such as 100:200, or leave it empty for no trace"
        )
    return int(found[1]), int(found[2])
