"""Say what a training has come to: how complete it is, how good, and whether anything was grokked.

    python -m ternary_jax.analyze runs/first
    python -m ternary_jax.analyze runs/first --metrics=held_out_coverage_B,hierarchy_B

It reads the workdir of a training, also while that is under way, of one run or of many. It prints

  the completion checklist, each item with the figures that it goes by;
  the success levels of each branch, Minimal to Exceptional, beside the best that is possible;
  plateaus, and rises out of them: which are grokking events, and what was ruled out or explains the others;
  phase transitions, changes of the regime of the gradients, change points;
  what held-out figures say of generalisation: without a held-out set, that nothing can be said;

and writes WORKDIR/analysis.json, which has all of it, and WORKDIR/analysis_*.png, a figure for each group of runs that
differ by their seeds alone. Exit status: 0; 2 where there is nothing to analyse, with a sentence on what to do.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ternary_jax import command_line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; type: python -m ternary_jax.analyze WORKDIR")


def main(argv: Sequence[str]) -> None:
    """Read, analyse, print, write."""
    parser = _Parser(
        "python -m ternary_jax.analyze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="the --workdir of a training")
    parser.add_argument(
        "--metrics",
        default="",
        help="to watch for events; if not given, those of the detector of the run, or all that have a scale",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    given = parser.parse_args(argv)
    workdir = load(given.workdir)
    from ternary_jax import findings, trajectories  # below the parser: from here on it takes time
    from ternary_jax.engine import log

    try:
        found = findings.analysis(workdir, tuple(filter(None, given.metrics.split(","))))
    except ValueError as e:
        command_line.fail(str(e))
    log.write_whole(workdir.path / "analysis.json", findings.dumped(found).encode())
    written = ["analysis.json"]
    if not given.no_figures:
        written += [file.name for file in trajectories.draw(found, workdir.rows, workdir.path)]
    print(f"{findings.text(found)}\n\nin {workdir.path}: {', '.join(written)}")


def load(path: Path) -> Any:
    """The workdir; exits with a sentence where there is nothing to analyse."""
    if not path.is_dir():
        command_line.fail(f"{path} is no folder: give the --workdir of a training")
    if not (path / "config.json").exists():
        command_line.fail(f"{path} has no config.json, so it is no workdir: give the --workdir of a training")
    config = _read(path / "config.json")
    if "grokking.memory" not in config:
        command_line.fail(f"{path} was trained before there was config.grokking: train again to have it analysed")
    from ternary_jax.engine import log  # it takes time

    try:
        rows = log.read(path)
    except ValueError as e:
        command_line.fail(f"{path / 'metrics.jsonl'} is damaged ({e}): start the training again, which mends it")
    if not rows:
        every = config.get("evaluate.cheap_every")
        command_line.fail(f"{path} has no evaluation yet: the first comes after {every} epochs; try again then")
    file = path / "summary.json"
    summary = _read(file) if file.exists() else {}
    from ternary_jax.findings import Workdir  # it takes time

    return Workdir(path, config, rows, summary, references(config, summary))


def _read(file):
    try:
        return json.loads(file.read_text())
    except ValueError as e:
        command_line.fail(f"{file} is damaged ({e}): start the training again with the same --workdir, or train anew")


def references(config: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the summary; of a run that has none yet, those of the task, which is made again."""
    if summary:
        sign = {"higher": 1, "lower": -1}
        return {
            name: {"better": sign[about["better"]], "best": _number(about["ceiling"])}
            | {k: _number(about[k]) for k in ("chance", "untrained")}
            for name, about in summary["metrics"].items()
        }
    from ternary_jax.engine import train

    task, _, _ = train.prepare(of_resolved(config))
    return {m.name: dict(better=m.better, best=m.best, chance=m.chance, untrained=m.untrained) for m in task.metrics}


def of_resolved(values: Mapping[str, Any]) -> Any:
    """The ConfigDict that config.json was written from."""
    from ml_collections import ConfigDict

    from ternary_jax.keys import nested

    return ConfigDict(nested({key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}))


def _number(value):
    return math.nan if value is None else value


if __name__ == "__main__":
    main(sys.argv[1:])
