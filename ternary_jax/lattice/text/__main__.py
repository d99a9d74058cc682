"""Prepare pairs of texts, or of vectors, for the lattices.

    python -m ternary_jax.lattice.text prepare                          how to get a teacher and two corpora
    python -m ternary_jax.lattice.text prepare --corpus=wiki --out=wiki.npz
    python -m ternary_jax.lattice.text prepare --teacher=DIR --pairs=FILE --left=question --right=answer --out=FILE.npz
    python -m ternary_jax.lattice.text prepare --pairs=vectors.npz --out=FILE.npz

`prepare` encodes both sides by the teacher, splits the pairs by the hash of their groups into training, validation and
test pairs, centres the vectors by the means of the training pairs, and projects them on a face. --pairs takes JSONL,
CSV or Parquet with two columns of texts and perhaps one of groups; or vectors of any width: npz, safetensors or
Parquet. What is encoded is kept in a folder beside the output, so a stopped preparation goes on when the same command
is typed again, and another face takes seconds. --corpus takes the teacher and the pairs of an installed data package:
wiki (a first sentence of an article -> the second one) or boolq (a question -> the passage that answers it).

Train on the file with: python -m ternary_jax.main --config=energy_flow_text:wiki --config.data.pairs=FILE.npz
That is for a face of 15x15; the command prints the one for its face.

Exit status: 0; 2 for a wrong argument or file, with a sentence on the fix; 130 after Ctrl-C.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ternary_jax import command_line, terminal
from ternary_jax.errors import INTERRUPTED, ConfigError, RunError
from ternary_jax.lattice.text import plan

DEFAULTS = plan.Plan("")._asdict()
LIMITS = {"wiki": 5000, "boolq": 8000}  # distinct right sides; the levels on file are of these


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        command_line.fail(f"{message}; type: python -m ternary_jax.lattice.text --help")

    def print_help(self, file: Any = None) -> None:
        command_line.show(self.format_help().rstrip())


def parser() -> argparse.ArgumentParser:
    """The flags. A flag that is not given is None, so that one that does not apply is refused; see plan.Plan."""
    width, height = DEFAULTS["face"]
    limits = ", ".join(f"{corpus} {limit:,}" for corpus, limit in LIMITS.items())
    made = _Parser(
        "python -m ternary_jax.lattice.text", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("command", choices=["prepare"])
    made.add_argument("--corpus", choices=[*LIMITS], help="pairs and teacher of installed packages")
    made.add_argument("--teacher", metavar="DIR", help="a folder of sentence-transformers, or a name on the hub")
    made.add_argument("--pairs", metavar="FILE", type=Path, help="jsonl, csv, parquet, npz or safetensors")
    made.add_argument("--out", metavar="FILE", type=Path, help="the npz file to write")
    made.add_argument("--left", help="column or array of the inputs (default: left)")
    made.add_argument("--right", help="column or array of the targets (default: right)")
    made.add_argument("--group", help="column or array of groups (default: pairs with the same left side are one)")
    made.add_argument("--face", help=f"WIDTHxHEIGHT in cells (default: {width}x{height})")
    made.add_argument(
        "--projection", dest="kind", choices=plan.KINDS, help=f"on the face (default: {DEFAULTS['kind']})"
    )
    made.add_argument(
        "--inputs",
        choices=plan.INPUTS,
        help="vectors of the left sides: the mean of the embeddings of their tokens, or the encoder's (default: "
        f"{DEFAULTS['inputs']})",
    )
    made.add_argument(
        "--longest", type=int, help=f"tokens of a text; a longer one is cut (default: {DEFAULTS['longest']})"
    )
    made.add_argument(
        "--limit",
        type=int,
        help=f"distinct targets, of the first groups; 0: all (default: {limits}, else {DEFAULTS['limit']})",
    )
    made.add_argument(
        "--test", type=int, help=f"test pairs (default: a quarter of the groups, and {plan.LARGEST_TEST:,} at most)"
    )
    made.add_argument("--folder", type=Path, help="what is encoded (default: encoded_texts beside the output)")
    made.add_argument("--small", action="store_true", help="vectors as bytes, compressed, and no texts")
    return made


def main(argv: Sequence[str]) -> None:
    """Parse, prepare and write; print what was made."""
    given = parser().parse_args(argv)
    if not _flags(given):
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
    """Prepare what the flags ask for, and write it; -> what was made, and the command that trains on it."""
    _check(given)
    values: dict[str, Any] = {name: value for name, value in _flags(given).items() if name in DEFAULTS} | {
        "face": _face(given)
    }
    from ternary_jax.lattice.text import corpora, prepare, prepared, weights
    from ternary_jax.lattice.text import pairs as pairs_of_file

    if given.corpus:
        pairs, folder = corpora.read(given.corpus), given.teacher or corpora.find(corpora.TEACHER).parent
    else:
        columns = pairs_of_file.Columns(given.left or "left", given.right or "right", given.group or "")
        pairs, folder = pairs_of_file.read(given.pairs, columns), given.teacher
        if not isinstance(pairs.left, list):
            _refuse(given, ("teacher", "inputs", "longest"), "the pairs are vectors already")
    own: dict[str, Any] = {
        "name": _name(given),
        "limit": LIMITS.get(given.corpus, DEFAULTS["limit"]),
    }
    teacher = weights.load(folder) if folder else None
    kept = given.folder or given.out.parent / "encoded_texts"
    made = prepare.prepare(pairs, plan.Plan(**own | values), teacher, kept)
    prepared.write(given.out, made, given.small)
    terminal.say(f"wrote {given.out}")
    return f"{prepare.summary(made)}\ntrain on it with: {training(given.out, values['face'], given.corpus)}"


def training(file: Path, face: tuple[int, int], corpus: str | None) -> str:
    """The command that trains on a prepared file with this face."""
    sides = {(15, 15): "", (20, 20): "_20"}  # the lattices that configs/energy_flow_text.py has for these corpora
    words = [*command_line.program(), f"--config=energy_flow_text:{corpus or 'wiki'}{sides.get(face, '')}"]
    words.append(f"--config.data.pairs={file}")
    if face not in sides:
        words += [f"--config.lattice.width={face[0]}", f"--config.lattice.height={face[1]}"]
    return shlex.join(words)


def _name(given: argparse.Namespace) -> str:
    """The stem of the file, or the corpus. A limit that is not the default is added, as its results are others."""
    if not given.corpus:
        return given.pairs.stem
    own = given.limit is not None and given.limit != LIMITS[given.corpus]
    return given.corpus + (f"_first_{given.limit}" if given.limit else "_all") * own


def _flags(given: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given."""
    flags = {name: value for name, value in vars(given).items() if name != "command"}
    return {name: value for name, value in flags.items() if value is not None and value is not False}


def _refuse(given: argparse.Namespace, names: Sequence[str], reason: str) -> None:
    """Raise a ConfigError if one of these flags is given."""
    for name in names:
        if name in _flags(given):
            raise ConfigError(f"--{name} is given, and {reason}: leave it out")


def _check(given: argparse.Namespace) -> None:
    """Raise a ConfigError where flags do not fit each other."""
    if given.corpus and given.pairs:
        raise ConfigError("--corpus and --pairs are both given: leave one of them out")
    if not given.corpus and not given.pairs:
        raise ConfigError(
            "--corpus and --pairs are both missing: give one of them, or type python -m ternary_jax.lattice.text "
            "prepare alone, which prints how to get a teacher and two corpora"
        )
    if given.corpus:
        _refuse(given, ("left", "right", "group"), f"--corpus={given.corpus} has its own columns")
    if given.out is None or given.out.suffix != ".npz":
        raise ConfigError(f"--out={given.out or ''} has to be a file that ends with .npz: give one")
    if given.pairs and given.out.resolve() == given.pairs.resolve():
        raise ConfigError(f"--out={given.out} is the file of --pairs, and would replace it: give another name")
    for name, least in (("longest", 3), ("limit", 0), ("test", 0)):
        if (value := getattr(given, name)) is not None and value < least:
            raise ConfigError(f"--{name}={value} has to be {least} or more: give such a number")


def _face(given: argparse.Namespace) -> tuple[int, int]:
    """The width and the height that --face gives, or the default."""
    if given.face is None:
        return DEFAULTS["face"]
    sides = re.fullmatch(r"(\d+)x(\d+)", given.face, re.ASCII)
    if not sides or not all(2 <= int(side) <= 256 for side in sides.groups()):
        raise ConfigError(f"--face={given.face} has to be WIDTHxHEIGHT, with 2 to 256 cells each: give one like 15x15")
    return int(sides[1]), int(sides[2])


if __name__ == "__main__":
    main(sys.argv[1:])
