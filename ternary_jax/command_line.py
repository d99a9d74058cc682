"""--config=FILE and --config.KEY=VALUE, for every `python -m ternary_jax.X`. A mistake is one sentence and status 2."""

import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags
from ml_collections import config_flags

ARGV = [""]  # what config_flags searches for overrides; it would otherwise be sys.argv, whatever is parsed
CONFIG = config_flags.DEFINE_config_file("config", None, "a Python file with get_config()", sys_argv=ARGV)
FORM = "what can be given is --config=FILE and, after it, --config.KEY=VALUE"


def parse(argv: Sequence[str]) -> list[str]:
    """A `flags_parser` for `absl.app.run`: fills CONFIG, or prints one sentence on what is wrong and exits.

    absl alone ends in a traceback for a key that does not exist, and in status 1 for --help.
    """
    program, *given = argv
    main = sys.modules["__main__"]
    if {"-h", "-help", "--help", "--helpshort", "--helpfull"} & set(given):
        print((main.__doc__ or "").strip())
        sys.exit(0)
    given = [re.sub("^--?config(?=[.=]|$)", "--config", arg) for arg in given]
    overrides = [arg for arg in given if arg.startswith("--config.")]
    plain = [arg for arg in given if not arg.startswith("--config.")]
    for path in (arg.removeprefix("--config=").split(":")[0] for arg in plain if arg.startswith("--config=")):
        if path and not os.path.isfile(path):
            fail(f"--config={path}: there is no such file; those of this repository are in configs/")
    rest = _parsed([program, *plain], {})
    if CONFIG.value is None:
        spec = getattr(main, "__spec__", None)
        fail(f"no --config; type: python -m {spec.name if spec else main} --config=configs/closed_form.py")
    file = config_flags.get_config_filename(flags.FLAGS["config"])
    try:
        values = _leaves(CONFIG.value)
    except Exception as e:
        fail(f"--config={file}: {' '.join(str(e).split())}")
    for override in overrides:
        key, equals, value = override.removeprefix("--config.").partition("=")
        if key not in values:
            near = [f", but {name}" for name in difflib.get_close_matches(key, values, 1)]
            fail(f"config.{key}={value}: {file} has no such key{''.join(near)}; it has {', '.join(values)}")
        if not equals:
            fail(f"--config.{key} has no value: type --config.{key}=VALUE; {_kind(key, values)}")
    if rest[1:]:
        fail(f"{rest[1]!r} is no flag; {FORM}")
    return _parsed([program, *plain, *overrides], values)


def fail(sentence: str) -> NoReturn:
    """Print the sentence to stderr and exit with status 2."""
    print(sentence, file=sys.stderr)
    sys.exit(2)


def _parsed(argv: Sequence[str], values: dict[str, Any]) -> list[str]:
    ARGV[:] = argv
    try:
        return flags.FLAGS(argv)
    except flags.Error as e:
        first, *more = str(e).strip().splitlines()  # with what a config file raises, of which the last line says it
        override = re.match(r"flag --config\.([^=]+)=", first)
        fail(f"{' '.join([first, *more[-1:]])}; {_kind(override[1], values) if override else FORM}")
    except (Exception, SystemExit) as e:  # of the config file, which is a program
        given = next((arg for arg in argv if arg.startswith("--config=")), "--config")
        fail(f"{given}: {type(e).__name__}: {' '.join(str(e).split())}")


def _kind(key: str, values: dict[str, Any]) -> str:
    return f"config.{key} takes a value of type {type(values[key]).__name__}, such as {values[key]!r}"


def _leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a config by their dotted keys."""
    out = {}
    for key, value in config.items():
        out |= _leaves(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
    return out
