"""The comments of a config file by dotted key: each is beside an assignment, or alone on the lines directly above it.

The file is parsed and not run: a comment is no part of a program. Names that stand for a group are followed, such as
`losses = config.losses`, a loop over two groups, and a group that is made apart and assigned to two keys.
"""

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ANY = "*"  # the part of a key that a loop over names fills in: config.rates[group] is rates.*


class Comments(NamedTuple):
    """The comments of a source. beside: at the end of a line of code; alone: on a line without code; by line number."""

    beside: dict[int, str]
    alone: dict[int, str]


def of_keys(source: bytes) -> dict[str, str]:
    """{dotted key: comment} of the assignments in all functions of a config file; "" where there is no comment."""
    found, comments = {}, _comments(source)
    for function in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]:
        names = {"config": [""]} | {name: [""] for name in _returned(function)}
        for path, comment in _in_block(function.body, names, comments):
            found[path] = found.get(path) or comment
    return {path: comment for path, comment in found.items() if not path.startswith("<")}


# --- inside -----------------------------------------------------------------------------------------------------------


def _comments(source: bytes) -> Comments:
    comments, lines = Comments({}, {}), source.splitlines()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            kind = comments.alone if lines[token.start[0] - 1].lstrip().startswith(b"#") else comments.beside
            kind[token.start[0]] = token.string.lstrip("# ").rstrip()
    return comments


def _returned(function: ast.FunctionDef) -> set[str]:
    """The names that the function returns: `config` of `return config` and of `return config.lock()`."""
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return {node.id for value in values if value for node in ast.walk(value) if isinstance(node, ast.Name)}


def _in_block(block: Iterable[ast.stmt], names: dict[str, list[str]], comments: Comments) -> Iterator[tuple[str, str]]:
    """(key, comment) of every assignment in the statements. names: the keys that a local name stands for."""
    notes: list[tuple[str, str]] = []
    for node in block:
        new = []
        if isinstance(node, ast.Assign):
            new = [*_of_assignment(node, names, comments, notes)]
        elif isinstance(node, ast.For | ast.If | ast.With):
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                groups = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List) else []
                names[node.target.id] = [path for group in groups for path in _paths(group, names)]
            new = [*_in_block([*node.body, *getattr(node, "orelse", [])], names, comments)]
        notes += new
        yield from new


def _of_assignment(
    node: ast.Assign, names: dict[str, list[str]], comments: Comments, notes: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """(key, comment) of one assignment, of the members of a group that it makes, and of a group that it copies."""
    comment, targets = _comment(node, comments), []
    for target in node.targets:
        targets += target.elts if isinstance(target, ast.Tuple) else [target]
    paths = [path for target in targets if not isinstance(target, ast.Name) for path in _paths(target, names)]
    for target in targets:
        if isinstance(target, ast.Name) and names.get(target.id) != [""]:
            names[target.id] = paths or _paths(node.value, names) or [f"<{target.id}>"]
            paths = paths or names[target.id]
    used = [name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)]
    copied = [root for name in used for root in names.get(name, []) if root.startswith("<")]
    for path in paths:
        yield path, comment
        yield from ((f"{path}.{member}", comment) for member in _members(node.value))
        for root in copied:
            yield from ((path + key[len(root) :], text) for key, text in notes if key.startswith(f"{root}."))


def _comment(node: ast.stmt, comments: Comments) -> str:
    """The comment beside the statement; else the lines of comments that end directly above it."""
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    if beside := [comments.beside[line] for line in lines if line in comments.beside]:
        return " ".join(beside)
    first = node.lineno
    while first - 1 in comments.alone:
        first -= 1
    return " ".join(comments.alone[line] for line in range(first, node.lineno))


def _paths(node: ast.expr, names: dict[str, list[str]]) -> list[str]:
    """The dotted keys that an expression such as config.model.A stands for; [] for any other expression."""
    if isinstance(node, ast.Name):
        return names.get(node.id, [])
    if isinstance(node, ast.Attribute):
        last = node.attr
    elif isinstance(node, ast.Subscript):
        last = node.slice.value if isinstance(node.slice, ast.Constant) else ANY
    else:
        return []
    return [f"{path}.{last}" if path else str(last) for path in _paths(node.value, names)]


def _members(value: ast.expr) -> Iterator[str]:
    """The dotted names in the dicts of a group: `on` and `weight` of ConfigDict(dict(on="none", weight=1.0))."""
    if isinstance(value, ast.BinOp):
        yield from (*_members(value.left), *_members(value.right))
    elif isinstance(value, ast.Dict):
        for key, inner in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value)
                yield from (f"{key.value}.{member}" for member in _members(inner))
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("dict", "ConfigDict"):
        for inner in value.args:
            yield from _members(inner)
        for keyword in value.keywords:
            if keyword.arg:
                yield keyword.arg
                yield from (f"{keyword.arg}.{member}" for member in _members(keyword.value))
