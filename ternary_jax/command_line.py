"""Parsing of the command line: --config, its overrides, --workdir, --sweep. An error is one sentence and exit status 2.

A value follows its flag after = or after a space.
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from ternary_jax import terminal

WHAT = {"--config": "FILE", "--workdir": "DIR"}
FORM = "what can be given is --config=FILE, --config.KEY=VALUE, --workdir=DIR and --sweep"
TAKES_VALUE = re.compile(r"--?(config(\.[^=]+)?|workdir)")
IS_FLAG = re.compile(r"--?[A-Za-z]")  # does not match a negative number


class Given(NamedTuple):
    """What was typed.

    config_path: FILE or a bare name, or one of them with :ARG after it
    overrides: "KEY=VALUE" each, in the order they were given in
    workdir: None if it was not given
    sweep: whether the runs are those of sweep(add)
    """

    config_path: str
    overrides: tuple[str, ...]
    workdir: str | None
    sweep: bool


def program() -> list[str]:
    """The words that start this program: `ternary-jax` if that was typed, else `python -m ternary_jax.main`."""
    if os.path.basename(sys.argv[0]) == "ternary-jax":
        return ["ternary-jax"]
    return ["python", "-m", "ternary_jax.main"]


def joined(argv: Sequence[str]) -> list[str]:
    """One argument for each flag and its value: `--config FILE` becomes `--config=FILE`.

    An argument that begins like a flag is never a value: in `--config --sweep`, --config has no value.
    """
    out, rest = [], list(argv)
    while rest:
        arg = rest.pop(0)
        if rest and TAKES_VALUE.fullmatch(arg) and not IS_FLAG.match(rest[0]):
            arg = f"{arg}={rest.pop(0)}"
        out.append(arg)
    return out


def parse(argv: Sequence[str], text: str) -> Given:
    """The arguments that follow the program's name, or one sentence on what is wrong, and exit.

    --help prints the text. Of a flag that is given twice, the last one holds.
    """
    if {"-h", "-help", "--help"} & set(argv):
        print(text.strip())
        sys.exit(0)
    values, overrides, sweep = {}, [], False
    for arg in joined(argv):
        name, equals, value = re.sub("^--?", "--", arg).partition("=")
        if name == "--sweep" and not equals:
            sweep = True
        elif name not in WHAT and not name.startswith("--config."):
            fail(f"{arg!r} is no flag; {FORM}")
        elif not value:
            fail(f"{name} has no value: type {name}={WHAT.get(name, 'VALUE')}")
        elif name.startswith("--config."):
            overrides.append(f"{name.removeprefix('--config.')}={value}")
        else:
            values[name] = value
    if "--config" not in values:
        fail(f"no --config; type: {' '.join(program())} --config=v5_12")
    return Given(values["--config"], tuple(overrides), values.get("--workdir"), sweep)


def fail(sentence: str, status: int = 2) -> NoReturn:
    """Print the sentence to stderr and exit."""
    print(terminal.printable(sentence), file=sys.stderr)
    sys.exit(status)
