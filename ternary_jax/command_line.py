"""Parsing of the command line: --config, its overrides, and the other flags. An error is one sentence and status 2.

A value follows its flag after = or after a space.
"""

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from ternary_jax import terminal

PLACEHOLDERS = {"--config": "FILE", "--workdir": "DIR", "--keys": "PATTERN", "--dry-run": "compile"}
USAGE = "what can be given is --config=FILE, --config.KEY=VALUE, --workdir=DIR, --sweep, --keys and --dry-run"
TAKES_VALUE = re.compile(r"--?(config(\.[^=]+)?|workdir|keys|dry-run)")
ALONE = ("--sweep", "--keys", "--dry-run")  # flags that can be given without a value
IS_FLAG = re.compile(r"--?[A-Za-z]")  # does not match a negative number


class Given(NamedTuple):
    """What was typed.

    config_path: FILE or a bare name, or one of them with :ARG after it
    overrides: "KEY=VALUE" each, in the order they were given in
    workdir: None if it was not given
    sweep: whether the runs are those of sweep(add)
    keys: the pattern of the keys to list, "" for all; None: not asked for
    dry_run: "" or "compile"; None: not asked for
    """

    config_path: str
    overrides: tuple[str, ...]
    workdir: str | None
    sweep: bool
    keys: str | None
    dry_run: str | None


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
        show(text.strip())
        sys.exit(0)
    values, overrides = {}, []
    for arg in joined(argv):
        name, equals, value = re.sub("^--?", "--", arg).partition("=")
        name, value = name.rstrip(), value.strip() if name.startswith("--config.") else value
        if name in ALONE and not equals:
            values[name] = ""
        elif name not in PLACEHOLDERS and not name.startswith("--config."):
            fail(f"{arg!r} is no flag{_what_was_meant(name)}; {USAGE}")
        elif not value:
            fail(f"{name} has no value: type {name}={PLACEHOLDERS.get(name, 'VALUE')}")
        elif name.startswith("--config."):
            overrides.append(f"{name.removeprefix('--config.')}={value}")
        else:
            values[name] = value
    if "--config" not in values:
        fail(f"no --config; type: {' '.join(program())} --config=v5_12")
    keys, dry_run = values.get("--keys"), values.get("--dry-run")
    if dry_run not in (None, "", "compile"):
        fail(f"--dry-run={dry_run} is not allowed: type --dry-run, or --dry-run=compile")
    if None not in (keys, dry_run):
        fail("--keys and --dry-run are both given, and each prints something else: leave one of them out")
    return Given(values["--config"], tuple(overrides), values.get("--workdir"), "--sweep" in values, keys, dry_run)


def _what_was_meant(name: str) -> str:
    """A note on a flag with a character that looks like another one, or that is a key of the config; else ""."""
    from ternary_jax.config.keys import not_ascii  # here, as these import jax, and --help is to answer at once
    from ternary_jax.config.table import KEYS

    key = name[2:].replace("-", "_")
    found = [one for one in KEYS if name.startswith("--") and key in (one, one.rpartition(".")[2])]
    return not_ascii(name) or (f"; to set that key, type --config.{found[0]}=VALUE" if found else "")


def fail(sentence: str, status: int = 2) -> NoReturn:
    """Print the sentence to stderr and exit."""
    print(terminal.printable(sentence), file=sys.stderr)
    sys.exit(status)


def exit_at_once(sentence: str, status: int) -> NoReturn:
    """Print the sentence to stderr and end the process, from the handler of a signal.

    An exception was rejected: a signal may arrive within an import, and libraries catch what an import raises.
    """
    with suppress(OSError):
        os.write(2, f"{sentence}\n".encode())
    os._exit(status)


def show(text: str) -> None:
    """Print to stdout, without control characters. Where stdout takes no more, exit: 141 for a closed pipe, else 1.

    141 is the status of SIGPIPE, as after `| head`. The signal itself stays ignored, as Python has it: it would also
    end a training whose stderr goes into a pipe.
    """
    complete = "what this command has written into a workdir is complete"
    if sys.stdout is None:  # as after >&-; print would write nothing
        fail(f"stdout cannot be written (it is closed): send it to a terminal or a file; {complete}", 1)
    try:
        print(terminal.printable(text), flush=True)
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout again when it exits
        if isinstance(e, BrokenPipeError):
            sys.exit(128 + signal.SIGPIPE)
        fail(f"stdout cannot be written ({e.strerror}): send it to where there is space; {complete}", 1)
