"""The report at the end of a training: it is written when all else is, and whatever goes wrong is one line."""

import shlex
from pathlib import Path

from ternary_jax import terminal
from ternary_jax.analysis.page import writing
from ternary_jax.errors import one_line
from ternary_jax.workdir import run as runs
from ternary_jax.workdir import safe_files


def write(workdir: str | Path, on: str, task: str) -> Path | None:
    """Write the report where config.report.on asks for it, -> its file; None where there is none.

    It raises nothing, and never changes the exit status. The summary is on the disk and printed before. A report that
    is newer than the summary is kept: nothing was trained since.
    on: "auto", "always" or "never"; task: the task module, which the config of the user names
    """
    workdir = Path(workdir)
    file = workdir / writing.FILE
    if on == "never" or (on == "auto" and not writing.installed()):
        return None
    try:
        _write(workdir, file, task)
        return file
    except Exception as e:  # a view may be the user's own code; the training has succeeded in any case
        again = f"python -m ternary_jax.report {shlex.quote(str(workdir))}"
        terminal.say(f"no report was written ({one_line(e)}); the training is complete; to try again: {again}")
        return None


# --- inside -----------------------------------------------------------------------------------------------------------


def _write(workdir: Path, file: Path, task: str) -> None:
    if _newer(file, workdir / "summary.json"):
        return
    writing.check_installed()
    writing.check_file(file, chosen=False)
    writing.write(writing.page([runs.open(workdir, task)]), file)


def _newer(file: Path, than: Path) -> bool:
    return bool(safe_files.kind(file)) and file.stat(follow_symlinks=False).st_mtime >= than.stat().st_mtime
