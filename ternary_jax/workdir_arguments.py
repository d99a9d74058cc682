"""Arguments of the commands that take a workdir: `analyze`, `query`, `export`, `report`.

They are not in command_line.py: argparse takes time to import, and `ternary-jax --help` has to answer at once.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ternary_jax import command_line
from ternary_jax.errors import ConfigError, WorkdirError


class Parser(argparse.ArgumentParser):
    """The parser of a command that takes workdirs: a mistake is one sentence, and --help is the text of the module.

    flags: all flags of the command, for the sentence
    """

    def __init__(self, module: str, text: str | None, flags: str):
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(f"python -m {module}", description=text, formatter_class=form, allow_abbrev=False)
        self.module, self.flags = module, flags

    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; the flags are {self.flags}; type: python -m {self.module} WORKDIR")

    def print_help(self, file: Any = None) -> None:
        command_line.show(self.format_help().rstrip())


MODEL_FLAGS = "--run=N, --branch=NAME, --at=best, --task=MODULE"  # of the commands that load a model


def add_model_flags(parser: Parser) -> None:
    """Add WORKDIR and the flags that say which of its models is meant."""
    parser.add_argument("workdir", metavar="WORKDIR", help="the --workdir of a training")
    parser.add_argument("--run", metavar="N", default="0", help="the run of several, from 0 on; default: 0")
    parser.add_argument("--branch", metavar="NAME", default="", help="the branch that is asked; default: the main one")
    parser.add_argument("--at", default="best", help="the checkpoint: best, newest, or a step; default: best")
    parser.add_argument(
        "--task",
        metavar="MODULE",
        default="",
        help="the task module of the training, if it is your own: code that only the workdir names is not run",
    )


def load_model(given: argparse.Namespace) -> Any:
    """The model that the flags of `add_model_flags` mean; a mistake ends the process."""
    if not given.workdir:
        command_line.fail("WORKDIR is empty (an unset variable?): give the --workdir of a training")
    for flag, value, words in (("--run", given.run, ()), ("--at", given.at, ("best", "newest"))):
        if value not in words and not (value.isascii() and value.isdecimal() and len(value) <= 10):
            command_line.fail(f"{flag}={value} is not allowed: give {', '.join([*words, 'an int from 0 on'])}")
    from ternary_jax import inference

    at = int(given.at) if given.at.isdecimal() else given.at
    return inference.load(given.workdir, int(given.run), given.branch, at, given.task)


def distinct(paths: Sequence[str]) -> list[str]:
    """The paths, each workdir once; a WorkdirError if all of several paths are one workdir."""
    found: dict[str, str] = {}
    for path in paths:
        if not path:
            raise WorkdirError("WORKDIR is empty (an unset variable?): give the --workdir of a training")
        try:
            found.setdefault(os.path.realpath(path), path)
        except FileNotFoundError as e:  # of os.getcwd
            fix = "go to another folder by cd"
            raise WorkdirError(f"the current folder is deleted, and WORKDIR={path} is relative to it: {fix}") from e
    if len(found) == 1 < len(paths):
        raise WorkdirError(
            f"{paths[0]} and {paths[1]} are the same workdir: give it once to have it analysed, or another to compare "
            "it with"
        )
    return [*found.values()]


def opened(paths: Sequence[str], task: str | None) -> list[Any]:
    """The readers of the workdirs and sweeps. task: the module that the user names; None: none is named."""
    from ternary_jax import workdir  # below the parser: these imports are slow

    runs = [workdir.open(path, task or "") for path in paths]
    if task is not None:
        for run in runs:
            config = run.content["groups"][0]["config"] if isinstance(run, workdir.Sweep) else run.config
            _check_task(run.path, config["task"], task)
    return runs


def _check_task(path: Path, there: str, task: str) -> None:
    """Check the task module that the user names, also where the files of the workdir are enough without it.

    there: the task that the files name
    """
    from ternary_jax import config

    if not task:
        raise ConfigError("--task is empty (an unset variable?): name the task module of the training, or leave it out")
    try:
        config.keys_of(task)
    except ConfigError as e:
        raise ConfigError(str(e).replace("config.task=", "--task=", 1)) from e
    if task != there:
        raise ConfigError(
            f"--task={task} is not the task of {path}: its config has {there}: give --task={there}, or leave --task out"
        )


def number(flag: str, value: str, most: int = 10**9) -> int:
    """The value of a flag that counts from 0; a ConfigError where it is none."""
    if not (value.isascii() and value.isdecimal() and len(value) <= 10 and int(value) <= most):
        raise ConfigError(f"{flag}={value} is not allowed: give an int from 0 to {most}")
    return int(value)
