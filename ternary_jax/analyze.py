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

Of several workdirs of one task it prints a table alone, and writes nothing: a row for each workdir and setting, with
the config keys in which they differ, and the metrics that all of them measure, or those in --metrics.

Exit status: 0, also where the files cannot be written; 2 where there is nothing to analyse, with a sentence on the fix.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ternary_jax import command_line
from ternary_jax.errors import ConfigError, RunError, WorkdirError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; type: python -m ternary_jax.analyze WORKDIR")


def main(argv: Sequence[str]) -> None:
    """Analyse the workdir that the arguments name; print the findings and write the files."""
    parser = _Parser(
        "python -m ternary_jax.analyze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        default="",
        help="the task module of the training, if it is your own: code that only the workdir names is not run",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    given = parser.parse_args(argv)
    paths = [*{os.path.realpath(path): path for path in given.workdirs}.values()]
    metrics = tuple(filter(None, given.metrics.split(",")))
    try:
        runs = _opened(paths, given.task)
        output = _compared(runs, metrics) if len(runs) > 1 else _analysed(runs[0], metrics, not given.no_figures)
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e))
    command_line.show(output)


def _opened(paths: Sequence[str], task: str) -> list[Any]:
    from ternary_jax import workdir  # below the parser: these imports are slow

    return [workdir.open(path, task) for path in paths]


def _analysed(run: Any, metrics: Sequence[str], draw: bool) -> str:
    """The findings of one workdir as text, after its files are written."""
    from ternary_jax.analysis import data, figures, text
    from ternary_jax.workdir import files

    found = data.analyse(run, metrics)
    try:
        files.write_json(run.path / "analysis.json", found, infinite="inf")
        drawn = figures.draw(found, run.rows(), run.path) if draw else []
        written = ", ".join(["analysis.json", *(file.name for file in drawn)])
    except RunError as e:  # a workdir may be read-only; the advice of the error is for a training
        if not isinstance(e.__cause__, OSError):
            raise
        written = f"nothing, or not all, was written ({e.__cause__.strerror}); to have the files, copy the workdir"
    return f"{text.text(found)}\n\nin {run.path}: {written}"


def _compared(runs: Sequence[Any], metrics: Sequence[str]) -> str:
    """The table of several workdirs."""
    from ternary_jax.analysis import comparison

    return comparison.text(runs, metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
