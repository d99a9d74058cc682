"""Runs of tests that share their compiled programs: a second run with the same static values traces nothing."""

from pathlib import Path
from typing import Any

import pytest

from ternary_jax.config import split
from ternary_jax.engine import compiling, host

MADE: dict[Any, compiling.Compiled] = {}  # by static values, of all runs of this process


def run(config: Any, workdir: str | Path) -> dict[str, Any]:
    """host.run. The first run with these static values compiles as always, and the others take its programs.

    Not for a task that a test has changed: two tasks of one config would share their programs.
    """
    static, compiled = split(config)[0], compiling.compiled

    def kept(*args: Any) -> compiling.Compiled:
        MADE[static] = made = compiled(*args)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "compiled", kept)
        return host.run(config, workdir, ahead=MADE.get(static))
