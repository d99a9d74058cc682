"""Runs notebooks without a kernel, all in one process: `python tests/notebook_cells.py FILE...`.

A cell is run after the other in a new module named __main__, as in a kernel. The value of the last expression of a cell
is shown as a notebook shows it: a picture as a PNG file NOTEBOOK_CELL.png in the current folder, any other as text.
"""

import ast
import os
import re
import sys
import time
import types
from pathlib import Path
from typing import Any, NamedTuple

# Most of the time of a small training is compiling, so it is done with as little optimisation as in the fast tier.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
QUICK += " --xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false"
MARK = re.compile(r"# %%( \[markdown\])?\n")


class Cell(NamedTuple):
    """A cell of a script in the percent format. line: the number of its first line, from 0."""

    markdown: bool
    line: int
    source: str


def cells(file: Path) -> list[Cell]:
    """The cells of a notebook; a ValueError for anything above the first."""
    found: list[Cell] = []
    for number, line in enumerate(file.read_text().splitlines(keepends=True)):
        if mark := MARK.fullmatch(line):
            found.append(Cell(bool(mark[1]), number + 1, ""))
        elif found:
            found[-1] = found[-1]._replace(source=found[-1].source + line)
        else:
            raise ValueError(f"{file.name} has to begin with a mark of a cell, and begins with {line!r}")
    return found


def run(file: Path) -> None:
    """Run the code cells of a notebook, and show what each ends with."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    for number, cell in enumerate(cells(file)):
        if cell.markdown:
            continue
        tree = ast.increment_lineno(ast.parse(cell.source), cell.line)
        *_, last = [None, *tree.body]
        shown = tree.body.pop() if isinstance(last, ast.Expr) else None
        exec(compile(tree, file, "exec"), module.__dict__)
        if isinstance(shown, ast.Expr):
            _show(eval(compile(ast.Expression(shown.value), file, "eval"), module.__dict__), f"{file.stem}_{number:02}")


def _show(value: Any, name: str) -> None:
    if hasattr(value, "_repr_png_"):
        Path(f"{name}.png").write_bytes(value._repr_png_())
    elif value is not None:
        print(repr(value))


def _compile_quickly() -> None:
    """Set the flags of XLA, before jax is imported, and those of the program of a run."""
    os.environ.setdefault("XLA_FLAGS", QUICK)
    from ternary_jax.engine import compiling

    compiling.CHUNK_COMPILER_OPTIONS["xla_backend_optimization_level"] = 0


if __name__ == "__main__":
    _compile_quickly()
    for one in map(Path, sys.argv[1:]):
        begun = time.process_time()
        print(f"== {one.name}", flush=True)
        run(one)
        print(f"== {one.name}: {time.process_time() - begun:.1f} s of CPU", flush=True)
