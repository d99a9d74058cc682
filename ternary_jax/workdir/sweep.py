"""The folder of a sweep: index.json, which names its runs and their workdirs; and its reader, `open(path)`.

A sweep trains its runs in batches, each in a workdir of its own, `group_000` or `group_000_part_01`. What a run has
reached stands in the summary.json of its workdir. index.json and runs.csv repeat it, for tools that read one file; the
reader takes it from the summaries, which are there also where a sweep was killed before it wrote the index.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.errors import WorkdirError
from ternary_jax.metric import Metric
from ternary_jax.workdir import files, forms, safe_files
from ternary_jax.workdir import run as runs
from ternary_jax.workdir.rows import MOST_SEED

FORMAT = 1  # version of index.json
FILE = "index.json"
NOT_BEGUN, UNFINISHED = "not begun", "not finished"  # endings of runs without a summary
DIVERGED = "diverged"  # the reason of a run that diverged, in summary.json
FOLDER = re.compile(r"group_\d{3,6}(_part_\d{2,6})?", re.ASCII)  # of a batch: a name without a way out of the sweep
MOST_IN_SWEEP = 10**6  # runs of a sweep


class SweepRun(NamedTuple):
    """A run of a sweep, a row of its table.

    run: its number in the sweep
    settings: the swept keys without the seed, each with its value
    ending: the reason of its end as in summary.json, such as "epochs done" or "diverged"; or NOT_BEGUN, UNFINISHED
    step: of its end; None before there is a summary
    metrics: the last value of each metric; {} before there is a summary
    folder, place: its workdir in the folder of the sweep, and its number in that workdir; "" and 0 if not begun
    """

    run: int
    settings: dict[str, Any]
    seed: int
    ending: str = NOT_BEGUN
    step: int | None = None
    metrics: Mapping[str, float | None] = {}
    folder: str = ""
    place: int = 0


class Sweep(NamedTuple):
    """The folder of a sweep, also of one that is under way.

    content: of index.json
    task: the name of the task module, as the caller gave it
    """

    path: Path
    content: Mapping[str, Any]
    task: str = ""

    def table(self) -> list[SweepRun]:
        """All runs, by number, as far as they are trained."""
        return table(self.path, self.content)

    def runs(self) -> list[tuple[SweepRun, runs.Run]]:
        """(row of the table, its workdir) of each run that has begun: `run.rows(row.place)` is its log."""
        rows = [row for row in self.table() if row.folder and safe_files.kind(self.path / row.folder / "config.json")]
        opened = {folder: runs.open(self.path / folder, self.task) for folder in dict.fromkeys(r.folder for r in rows)}
        return [(row, opened[row.folder]) for row in rows]

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that every group measures, by name; {} before a workdir has a summary."""
        folders = [batch["folder"] for group in self.content["groups"] for batch in group["batches"]]
        ended = [one for one in folders if safe_files.kind(self.path / one / "summary.json")]
        found = [runs.open(self.path / one, self.task) for one in ended]
        each = [run.metrics for run in found]
        return {name: one for name, one in each[0].items() if all(name in other for other in each)} if each else {}


def open(path: str | Path, task: str = "") -> Any:
    """The workdir of a training at `path`, a `Run`; or the folder of a sweep, a `Sweep`. Finished or under way.

    task: the name of its task module, if it is not one of this package. A workdir may be anyone's, so a module that
    only its config.json names is never imported.
    """
    path = Path(path)
    index = read(path) if safe_files.kind(path, follow=True) == "a folder" else None
    return runs.open(path, task) if index is None else Sweep(path, index, task)


def read(path: Path) -> dict[str, Any] | None:
    """The content of index.json; None where there is none. A WorkdirError for anything of another form."""
    if (found := files.read_json(path / FILE)) is None:
        return None
    forms.check(path / FILE, found, INDEX)
    named = [run["run"] for run in found["runs"]]
    placed = [run for group in found["groups"] for batch in group["batches"] for run in batch["runs"]]
    if named != list(range(len(named))) or len({*placed}) < len(placed) or not {*placed} <= {*named}:
        raise WorkdirError(f"{path / FILE} is damaged (its runs are not those of its batches): put back a copy")
    if any({*run["settings"]} != {*found["keys"]} for run in found["runs"]):
        raise WorkdirError(f"{path / FILE} is damaged (a run has other keys than the sweep): put back a copy")
    return found


def write(path: Path, index: Mapping[str, Any]) -> dict[str, Any]:
    """Write index.json with the runs as far as they are trained; -> its content."""
    found = {**index, "runs": [_plain(row) for row in table(path, index)]}
    files.write_json(path / FILE, found)
    return found


def table(path: Path, index: Mapping[str, Any]) -> list[SweepRun]:
    """A row for each run of the index, by number, with what the summaries of the workdirs say."""
    found = {one["run"]: SweepRun(one["run"], _tuples(one["settings"]), one["seed"]) for one in index["runs"]}
    for group in index["groups"]:
        for batch in group["batches"]:
            rows = [found[run] for run in batch["runs"]]
            found |= {row.run: row for row in of_batch(path, batch["folder"], rows)}
    return [found[run] for run in sorted(found)]


def of_batch(path: Path, folder: str, rows: Sequence[SweepRun]) -> list[SweepRun]:
    """The rows of a batch with what its workdir says. A WorkdirError where it is of other settings or seeds."""
    rows = [row._replace(folder=folder, place=place) for place, row in enumerate(rows)]
    if (config := forms.read_config(path / folder)) is None:
        return rows
    ends = forms.read_summary(path / folder, len(rows)).get("runs", ())
    if not _of_runs(config, rows) or (ends and [one["seed"] for one in ends] != [row.seed for row in rows]):
        raise WorkdirError(
            f"{path / folder} has the runs of another sweep: put back a copy, or train in another folder"
        )
    if not ends:
        return [row._replace(ending=UNFINISHED) for row in rows]
    return [
        row._replace(ending=end["stop"]["reason"], step=end["stop"]["step"], metrics=end["final"])
        for row, end in zip(rows, ends, strict=True)
    ]


def _of_runs(config: Mapping[str, Any], rows: Sequence[SweepRun]) -> bool:
    """Whether a config.json has the settings of these runs: a value of each key for all of them, or for each one."""
    there = _tuples(config)

    def has(key: str, k: int, wanted: Any) -> bool:
        found = there.get(key)
        return found == wanted or (isinstance(found, tuple) and len(found) == len(rows) and found[k] == wanted)

    return all(has(key, k, value) for k, row in enumerate(rows) for key, value in row.settings.items())


def has_ended(path: Path, batch: Mapping[str, Any]) -> bool:
    """Whether nothing of a batch is left to train: it is finished, or all of its runs diverged."""
    if not safe_files.kind(path / batch["folder"] / "config.json"):
        return False
    found = forms.read_summary(path / batch["folder"], len(batch["runs"]))
    ends = [one["stop"]["reason"] for one in found.get("runs", ())]
    return bool(found.get("finished", False) or (ends and all(end == DIVERGED for end in ends)))


def _plain(row: SweepRun) -> dict[str, Any]:
    return {**row._asdict(), "metrics": {**row.metrics}}


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


# --- forms ------------------------------------------------------------------------------------------------------------


def _number(x: Any) -> bool:
    """a number of a run or of runs"""
    return type(x) is int and 0 <= x <= MOST_IN_SWEEP


def _seed(x: Any) -> bool:
    """a seed"""
    return type(x) is int and 0 <= x <= MOST_SEED


def _folder(x: Any) -> bool:
    """the name of a batch's folder"""
    return isinstance(x, str) and bool(FOLDER.fullmatch(x))


_BATCH = forms.Fields({"folder": _folder, "runs": forms.Items(_number)})
_GROUP = forms.Fields(
    {"static": forms.Each(forms.setting), "config": forms.Each(forms.setting), "batches": forms.Items(_BATCH)}
)
_RUN = forms.Fields({"run": _number, "settings": forms.Each(forms.setting), "seed": _seed})
INDEX = forms.Fields(
    {
        **{"format": forms.version, "name": forms.text, "keys": forms.Items(forms.text), "seeds": _number},
        **{"groups": forms.Items(_GROUP), "runs": forms.Items(_RUN)},
    }
)
