"""A workdir belongs to one config, in config.json, and to one process at a time."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ternary_jax import config as configs
from ternary_jax.config import locate
from ternary_jax.errors import ConfigError, RunError, WorkdirError
from ternary_jax.workdir import files

# Of a workdir: what a state holds and what columns are called. It was 1, and written nowhere, until controllers had
# names. Count it up where an unfinished workdir of the version before cannot go on.
FORMAT = 2


def contents(config: Any) -> dict[str, Any]:
    """What config.json has, and every checkpoint a copy of.

    task_folder: where a task from outside of this package was found, so that `workdir.open` finds it again. It is no
    part of the config: a training goes on after its files have moved.
    """
    folder = locate.folder_of(config.task)
    return {"format": FORMAT, **({"task_folder": folder} if folder else {}), **configs.resolved(config)}


def finished(workdir: Path, config: Any) -> dict[str, Any] | None:
    """The summary of a workdir whose run has ended, None where there is something to do. Changes nothing.

    A workdir of another config or of another format, or a directory that is no workdir, is refused.
    """
    file = workdir / "config.json"
    if not file.exists():
        names = sorted(path.name for path in workdir.iterdir()) if workdir.is_dir() else []
        # A full disk or a kill may leave config.json half written.
        strangers = [name for name in names if not name.startswith(".") and name != "config.json.part"]
        if strangers:
            raise ConfigError(
                f"--workdir={workdir} holds {strangers[0]!r} and no config.json, so it is no workdir: name another"
            )
        return None
    try:
        there = files.read_json(file) or {}
    except WorkdirError as e:
        raise RunError(
            f"{file} is damaged: put back a copy (every checkpoint holds one), or name another --workdir"
        ) from e
    here, own = configs.resolved(config), there.pop("format", 1) == FORMAT
    there.pop("task_folder", None)
    if not own:  # keys have come and gone since
        both = there.keys() & here.keys()
        there, here = {key: there[key] for key in both}, {key: here[key] for key in both}
    if differing := configs.differences(there, here):
        raise ConfigError(
            f"--workdir={workdir} is of another config: {', '.join(differing)}; name another, or give that config"
        )
    summary = None
    with contextlib.suppress(WorkdirError):
        summary = files.read_json(workdir / "summary.json")
    if summary and summary.get("finished"):
        return summary
    if not own:
        raise ConfigError(
            f"--workdir={workdir} was begun by an earlier version, and this one cannot go on with it: name another "
            "to train again; its rows and exports can still be read with ternary_jax.workdir.open"
        )
    return None


@contextlib.contextmanager
def claim(workdir: Path, config: Any) -> Iterator[None]:
    """Hold the workdir for this process, with its config in config.json. The lock dies with the process, however."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with (workdir / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another process is at work in {workdir}: wait for it, or name another --workdir"
                ) from None
            files.write_json(workdir / "config.json", contents(config))
            yield
    except OSError as e:
        raise RunError(f"{e.filename or workdir}: {e.strerror}; mend that, or name another --workdir") from e
