"""Arguments of the commands that take a workdir: `analyze`, `query`, `export`.

They are not in command_line.py: argparse takes time to import, and `ternary-jax --help` has to answer at once.
"""

import argparse
from typing import Any, NoReturn

from ternary_jax import command_line


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
