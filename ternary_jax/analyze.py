"""Analyse a training: how complete it is, how good it is, and whether it has grokking events.

    python -m ternary_jax.analyze runs/first
    python -m ternary_jax.analyze runs/first --metrics=held_out_accuracy,held_out_valuation
    python -m ternary_jax.analyze runs/first runs/second

It reads the workdir of a training of one or many runs, also while the training is under way. It prints

  the completion checklist, each item with the values that decide it;
  where runs differ in more than their seeds, a row for each setting: median, worst and number of runs;
  the levels of success of the task, beside the best possible values;
  plateaus and the rises that follow them: which are grokking events, and what was ruled out or explains the others;
  phase transitions, changes of the regime of the gradients, change points;
  the verdict on generalisation from held-out metrics: without a held-out set there is none;

and writes WORKDIR/analysis.json, which has all of it, and WORKDIR/analysis_*.png, a figure for each group of runs that
differ only by their seeds.

Of several workdirs of one task it prints tables alone, and writes nothing: a row for each workdir and setting, with
the config keys in which they differ, and the metrics that all of them measure, or those in --metrics; and where
settings have several seeds, means as those of a sweep. A workdir that is given twice has its rows once; alone, it is
refused.

Of a sweep, the DIR of `python -m ternary_jax.sweep`, or of several, it prints a row for each setting: the mean of each
metric over its seeds with a 95 % interval by Student's t, and for each metric which setting is best, if its differences
to all others say so: paired by the seeds that both have. Of one sweep it writes DIR/analysis.json and .png.

Exit status: 0, also where the workdir cannot be written; 1 where stdout cannot be written; 2 where there is nothing to
analyse or an argument is wrong, with a sentence on the fix; 130 after Ctrl-C.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ternary_jax import command_line, workdir_arguments
from ternary_jax.errors import INTERRUPTED, ConfigError, RunError, WorkdirError


def main(argv: Sequence[str], written: list[str] | None = None) -> None:
    """Analyse the workdir that the arguments name; print the findings and write the files.

    written: a list to which the name of each file is added when the file is written
    """
    written = [] if written is None else written
    flags = "--metrics=NAME,NAME, --task=MODULE and --no-figures"
    parser = workdir_arguments.Parser("ternary_jax.analyze", __doc__, flags)
    parser.add_argument("workdirs", metavar="WORKDIR", nargs="+", help="the --workdir of a training, or of several")
    parser.add_argument(
        "--metrics",
        default="",
        help="metrics to search for events; by default those of the detector of the run, or all that have a scale. "
        "Of several workdirs: the metrics of the table",
    )
    parser.add_argument(
        "--task",
        metavar="MODULE",
        help="the task module of the training, if it is your own: code that only the workdir names is not run",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    given = parser.parse_args(argv)
    metrics = tuple(filter(None, map(str.strip, given.metrics.split(","))))
    try:
        runs = workdir_arguments.opened(workdir_arguments.distinct(given.workdirs), given.task)
        if any(map(_is_sweep, runs)):
            output = _swept(runs, metrics, not given.no_figures)
        elif len(runs) > 1:
            output = _compared(runs, metrics)
        else:
            output = _analysed(runs[0], metrics, not given.no_figures, written)
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e))
    command_line.show(output)


def _analysed(run: Any, metrics: Sequence[str], draw: bool, written: list[str]) -> str:
    """The findings of one workdir as text, after its files are written."""
    from ternary_jax.analysis import data, figures, text
    from ternary_jax.workdir import files

    found = data.analyse(run, metrics)
    try:
        files.write_json(run.path / "analysis.json", found, infinite="inf")
        written.append("analysis.json")
        for file in figures.draw(found, run.rows(), run.path) if draw else ():
            written.append(file.name)
        ending = ", ".join(written)
    except RunError as e:  # a workdir may be read-only; the advice of the error is for a training
        if not isinstance(e.__cause__, OSError):
            raise
        ending = f"nothing, or not all, was written ({e.__cause__.strerror}); to have the files, copy the workdir"
    return f"{text.text(found)}\n\nin {run.path}: {ending}"


def _is_sweep(opened: Any) -> bool:
    from ternary_jax.workdir import Sweep

    return isinstance(opened, Sweep)


def _swept(opened: Sequence[Any], metrics: Sequence[str], draw: bool) -> str:
    """The settings of sweeps as text, after the files of a single one are written."""
    from ternary_jax.analysis import sweeps

    if single := [one for one in opened if not _is_sweep(one)]:
        raise WorkdirError(
            f"{single[0].path} is the workdir of a single training, and others are sweeps: give sweeps alone, or "
            "workdirs alone, such as the group_000 of a sweep"
        )
    return sweeps.text(opened, metrics, draw)


def _compared(runs: Sequence[Any], metrics: Sequence[str]) -> str:
    """The table of several workdirs."""
    from ternary_jax.analysis import comparison

    return comparison.text(runs, metrics)


def interrupted(written: Sequence[str]) -> str:
    """The message after Ctrl-C. written: the names of the files that are written."""
    if not written:
        return "interrupted; nothing was written"
    return f"interrupted; {', '.join(written)} {'were' if len(written) > 1 else 'was'} written"


def command() -> None:
    """`python -m ternary_jax.analyze`: answer Ctrl-C from the first moment, then run, on the CPU and without a screen.

    The machine that reads a workdir may lack the GPU of the training, and a GPU may be in use by it. jax and matplotlib
    read the two variables when they are imported, and refuse values that they cannot use.
    """
    os.environ |= {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"}
    written: list[str] = []
    signal.signal(signal.SIGINT, lambda *_: command_line.exit_at_once(interrupted(written), INTERRUPTED))
    main(sys.argv[1:], written)


if __name__ == "__main__":
    command()
