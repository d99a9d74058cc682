"""What mkdocs.yml cannot say: files from outside of docs/, and a page of the API for each package.

Pages link to files of the checkout, such as ../README.md and ../results/disc.json, so that the links work on a code
host. In the site these files are beside the pages, and the links are changed to that.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

import api
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()([^)\s#]+)")


def on_config(config: Any) -> Any:
    """Add the pages of the API to the navigation."""
    config.nav.append({"API": [f"api/{name}.md" for name in api.packages()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the files from outside of docs/, and the pages of the API."""
    for name, uri in BESIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    for file in sorted((ROOT / "results").glob("*.*")):
        files.append(File.generated(config, f"results/{file.name}", abs_src_path=str(file)))
    for name, modules in api.packages().items():
        files.append(File.generated(config, f"api/{name}.md", content=api.page(name, modules)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links to files of the checkout into links to where the site has them."""
    uri = page.file.src_uri
    if uri.startswith("api/"):
        return markdown
    folder = "" if uri in BESIDE.values() else "docs"

    def changed(found: re.Match[str]) -> str:
        target = found[2]
        if re.match(r"\w+:", target):
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        return found[1] + BESIDE.get(path, path.removeprefix("docs/"))

    return LINK.sub(changed, markdown)
