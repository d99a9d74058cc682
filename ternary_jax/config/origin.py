"""Where in a config file an exception comes from, and its text for a ConfigError."""

import os
from types import TracebackType
from typing import NamedTuple

from ml_collections import ConfigDict

from ternary_jax.config.keys import listed


class Origin(NamedTuple):
    """The last line of a config file in a traceback.

    line: number of the line; 0 where the traceback does not pass through the file
    before, after: text of the expression that raises, and of the rest of its line; "" where they are not known
    callee: what the line called a method of; None for a function
    """

    line: int
    before: str
    after: str
    callee: object


def line(file: str, error: BaseException) -> str:
    """The file, and the number of its line that raises: "mine.py, line 7"; the file alone where no line of it does."""
    number = _origin(file, error).line
    return f"{file}, line {number}" if number else file


def about(file: str, error: BaseException) -> str:
    """The type, the text and the fix of the exception; of a group or key that a config lacks, those that there are."""
    where = _origin(file, error)
    if isinstance(error, AttributeError | KeyError) and isinstance(where.callee, ConfigDict) and where.before:
        group, is_group = where.callee, where.after.lstrip()[:1] in (".", "[")
        names = [name for name in group if isinstance(group[name], ConfigDict) or not is_group]
        kind = "group" if is_group else "key"
        return f"there is no {kind} {where.before}; there are {listed(map(str, names)) or 'none'}"
    fix = "; correct this line" if where.line else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{fix}"


# --- inside -----------------------------------------------------------------------------------------------------------


def _origin(file: str, error: BaseException) -> Origin:
    found, trace = Origin(0, "", "", None), error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == os.path.abspath(file):
            called = trace.tb_next.tb_frame.f_locals.get("self") if trace.tb_next else None
            found = Origin(trace.tb_lineno, *_expression(file, trace), called)
        trace = trace.tb_next
    return found


def _expression(file: str, trace: TracebackType) -> tuple[str, str]:
    """The expression that raises, and the rest of its line; ("", "") where it has several lines."""
    first, last, begin, end = [*trace.tb_frame.f_code.co_positions()][trace.tb_lasti // 2]
    if not first or first != last:
        return "", ""
    with open(file, "rb") as lines:
        code = [*lines][first - 1]
    return code[begin:end].decode(errors="replace"), code[end:].decode(errors="replace")
