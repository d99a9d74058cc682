"""The page of what a user names, and its file."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ternary_jax.analysis.page.content import Page
from ternary_jax.errors import ConfigError, WorkdirError
from ternary_jax.workdir import Sweep, files, safe_files

FILE = "report.html"  # in a workdir or the folder of a sweep
INSTALL = "pip install 'ternary_jax[report]', or pip install bokeh"


def installed() -> bool:
    """Whether the library that draws the panels is there."""
    return importlib.util.find_spec("bokeh") is not None


def check_installed() -> None:
    """Raise a ConfigError where the library that draws the panels is missing."""
    if not installed():
        raise ConfigError(f"a report needs bokeh, which is not installed: {INSTALL}")


def page(opened: Sequence[Any], k: int = 0) -> Page:
    """The page of a training, of several trainings, or of sweeps. k: the run of a workdir that is looked at."""
    from ternary_jax.analysis.page import several, single
    from ternary_jax.engine import session

    kinds = [isinstance(one, Sweep) for one in opened]
    if all(kinds):
        return several.of_sweeps(opened, k)
    if any(kinds):
        alone = opened[kinds.index(False)]
        raise WorkdirError(
            f"{alone.path} is the workdir of a single training, and others are sweeps: give sweeps alone, or workdirs "
            "alone, such as the group_000 of a sweep"
        )
    if opened[0].config.get("compilation_cache"):  # what is compiled for a page is so for all workdirs of these sizes
        session.keep_compiled_programs()
    return several.of_workdirs(opened, k) if len(opened) > 1 else single.page(opened[0], k)


def check_file(file: Path, chosen: bool) -> None:
    """Raise a ConfigError where the file cannot be written. chosen: whether the user has named it.

    A report in its workdir is replaced by a newer one; any other file that is there is left alone.
    """
    what = safe_files.kind(file)
    if what and chosen:
        raise ConfigError(f"--out={file} exists ({what}): name a file that does not, or delete this one")
    if what and not is_report(file):
        raise ConfigError(f"{file} is {what} and no report of this program: give --out=FILE, or move it away")
    if safe_files.kind(file.parent, follow=True) != "a folder":
        raise ConfigError(f"--out={file}: {file.parent} is no folder: make it, or name a file in another")


def is_report(file: Path) -> bool:
    """Whether a file is a page that this program has written."""
    from ternary_jax.analysis.page import document

    if safe_files.kind(file) != "a file":
        return False
    with safe_files.open_file(file) as opened:
        return document.is_page(opened.read(200))


def write(made: Page, file: Path) -> int:
    """Write the page; -> the number of its bytes."""
    from ternary_jax.analysis.page import document

    content = document.html(made).encode()
    files.write_whole(file, content)
    return len(content)
