"""Prepare pairs of texts, or of vectors, for the lattices.

    python -m ternary_jax.lattice.text prepare                          how to get a teacher and two corpora
    python -m ternary_jax.lattice.text prepare --corpus=wiki --out=wiki.npz
    python -m ternary_jax.lattice.text prepare --teacher=DIR --pairs=FILE --left=question --right=answer --out=FILE.npz
    python -m ternary_jax.lattice.text prepare --pairs=vectors.npz --out=FILE.npz

`prepare` encodes both sides by the teacher, splits the pairs by the hash of their groups, centres the vectors by the
means of the training pairs, and projects them on a face. --pairs takes JSONL, CSV or Parquet with two columns of texts
and perhaps one of groups; or vectors of any width: npz, safetensors or Parquet. What is encoded is kept in a folder
beside the output, so a stopped preparation goes on when the same command is typed again, and another face takes
seconds. --corpus takes the teacher and the pairs of an installed data package: wiki (a first sentence of an article ->
the second one) or boolq (a question -> the passage that answers it).

Train on the file with: python -m ternary_jax.main --config=energy_flow_text --config.data.pairs=FILE.npz

Exit status: 0; 2 for a wrong argument or file, with a sentence on the fix; 130 after Ctrl-C.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ternary_jax import command_line, terminal
from ternary_jax.errors import INTERRUPTED, ConfigError, RunError

LIMITS = {"wiki": 5000, "boolq": 8000}  # distinct right sides; the levels on file are of these


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; type: python -m ternary_jax.lattice.text --help")

    def print_help(self, file: Any = None) -> None:
        command_line.show(self.format_help().rstrip())


def parser() -> argparse.ArgumentParser:
    """The flags; the values that say nothing are defaults of prepare.Plan."""
    made = _Parser(
        "python -m ternary_jax.lattice.text", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("command", choices=["prepare"])
    made.add_argument("--corpus", choices=[*LIMITS], help="pairs and teacher of installed packages")
    made.add_argument("--teacher", metavar="DIR", help="a folder of sentence-transformers, or a name on the hub")
    made.add_argument("--pairs", metavar="FILE", type=Path, help="jsonl, csv, parquet, npz or safetensors")
    made.add_argument("--out", metavar="FILE", type=Path, help="the npz file to write")
    made.add_argument("--left", default="left", help="column or array of the inputs (default: left)")
    made.add_argument("--right", default="right", help="column or array of the targets (default: right)")
    made.add_argument("--group", default="", help="column or array of groups (default: each left side is one)")
    made.add_argument("--face", default="15x15", help="WIDTHxHEIGHT in cells (default: 15x15)")
    made.add_argument("--projection", default="pca", choices=["pca", "orthogonal"], help="on the face (default: pca)")
    made.add_argument(
        "--inputs",
        default="words",
        choices=["words", "meaning"],
        help="vectors of the left sides: the mean of the embeddings of their tokens, or the encoder's (default: words)",
    )
    made.add_argument("--longest", type=int, default=48, help="tokens of a text; a longer one is cut (default: 48)")
    made.add_argument(
        "--limit", type=int, help="distinct targets, of the first groups; 0: all (default: wiki 5000, boolq 8000, 0)"
    )
    made.add_argument(
        "--test", type=int, default=0, help="pairs to judge by (default: a quarter of the groups, <= 1000)"
    )
    made.add_argument("--folder", type=Path, help="what is encoded (default: encoded_texts beside the output)")
    made.add_argument("--small", action="store_true", help="vectors as bytes, compressed, and no texts")
    return made


def main(argv: Sequence[str]) -> None:
    """Parse, prepare and write; print what was made."""
    given = parser().parse_args(argv)
    if given.corpus is None and given.pairs is None:
        from ternary_jax.lattice.text import corpora

        command_line.show(corpora.instructions())
        return
    try:
        text = prepared(given)
    except (ConfigError, RunError) as e:
        command_line.fail(str(e))
    except KeyboardInterrupt:
        command_line.fail("interrupted; what was encoded is kept: type the same command to go on", INTERRUPTED)
    command_line.show(text)


def prepared(given: argparse.Namespace) -> str:
    """Prepare what the flags ask for, and write it; -> what was made."""
    face = _checked(given)
    from ternary_jax.lattice.text import corpora, prepare, prepared, weights
    from ternary_jax.lattice.text import pairs as pairs_of_file

    if given.corpus:
        pairs, folder = corpora.read(given.corpus), given.teacher or corpora.find(corpora.TEACHER).parent
    else:
        columns = pairs_of_file.Columns(given.left, given.right, given.group)
        pairs, folder = pairs_of_file.read(given.pairs, columns), given.teacher
    plan = prepare.Plan(
        name=given.corpus or given.pairs.stem,
        face=face,
        kind=given.projection,
        inputs=given.inputs,
        longest=given.longest,
        limit=LIMITS.get(given.corpus, 0) if given.limit is None else given.limit,
        test=given.test,
    )
    teacher = weights.load(folder) if folder else None
    made = prepare.prepare(pairs, plan, teacher, given.folder or given.out.parent / "encoded_texts")
    prepared.write(given.out, made._replace(texts=([], [])) if given.small else made, given.small)
    terminal.say(f"wrote {given.out}")
    return prepare.summary(made)


def _checked(given: argparse.Namespace) -> tuple[int, int]:
    """The face; a ConfigError where flags do not fit each other."""
    if given.corpus and given.pairs:
        raise ConfigError("--corpus and --pairs are both given: leave one of them out")
    if given.out is None or given.out.suffix != ".npz":
        raise ConfigError(f"--out={given.out or ''} has to be a file that ends with .npz: give one")
    if given.pairs and given.out.resolve() == given.pairs.resolve():
        raise ConfigError(f"--out={given.out} is the file of --pairs, and would replace it: give another name")
    sides = re.fullmatch(r"(\d+)x(\d+)", given.face)
    if not sides or not all(2 <= int(side) <= 256 for side in sides.groups()):
        raise ConfigError(f"--face={given.face} has to be WIDTHxHEIGHT, with 2 to 256 cells each: give one like 15x15")
    for name, least in (("longest", 3), ("limit", 0), ("test", 0)):
        if (value := getattr(given, name)) is not None and value < least:
            raise ConfigError(f"--{name}={value} has to be {least} or more: give such a number")
    return int(sides[1]), int(sides[2])


if __name__ == "__main__":
    main(sys.argv[1:])
