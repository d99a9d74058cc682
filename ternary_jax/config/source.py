"""The source of a config file as a syntax tree; a file that is no Python program is a ConfigError that says what it is.

A config is a program, so a wrong file would otherwise end in an error of Python's parser, which speaks of tokens.
"""

import ast
import io
import os
import tokenize
from pathlib import Path

from ternary_jax.errors import ConfigError

RULE = "a config is a Python file with get_config()"
FIX = "give one, such as configs/smoke.py, or a packaged name, such as v5_12"


def tree(file: str) -> ast.Module:
    """The syntax tree of a config file."""
    check_record(file)
    content = read_bytes(file)
    check_text(file, content)
    try:
        return ast.parse(content)
    except (SyntaxError, RecursionError, MemoryError) as e:
        raise ConfigError(_about_syntax(file, e)) from None


def read_bytes(file: str) -> bytes:
    """The content of the file; a ConfigError where it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as e:
        raise ConfigError(f"--config={file} cannot be read: {e.strerror}; {FIX}") from e


def check_folder(name: str) -> None:
    """A folder is no config; that of a run is named as what it is."""
    if os.path.isfile(os.path.join(name, "config.json")):
        raise ConfigError(f"--config={name} is the workdir of a run, and {RULE}: {_go_on(name)}")
    if os.path.isdir(name):
        raise ConfigError(f"--config={name} is a folder, and {RULE}: {FIX}")


def check_record(file: str) -> None:
    """The config.json of a workdir is a record of values, without their reasons, and is never run."""
    if file.endswith(".json"):
        raise ConfigError(
            f"--config={file} is JSON, and {RULE}; the config.json of a workdir only records the values of a run: "
            f"{_go_on(os.path.dirname(file) or '.')}"
        )


def check_text(file: str, content: bytes) -> None:
    """A config is text with something in it."""
    if not content.strip():
        raise ConfigError(f"--config={file} is empty, and {RULE}: {FIX}")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:
        raise ConfigError(f"--config={file} is binary, or text that is not UTF-8, and {RULE}: {FIX}")


# --- inside -----------------------------------------------------------------------------------------------------------


def _about_syntax(file: str, error: Exception) -> str:
    line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
    what = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
    if not file.endswith(".py"):
        return f"--config={file} is no Python file ({line}{what}), and {RULE}: {FIX}"
    return f"{file}, {line}SyntaxError: {what}; correct this line"


def _go_on(workdir: str) -> str:
    return f"to go on with that run, give the --config that it was started with, and --workdir={workdir}"
