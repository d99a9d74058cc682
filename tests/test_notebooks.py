"""notebooks/: every cell of every notebook runs, and none of them trains by itself."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import notebook_cells
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
OWN_TASK = FOLDER / "3_own_task.py"  # the one that defines a task
PICTURES = {"1": 2, "2": 2, "3": 2, "4": 2, "5": 3, "6": 3, "7": 1, "8": 3}  # that its cells end with


def code(file: Path) -> ast.Module:
    return ast.parse("".join(cell.source for cell in notebook_cells.cells(file) if not cell.markdown))


def names(tree: ast.AST) -> set[str]:
    """All names that code uses: of variables, attributes and imported modules."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {part for one in node.names for part in one.name.split(".")}
            found |= {*(getattr(node, "module", None) or "").split(".")}
        elif isinstance(node, ast.Name | ast.Attribute):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_calls_the_library_and_reports_what_it_computes(file):
    cells, tree = notebook_cells.cells(file), code(file)
    assert not names(tree) & {"grad", "value_and_grad", "vjp", "jvp", "optax", "flax", "linen", "Module", "make_train"}
    if file != OWN_TASK:
        assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    told = "".join(cell.source for cell in cells if cell.markdown)
    assert re.match(r"# # \w.*\n#\n# \*\*Question\.\*\* .*\?", told)
    assert "## What to try next" in told
    assert "](../docs/" in told
    figures = re.findall(r"\d+\.\d", re.sub(r"`[^`]*`|\[v[^]]*\]", "", told))  # but for code and names of configs
    assert not figures, "a figure that no cell computes is untrue at another size"
    assert not [cell.line for cell in cells if len(cell.source.splitlines()) > 60]


def test_every_notebook_is_listed_and_none_has_outputs():
    assert len(NOTEBOOKS) == 8
    listed = re.findall(r"^\| \[(\S+)\]\(\1\)", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert listed == [file.name for file in NOTEBOOKS]
    assert "*.ipynb" in (ROOT / ".gitignore").read_text().splitlines()  # copies with outputs are built


def test_pages_that_a_notebook_names_exist():
    for file in [*NOTEBOOKS, FOLDER / "README.md"]:
        for path, anchor in re.findall(r"\]\(([^)#\s]+\.(?:md|py))(?:#([\w-]+))?\)", file.read_text()):
            assert (FOLDER / path).is_file(), f"{file.name} links to {path}"
            headings = re.findall(r"^#+ (.*)$", (FOLDER / path).read_text(), re.MULTILINE)
            assert not anchor or anchor in {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }, f"{file.name} links to {path}#{anchor}"


@pytest.mark.slow
def test_every_cell_of_every_notebook_runs(tmp_path):
    """In one process, as importing and compiling are most of the time; in another one, with the settings of a user."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NOTEBOOK_SIZE": "small", "MPLBACKEND": "agg", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(Path(notebook_cells.__file__)), *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=900)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert not re.findall(r".*(?<!t_fit )(?<!t_gen )\bnan\b.*", done.stdout)  # these are times that never came
    drawn = [file.name.partition("_")[0] for file in tmp_path.glob("*.png") if file.stat().st_size > 5000]
    assert {number: drawn.count(number) for number in sorted(set(drawn))} == PICTURES
