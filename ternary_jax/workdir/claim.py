"""A workdir belongs to one config, in config.json, and to one process at a time."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ternary_jax import config as configs
from ternary_jax.errors import ConfigError, RunError, UnsafeFileError, WorkdirError
from ternary_jax.workdir import files, forms, safe_files

# Version of what a workdir holds: the leaves of a state, the names of columns. Count it up where an unfinished workdir
# of the version before cannot be resumed. A config.json without the entry "format" is of version 1.
FORMAT = 2


def contents(config: Any) -> dict[str, Any]:
    """The content of config.json, of which every checkpoint holds a copy."""
    return {"format": FORMAT, **configs.resolved(config)}


def finished(workdir: Path, config: Any) -> dict[str, Any] | None:
    """The summary of a workdir whose training is finished; None where there is something left to train. Writes nothing.

    Raises a ConfigError for a workdir of another config or format, and for a directory that is no workdir.
    """
    file = workdir / "config.json"
    if not safe_files.kind(file):
        names = sorted(path.name for path in workdir.iterdir()) if workdir.is_dir() else []
        # A full disk or a kill may leave config.json half written.
        if foreign := [name for name in names if not name.startswith(".") and name != "config.json.part"]:
            raise ConfigError(
                f"--workdir={workdir} holds {foreign[0]!r} and no config.json, so it is no workdir: name another"
            )
        return None
    try:
        there = forms.read_config(workdir) or {}
    except UnsafeFileError:
        raise
    except WorkdirError as e:
        raise RunError(
            f"{file} is damaged: put back a copy (every checkpoint holds one), or name another --workdir"
        ) from e
    here, same_format = configs.resolved(config), there.pop("format", 1) == FORMAT
    if not same_format:  # compare only the keys that both versions have
        both = there.keys() & here.keys()
        there, here = {key: there[key] for key in both}, {key: here[key] for key in both}
    if differing := configs.differences(there, here):
        raise ConfigError(
            f"--workdir={workdir} is of another config: {', '.join(differing)}; name another, or give that config"
        )
    summary = None
    with contextlib.suppress(WorkdirError):
        summary = forms.read_summary(workdir, config.runs)
    if summary and "finished" in summary and summary["finished"]:
        return summary
    if not same_format:
        raise ConfigError(
            f"--workdir={workdir} was begun by an earlier version, and this one cannot go on with it: name another "
            "to train again; its rows and exports can still be read with ternary_jax.workdir.open"
        )
    return None


@contextlib.contextmanager
def claim(workdir: Path, config: Any) -> Iterator[None]:
    """Lock the workdir for this process and write config.json. The lock ends with the process, however it ends."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with safe_files.open_file(workdir / ".lock", "ab") as lock:
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
