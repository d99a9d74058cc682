"""The Python blocks of docs/ run, as their pages have them, on small settings; test_readme.py runs those of README.

So do the dry runs of docs/ that only trace a program.
"""

import re
import shlex
from pathlib import Path

import documents
import pytest
import small
import small_workdir
import test_readme

from ternary_jax import main
from ternary_jax.config import load_config
from ternary_jax.engine import host
from ternary_jax.lattice.text import data, prepared
from ternary_jax.workdir import exports

pytestmark = pytest.mark.slow


def untrained(path):
    """model.md asks a model of nine digits."""
    path.parent.mkdir()
    small_workdir.write(path, small.config(data__n_digits=9))


def texts(path):
    """text.md reads a corpus with its texts, and the vectors that a run exports: here its own targets."""
    corpus, outputs = prepared.read(data.FIXTURE), {"outputs": prepared.read(data.FIXTURE).right}
    sides = (corpus.left, corpus.right)
    prepared.write(Path("wiki.npz"), corpus._replace(texts=tuple([str(k) for k in range(len(x))] for x in sides)))
    untrained(path)
    exports.write(path, 0, outputs)


def trained(path):
    """pictures.md draws a training."""
    host.run(load_config("smoke", test_readme.TINY | test_readme.SMALL), path)


BEFORE = {
    "model.md": (untrained, "runs/first"),
    "pictures.md": (trained, "runs/first"),
    "text.md": (texts, "runs/wiki"),
}
INSTEAD = {
    "performance.md": (
        r'"v5_12", (\{.*), "profile.steps": "1872:2340"\}',
        r'"smoke", TINY | SMALL | \1, "profile.steps": "2:4"}',
    )
}


@pytest.mark.parametrize(
    "page",
    [page for page in documents.WRITTEN if documents.fenced(page, "python")][1:],
    ids=lambda page: page.name,
)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch, compiled_soon):
    monkeypatch.chdir(tmp_path)
    if page.name in BEFORE:
        make, place = BEFORE[page.name]
        make(tmp_path / place)
    code = "\n".join(documents.fenced(page, "python"))
    if page.name in INSTEAD:
        code, number = re.subn(*INSTEAD[page.name], code)
        assert number == 1, f"{page.name} has no longer what this test makes shorter"
    exec(compile(code, page.name, "exec"), {"TINY": test_readme.TINY, "SMALL": test_readme.SMALL})


def dry_runs():
    found = {shlex.join(words) for page in documents.WRITTEN for words in documents.commands(page)}
    return sorted(one for one in found if one.endswith("--dry-run"))


@pytest.mark.parametrize("command", dry_runs())
def test_dry_runs_print_the_size_of_a_training(command, capsys):
    main.main(shlex.split(command)[3:])
    assert "parameters" in capsys.readouterr().out
