"""Train a sweep: every setting of a grid, for many seeds, in as few compiled programs as there are static settings.

    python -m ternary_jax.sweep --config=smoke --grid config.train.learning_rate=2e-3,4e-3 --seeds=8
    python -m ternary_jax.sweep --config=smoke --grid 'config.model.A.hidden=[(64,),(64,64)]' --workdir=runs/width

--config=FILE        a config file or a packaged name, as for ternary_jax.main
--grid config.KEY=VALUES
                     the values of a key, between commas; values that are tuples stand in brackets: [(64,),(64,64)].
                     Repeated for further keys: the settings are the product of all values. Any key of the task
--seeds=N            seeds of each setting, from config.seed on; 16 if it is not given
--config.KEY=VALUE   another value for one key of the config, in all runs
--workdir=DIR        the folder of the sweep; runs/CONFIG/TIME if it is not given
--at-once=N          most runs that are trained at once; as many as the memory has room for, if it is not given
--yes                train more than 64 runs, or more than an hour, without being asked at a terminal
--dry-run            print what would be trained, and write nothing; --dry-run=compile: with the memory of each program

Without --grid the settings are those that sweep(add) of the file adds, static keys included; if the file has no such
function, or it adds seeds alone and --seeds is given, its config alone. A grid or a list that sets config.seed has its
seeds from there.

Runs with equal static settings are a group: one compiled program, vmapped, while the program of the next group is
compiled. DIR has a workdir for each group, as of ternary_jax.main; index.json; and runs.csv, a row for each run with
its settings, seed, ending and final metrics. The same command with the same DIR goes on with a sweep that was
interrupted or killed: no run is trained twice. `python -m ternary_jax.analyze DIR` compares the settings.
Exit status: as of ternary_jax.main.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ternary_jax import command_line
from ternary_jax.errors import ConfigError

SEEDS = 16  # of each setting, where --seeds is not given
MOST = 4096  # seeds of a setting, and runs that are trained at once
FLAGS = command_line.Flags(
    "ternary_jax.sweep",
    {
        "--config": "FILE",
        "--grid": "config.KEY=VALUE,VALUE",
        "--seeds": "N",
        "--workdir": "DIR",
        "--at-once": "N",
        "--dry-run": "compile",
    },
    ("--yes", "--dry-run"),
    ("--grid",),
)


def run(
    config: str | Path,
    grid: Mapping[str, Iterable[Any]] | None = None,
    seeds: int | None = None,
    workdir: str | Path | None = None,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    at_once: int | None = None,
) -> Any:
    """Train a sweep from a notebook, or go on with it; -> its reader, a `workdir.Sweep`.

    config, overrides: as in `load_config`
    grid: {key: its values}; None: the settings of sweep(add) of the file, if it has one
    seeds: of each setting; None: SEEDS, unless the settings or the config have the seeds
    workdir, at_once: as on the command line
    """
    from ternary_jax import workdir as workdirs
    from ternary_jax.sweeps import running

    if at_once is not None and not (isinstance(at_once, int) and at_once >= 1):
        raise ConfigError(f"at_once={at_once!r} is not allowed: give an int of at least 1, or None")
    plan = _plan(config, grid, overrides, seeds)
    folder, _ = command_line.workdir_and_again((), str(config), None if workdir is None else str(workdir), FLAGS)
    running.run(plan, folder, at_once=at_once)
    return workdirs.open(folder)


def main(argv: Sequence[str]) -> None:
    """Train the sweep that the arguments give."""
    values, overrides, grid = command_line.parse_flags(argv, __doc__ or "", FLAGS)
    dry_run = command_line.checked_dry_run(values)
    seeds, at_once = (command_line.count(values, flag, MOST) for flag in ("--seeds", "--at-once"))
    try:
        from ternary_jax.sweeps import grid as grids

        plan = _plan(values["--config"], grids.parse(grid) if grid else None, overrides, seeds)
    except ConfigError as e:
        command_line.fail(str(e))
    workdir, again = command_line.workdir_and_again(argv, values["--config"], values.get("--workdir"), FLAGS)
    train(plan, workdir, again, at_once, "--yes" in values, dry_run)


def train(plan: Any, workdir: str, again: str, at_once: int | None, yes: bool, dry_run: str | None) -> None:
    """Print the plan; train it, unless it is a dry run; print how the runs ended. A mistake ends the process."""
    from ternary_jax.errors import RunError, WorkdirError
    from ternary_jax.sweeps import report, running

    try:
        if dry_run is not None:
            command_line.show(report.dry_run(plan, compiled=dry_run == "compile", at_once=at_once))
            return
        ended = running.has_ended(Path(workdir), plan)
        command_line.show(f"{report.plan(plan)}\nin {workdir}")
        if not (yes or ended) and sys.stdin is not None and sys.stdin.isatty() and (reason := report.asks(plan)):
            command_line.fail(f"{reason}: to train it, type --yes too")
        finished = running.run(plan, workdir, again, at_once, exit_at_once=True)
        command_line.show(report.ended(Path(workdir), finished, again))
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e), 2 if isinstance(e, ConfigError) else 1)


def _plan(config: str | Path, grid: Any, overrides: Any, seeds: int | None) -> Any:
    """The plan of a sweep over a grid; without one, over what sweep(add) of the file adds, if it has that function."""
    from ternary_jax import config as configs
    from ternary_jax.sweeps import plan as plans

    rows = configs.listed_runs(config) if grid is None and configs.has_sweep(config) else None
    return plans.plan(config, grid or {}, overrides, seeds, rows, SEEDS)


def command() -> None:
    """`python -m ternary_jax.sweep`: answer signals from the first moment, then run."""
    command_line.begin(
        "no training is under way, so there is nothing to save; the same command with the same --workdir goes on"
    )
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
