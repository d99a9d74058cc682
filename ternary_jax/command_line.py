"""--config=FILE and what goes with it, for every `python -m ternary_jax.X`. A mistake is one sentence and status 2."""

import re
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

WHAT = {"--config": "FILE", "--workdir": "DIR"}
FORM = "what can be given is --config=FILE, --config.KEY=VALUE, --workdir=DIR and --sweep"


class Given(NamedTuple):
    """What was typed.

    config_path: FILE or FILE:ARG
    overrides: "KEY=VALUE" each, in the order they were given in
    workdir: None if it was not given
    sweep: whether the runs are those of sweep(add)
    """

    config_path: str
    overrides: tuple[str, ...]
    workdir: str | None
    sweep: bool


def parse(argv: Sequence[str]) -> Given:
    """The arguments that follow the program's name, or one sentence on what is wrong, and exit.

    --help prints the docstring of the program. Of a flag that is given twice, the last one holds.
    """
    main = sys.modules["__main__"]
    if {"-h", "-help", "--help"} & set(argv):
        print((main.__doc__ or "").strip())
        sys.exit(0)
    values, overrides, sweep = {}, [], False
    for arg in argv:
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
        spec = getattr(main, "__spec__", None)
        fail(f"no --config; type: python -m {spec.name if spec else main} --config=configs/v5_12.py")
    return Given(values["--config"], tuple(overrides), values.get("--workdir"), sweep)


def fail(sentence: str, status: int = 2) -> NoReturn:
    """Print the sentence to stderr and exit."""
    print(sentence, file=sys.stderr)
    sys.exit(status)
