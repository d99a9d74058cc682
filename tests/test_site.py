"""The site of docs/ builds without a warning and without a network, and has a place for every public name."""

import inspect
import json
import os
import re
import subprocess
import sys

import documents
import pytest
from documents import ROOT

from ternary_jax.control import gates
from ternary_jax.poincare import operations
from ternary_jax.vae.losses import ranking

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site. A proxy that does not answer stands for a machine without a network."""
    folder = tmp_path_factory.mktemp("site")
    env = os.environ | dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def test_no_page_takes_anything_from_a_server(site):
    loaded = re.compile(r"""(?:src=|<link [^>]*href=|url\()["']?(?:https?:)?//[^"')]*""")
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 40
    assert not {file.name: found for file in files if (found := loaded.findall(file.read_text()))}


def test_every_page_and_public_name_is_there(site):
    found = {entry["location"] for entry in json.loads((site / "search/search_index.json").read_text())["docs"]}
    pages = {"index.html" if page.name == "README.md" else f"{page.stem}.html" for page in documents.PAGES}
    assert pages - {"CONTRIBUTING.html"} | {"start.html", "contributing.html", "changelog.html"} <= found
    for module in (gates, operations, ranking):
        defined = inspect.getmembers(module, lambda x: callable(x) and hasattr(x, "__name__"))
        own = [name for name, x in defined if x.__module__ == module.__name__]
        assert len(own) > 4
        page = (site / f"api/{module.__name__.rpartition('.')[0]}.html").read_text()
        assert [n for n in own if n[0] != "_" and f'id="{module.__name__}.{n}"' not in page] == []


def test_a_docstring_has_its_formula_and_a_row_for_each_field(site):
    page = (site / "api/ternary_jax.vae.losses.html").read_text()
    assert '<p class="formula">max(0, |log length - centre_v| - half)^2, mean over the rows with a band' in page
    assert "<dt><code>half</code></dt><dd>width log(1 / ratio)</dd>" in page
