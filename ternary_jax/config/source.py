"""The source of a config file as a syntax tree; a file that is no Python program is a ConfigError that says what it is.

A config is a program, so a wrong file would otherwise end in an error of Python's parser, which speaks of tokens.
"""

import ast
import functools
import io
import os
import stat
import tokenize
from pathlib import Path

from ternary_jax.errors import ConfigError

RULE = "a config is a Python file with get_config()"
FIX = "give one, such as configs/smoke.py, or a packaged name, such as v5_12"
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}  # of files that are no regular files or folders


class FileError(ConfigError):
    """The file that --config names is refused. A config file that has it as a base says `read(NAME)` instead.

    wrong, fix: what is wrong with the file, and the fix
    in_read: the fix in a config file, if it is another one
    """

    def __init__(self, name: str, wrong: str, fix: str, in_read: str = ""):
        sep = "; " if ":" in wrong else ": "
        super().__init__(f"--config={name}{wrong}{sep}{fix}")
        self.about_read = f'read("{name}"){wrong}{sep}{in_read or fix}'


def tree(file: str) -> ast.Module:
    """The syntax tree of a config file."""
    check_record(file)
    content = read_bytes(file)
    check_text(file, content)
    try:
        found = _parsed(content)
    except (SyntaxError, RecursionError, MemoryError) as e:
        raise _of_syntax(file, e) from None
    if not file.endswith(".py") and b"get_config" not in content:  # a line of YAML may be a valid program
        raise FileError(file, f" has no get_config(), and {RULE}", FIX)
    return found


def read_bytes(file: str) -> bytes:
    """The content of the file; a ConfigError where it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as e:
        raise FileError(file, f" cannot be read: {e.strerror}", FIX) from e


def check_kind(name: str) -> None:
    """Refuse a path that is no regular file, and say what is there: a folder, a FIFO, a device, a broken link."""
    if os.path.isfile(os.path.join(name, "config.json")):
        raise FileError(name, f" is the workdir of a run, and {RULE}", _go_on(name))
    if os.path.isdir(name):
        raise FileError(name, f" is a folder, and {RULE}", FIX)
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        if os.path.islink(name):
            gone = f" is a symbolic link to {os.readlink(name)}, which is not there"
            raise FileError(name, gone, "give the file itself, or mend the link") from None
        return
    if kind := KINDS.get(stat.S_IFMT(found.st_mode)):
        raise FileError(name, f" is {kind}, and {RULE}", FIX)


def check_record(file: str) -> None:
    """The config.json of a workdir is a record of values, without their reasons, and is never run."""
    if file.endswith(".json") and os.path.basename(file) != "config.json":
        fix = 'write a Python file, in which get_config() returns read("vae") with these keys changed'
        raise FileError(file, f" is JSON, and {RULE}", fix)
    if file.endswith(".json"):
        wrong = f" is JSON, and {RULE}; the config.json of a workdir only records the values of a run"
        raise FileError(file, wrong, _go_on(os.path.dirname(file) or "."))


def check_text(file: str, content: bytes) -> None:
    """Refuse a config file that is empty, or no text."""
    if not content.strip():
        raise FileError(file, f" is empty, and {RULE}", FIX)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:
        raise FileError(file, f" is binary, or text that is not UTF-8, and {RULE}", FIX)


# --- inside -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(64)
def _parsed(content: bytes) -> ast.Module:
    """The syntax tree, which nobody changes: one reading of a config asks for it four times."""
    return ast.parse(content)


def _of_syntax(file: str, error: Exception) -> ConfigError:
    line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
    what = error.msg if isinstance(error, SyntaxError) else "too deeply nested"
    if not file.endswith(".py"):
        return FileError(file, f" is no Python file ({line}{what}), and {RULE}", FIX)
    return ConfigError(f"{file}, {line}SyntaxError: {what}; correct this line")


def _go_on(workdir: str) -> str:
    return f"to go on with that run, give the --config that it was started with, and --workdir={workdir}"
