"""Pages of the API, from the sources: a page for each package, with the signatures and docstrings of public names.

The sources are parsed and not imported, so the build needs neither jax nor time. Docstrings are rendered by
docstrings.py: extensions that read docstrings know the styles of Google and numpy, and ours is neither.
"""

import ast
import html
import inspect
from pathlib import Path

import docstrings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "ternary_jax"
WIDTH = 88  # characters of a signature on one line
Function = ast.FunctionDef | ast.AsyncFunctionDef


def packages() -> dict[str, list[Path]]:
    """{package: its files}, the top level first, each in the order of their names."""
    found: dict[str, list[Path]] = {PACKAGE: []}
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        found.setdefault(".".join(file.parent.relative_to(ROOT).parts), []).append(file)
    return dict(sorted(found.items()))


def page(name: str, files: list[Path]) -> str:
    """The Markdown of a page."""
    return "\n\n".join([f"# {name}", *(part for file in files for part in module(file))])


def module(file: Path) -> list[str]:
    """The parts of a module: its name, its docstring, and those of its public classes and functions."""
    source = file.read_text()
    tree = ast.parse(source)
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    parts = [f"## {name} {{ #{name} }}"] if file.stem != "__init__" else []
    parts.append(docstrings.html_of(ast.get_docstring(tree) or "", of_module=True))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            parts += [f"### {node.name} {{ #{name}.{node.name} }}", *described(node, source)]
    return parts


def described(node: ast.ClassDef | Function, source: str) -> list[str]:
    """The signature and the docstring of a class or a function, and the public methods of a class."""
    doc = docstrings.html_of(inspect.cleandoc(ast.get_docstring(node) or ""))
    if not isinstance(node, ast.ClassDef):
        return [code(signature(node)), doc]
    bases = ", ".join(map(ast.unparse, node.bases))
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    lines += [source.splitlines()[one.lineno - 1] for one in node.body if isinstance(one, ast.AnnAssign)]
    parts = [code("\n".join(lines)), doc]
    for one in node.body:
        if isinstance(one, Function) and not one.name.startswith("_"):
            parts += [code(f"{node.name}.{signature(one)}"), docstrings.html_of(ast.get_docstring(one) or "")]
    return parts


def signature(node: Function) -> str:
    """NAME(PARAMETERS) -> RESULT, with a line for each parameter where one line is too short."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= WIDTH:
        return line
    tree = node.args
    given = [*tree.posonlyargs, *tree.args]
    defaults = [None] * (len(given) - len(tree.defaults)) + [*tree.defaults]
    parts = [_argument(arg, value) for arg, value in zip(given, defaults, strict=True)]
    if tree.vararg:
        parts.append(f"*{ast.unparse(tree.vararg)}")
    elif tree.kwonlyargs:
        parts.append("*")
    parts += [_argument(arg, value) for arg, value in zip(tree.kwonlyargs, tree.kw_defaults, strict=True)]
    parts += [f"**{ast.unparse(tree.kwarg)}"] if tree.kwarg else []
    return "\n".join([f"{node.name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _argument(arg: ast.arg, value: ast.expr | None) -> str:
    if value is None:
        return ast.unparse(arg)
    return f"{ast.unparse(arg)} = {ast.unparse(value)}" if arg.annotation else f"{arg.arg}={ast.unparse(value)}"


def code(text: str) -> str:
    """A block of code, as one element of HTML."""
    return f'<pre class="signature"><code>{html.escape(text)}</code></pre>'
