"""docs/results.md and the table of README.md, from results/*.json: `python experiments/lab.py results`.

Each result file has one entry in SECTIONS: what it answers, the command that wrote it, and a function from its content
to the rows of a table. A file without an entry is an error, so no result is left out. Those of the ablations say all of
this themselves, and are on docs/ablations.md. It imports no jax.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import lab_ablation_results as ablations
from lab_result_rows import FIGURES, Row
from lab_result_sections import SECTIONS, Section

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- results: written by `python experiments/lab.py results` -->"
END = "<!-- end of results -->"


class ResultError(Exception):
    """A result file without a declaration, or a README without its markers."""


def read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """Every result file but those of ablations, by name.

    An error names a file without a declaration, or a declaration without a file.
    """
    files = [file for file in sorted(folder.glob("*.json")) if file.stem not in ablations.FILES]
    found = {file.stem: json.loads(file.read_text()) for file in files}
    if unknown := found.keys() - SECTIONS.keys():
        raise ResultError(
            f"results/{min(unknown)}.json has no declaration: add it to SECTIONS in experiments/lab_result_sections.py"
        )
    if missing := SECTIONS.keys() - found.keys():
        name = min(missing)
        raise ResultError(f"results/{name}.json is missing: run `{command(SECTIONS[name])}`, or remove its declaration")
    return found


def command(section: Section) -> str:
    """The command line that writes the result file."""
    return f"python experiments/{section.command}"


def markdown(lines: Iterable[Row]) -> str:
    """A table of GitHub's Markdown."""
    head, *rest = lines
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rest))


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of docs/results.md."""
    parts = [
        "# Results",
        "This page is written by `python experiments/lab.py results` from `results/*.json`: change no figure by hand. "
        "Times are of two shared CPU cores and vary by a fifth. Words are explained in [README](../README.md).",
    ]
    for name, section in SECTIONS.items():
        commit = found[name].get("commit") or found[name].get("tune", {}).get(
            "commit"
        )  # a file of parts has one a part
        made = f"`{command(section)}`, [{name}.json](../results/{name}.json)"
        made += (
            f", commit {commit[:7]}{' with changes' * commit.endswith('-dirty')}" if commit else ", commit not recorded"
        )
        parts += [f"## {section.title}", f"{made}. {section.note}".strip(), markdown(section.rows(found[name]))]
    return "\n\n".join(parts) + "\n"


def readme_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of README: the median of branch B over the seeds of each config, and its ceiling."""
    lines: list[Row] = [["config, seeds", "coverage", "hierarchy", "richness", "triplets", "seconds", "command"]]
    for name in ("seeds_v5_12", "seeds_v5_12_rich", "seeds_v5_10", "seeds_v5_12_4"):
        runs = found[name]["runs"]
        cells = [few(median(run[key] for run in runs)) for key in FIGURES[:4]]
        seconds = f"{median(run['whole_s'] for run in runs):.0f}"
        label = f"`{found[name]['config']}`, {len(runs)}"
        lines.append([label, *cells, seconds, f"`{SECTIONS[name].command}`"])
    for name in ("homeostatic_rich", "hierarchy_focused"):
        one = found["variants"]["variants"][name]
        values = one["figures"]["B"]
        cells = [few(median(values[key])) for key in FIGURES[:4]]
        lines.append([f"`variants:{name}`, {len(values['q'])}", *cells, "-", "`variants.py --seeds=4`"])
    ceilings = found["variants"]["variants"]["quick"]["ceilings"]
    best = [f"{ceilings[key]:.5g}" for key in FIGURES[:4]]
    return markdown([*lines, ["ceiling", *best, "", "[geometry](docs/geometry.md)"]])


def few(x: float) -> str:
    """A figure in few characters."""
    return f"{x:.1e}" if abs(x) < 1e-4 else f"{x:.5f}"


def with_table(readme: str, table: str) -> str:
    """README with this table between its markers."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ResultError(f"README.md needs one line {BEGIN} and one line {END}, for the table between them")
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: f"{BEGIN}\n{table}\n{END}", readme, flags=re.S)


def pages(root: Path = ROOT) -> dict[Path, str]:
    """The files that are generated, with what they have to hold."""
    found = read_all(root / "results")
    readme, docs = root / "README.md", root / "docs"
    text = with_table(readme.read_text(), readme_table(found))
    ablated = ablations.read_all(root / "results")
    more = {docs / "ablations.md": ablations.page(ablated, "../results/")} if ablated else {}
    return {readme: text, docs / "results.md": page(found), **more}


def write() -> list[Path]:
    """Write the generated files; return those that have changed."""
    changed = [(file, text) for file, text in pages().items() if not file.exists() or file.read_text() != text]
    for file, text in changed:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return [file for file, _ in changed]
