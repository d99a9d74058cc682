"""A workdir belongs to one config, in config.json, and to one process at a time."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ternary_jax import config as configs
from ternary_jax.config.keys import Key
from ternary_jax.errors import ConfigError, RunError, UnsafeFileError, WorkdirError
from ternary_jax.workdir import files, forms, safe_files

# Version of what a workdir holds: the leaves of a state, the names of columns. Count it up where an unfinished workdir
# of the version before cannot be resumed. A config.json without the entry "format" is of version 1.
FORMAT = 5
LENGTHS = ("train.epochs", "train.steps")  # the keys of the length of a run; one of them is 0
COSTLY = "evaluate.costly_every"
SHOWN = 5  # differences between two configs that a message names


class Found(NamedTuple):
    """What a workdir has of a config.

    finished: the summary, where its training is finished; else None
    damaged: whether summary.json is there and cannot be read, so that it is written again
    earlier: {key: value} of the shorter training that the config goes on from, in which they differ; {} without one
    lengths: the lengths before the present one, for config.json
    """

    finished: dict[str, Any] | None = None
    earlier: Mapping[str, int] = MappingProxyType({})
    lengths: tuple[int, ...] = ()
    damaged: bool = False


def contents(config: Any, lengths: tuple[int, ...] = ()) -> dict[str, Any]:
    """The content of config.json, of which every checkpoint holds a copy. lengths: as in `Found`."""
    return {"format": FORMAT, "earlier_lengths": list(lengths), **configs.resolved(config)}


def look(workdir: Path, config: Any) -> Found:
    """What a workdir has of a config; nothing is written.

    The config may have a greater length than the workdir: `engine.longer` decides whether it can go on from there.
    Raises a ConfigError for a workdir of another config or format, and for a directory that is no workdir.
    """
    file = workdir / "config.json"
    if safe_files.kind(workdir, follow=True) not in ("", "a folder"):
        raise ConfigError(f"--workdir={workdir} is no folder: name another")
    if not safe_files.kind(file):
        names = safe_files.names(workdir.resolve())  # the workdir itself may be a link
        # A full disk or a kill may leave config.json half written.
        if foreign := [name for name in names if not name.startswith(".") and name != "config.json.part"]:
            raise ConfigError(
                f"--workdir={workdir} holds {foreign[0]!r} and no config.json, so it is no workdir: name another"
            )
        return Found()
    try:
        there = forms.read_config(workdir) or {}
        forms.check(file, there, forms.CONFIG)
    except UnsafeFileError:
        raise
    except WorkdirError as e:
        raise RunError(
            f"{file} is damaged, or is not of a training of this program: put back a copy, or name another --workdir"
        ) from e
    here, same_format = configs.resolved(config), there.pop("format", 1) == FORMAT
    lengths = tuple(there.pop("earlier_lengths", ()))
    if not same_format:  # compare only the keys that both versions have
        both = there.keys() & here.keys()
        there, here = {key: there[key] for key in both}, {key: here[key] for key in both}
    if earlier := _shorter(there, here) if same_format else {}:
        there = there | {key: here[key] for key in earlier}
        lengths = (*lengths, *(value for key, value in earlier.items() if key in LENGTHS))
    if differing := configs.differences(there, here):
        shown = _listed(differing, there, here)
        raise ConfigError(f"--workdir={workdir} is of another config: {shown}; name another, or give that config")
    summary, damaged = None, False
    try:
        summary = forms.read_summary(workdir, config.runs)
    except WorkdirError:
        damaged = True
    if summary and "finished" in summary and summary["finished"]:
        return Found(earlier=earlier, lengths=lengths) if earlier else Found(finished=summary)
    if not same_format:
        raise ConfigError(
            f"--workdir={workdir} was begun by an earlier version, and this one cannot go on with it: name another "
            "to train again; its rows and exports can still be read with ternary_jax.workdir.open"
        )
    return Found(earlier=earlier, lengths=lengths, damaged=damaged)


def unlike(there: Mapping[str, Any], content: Mapping[str, Any], table: Mapping[str, Key] | None = None) -> str:
    """How the config in a checkpoint differs from config.json: "seed is 5 there and 0 here"; "" if it is the same.

    content: of config.json. A checkpoint may be of one of its earlier, shorter lengths.
    table: the keys that are compared; None: all, by the table of the task, which is imported
    """
    keys = (there.keys() | content.keys() if table is None else table.keys()) - {*files.CONFIG_ENTRIES}
    there, here = ({key: values[key] for key in keys if key in values} for values in (there, content))
    key = next((key for key in LENGTHS if there.get(key) in content.get("earlier_lengths", ())), None)
    if key:
        after_last = type(costly := there.get(COSTLY)) is int and costly >= there[key]
        there |= {name: here.get(name) for name in (key, *[COSTLY] * after_last)}
    differing = configs.differences(there, here, table)
    return _listed(differing, there, here) if differing else ""


@contextlib.contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Make the folder if it is missing, and lock it for this process. The lock ends with the process, however it ends.

    An OSError of what is done under the lock is a RunError.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with safe_files.open_file(workdir / ".lock", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another process is at work in {workdir}: wait for it, or name another --workdir"
                ) from None
            yield
    except OSError as e:
        if file := next((path for path in workdir.parents if path.is_file()), None):
            raise RunError(f"{file} is a file, so --workdir={workdir} cannot be made: name another") from e
        raise RunError(f"{e.filename or workdir}: {e.strerror}; mend that, or name another --workdir") from e


@contextlib.contextmanager
def claim(workdir: Path, content: dict[str, Any], longer: bool = False) -> Iterator[None]:
    """Lock the workdir for this process and write config.json.

    content: of config.json; longer: it goes on from a shorter training, so `lengthen` writes it later
    """
    with lock(workdir):
        if not longer:
            files.write_json(workdir / "config.json", content)
        yield


def lengthen(workdir: Path, content: dict[str, Any]) -> None:
    """Write config.json of a longer training, once its checkpoint is read and its program compiled.

    Until then the workdir is that of the shorter one, so a mistake or a kill leaves it as it was.
    """
    summary = None
    with contextlib.suppress(WorkdirError):  # of a damaged one, which `look` takes for none; it is written anew
        summary = files.read_json(workdir / "summary.json")
    if summary:
        files.write_json(workdir / "summary.json", summary | {"finished": False})
    files.write_json(workdir / "config.json", content)


def _listed(differing: list[str], there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first of the differences, and the number of the others; of different tasks, the task alone."""
    if there.get("task") != (task := here.get("task")):
        return f"task is {there.get('task')} there and {task} here"
    return ", ".join(differing[:SHOWN]) + f", and {len(differing) - SHOWN} more" * (len(differing) > SHOWN)


def _shorter(there: dict[str, Any], here: dict[str, Any]) -> dict[str, int]:
    """{key: value there} of the keys that a greater length changes, if that of `here` is greater; else {}.

    Costly metrics that were measured after the last step only may be so again, and with them their cadence.
    """
    key = next((key for key in LENGTHS if type(there.get(key)) is int and 0 < there[key] < here[key]), None)
    if key is None:
        return {}
    costly = there.get(COSTLY)
    if type(costly) is int and costly >= there[key] and here[COSTLY] >= here[key]:
        return {key: there[key], COSTLY: costly}
    return {key: there[key]}
