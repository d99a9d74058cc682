"""Analyse a training: how complete it is, how good it is, and whether it has grokking events.

    python -m ternary_jax.analyze runs/first
    python -m ternary_jax.analyze runs/first --metrics=held_out_accuracy,held_out_valuation

It reads the workdir of a training of one or many runs, also while the training is under way. It prints

  the completion checklist, each item with the values that decide it;
  the levels of success of the task, beside the best possible values;
  plateaus and the rises that follow them: which are grokking events, and what was ruled out or explains the others;
  phase transitions, changes of the regime of the gradients, change points;
  the verdict on generalisation from held-out metrics: without a held-out set there is none;

and writes WORKDIR/analysis.json, which has all of it, and WORKDIR/analysis_*.png, a figure for each group of runs that
differ only by their seeds. Exit status: 0; 2 where there is nothing to analyse, with a sentence on the fix.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from ternary_jax import command_line, terminal
from ternary_jax.errors import ConfigError, RunError, WorkdirError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; type: python -m ternary_jax.analyze WORKDIR")


def main(argv: Sequence[str]) -> None:
    """Analyse the workdir that the arguments name; print the findings and write the files."""
    parser = _Parser(
        "python -m ternary_jax.analyze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdir", metavar="WORKDIR", help="the --workdir of a training")
    parser.add_argument(
        "--metrics",
        default="",
        help="metrics to search for events; by default those of the detector of the run, or all that have a scale",
    )
    parser.add_argument(
        "--task",
        metavar="MODULE",
        default="",
        help="the task module of the training, if it is your own: code that only the workdir names is not run",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    given = parser.parse_args(argv)
    from ternary_jax import workdir  # after the parser: these imports are slow
    from ternary_jax.analysis import figures, findings, text
    from ternary_jax.workdir import files

    try:
        run = workdir.open(given.workdir, given.task)
        found = findings.analyse(run, tuple(filter(None, given.metrics.split(","))))
        files.write_json(run.path / "analysis.json", found, infinite="inf")
        drawn = [] if given.no_figures else figures.draw(found, run.rows(), run.path)
    except (ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e))
    written = ", ".join(["analysis.json", *(file.name for file in drawn)])
    print(terminal.printable(f"{text.text(found)}\n\nin {run.path}: {written}"))


if __name__ == "__main__":
    main(sys.argv[1:])
