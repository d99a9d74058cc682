"""Is there a workdir that makes a reader of it end in a traceback, hang, or write outside of it?

One workdir of configs/smoke.py, small, is trained; each case copies it and damages one to three places: bytes are
flipped, cut, moved or repeated; values of JSON are replaced, deleted or renamed, in a checkpoint's header too, and
numbers of its arrays are, each with the checksum made good; files are exchanged for links, FIFOs and folders. Then
everything that reads a workdir reads it: the analysis, all accesses of `workdir.open`, in every 8th case a model, in
every 16th the figures, and in every 20th, which begins half way, a training that resumes in it.
Each has to succeed or to raise an error of errors.py, in one line, within 10 s (a training, which compiles: 60 s).
The folder beside the workdir, to which links lead, has to stay as it was.

    python experiments/fuzz.py            2,000 cases; writes results/fuzz.json; status 1 and a list if one went wrong
    python experiments/fuzz.py --begin=17 --cases=1      one case again
"""

import contextlib
import faulthandler
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import lab
import numpy as np
from lab_process import SMALL

from ternary_jax import workdir
from ternary_jax.analysis import data, text
from ternary_jax.analysis import figures as drawing
from ternary_jax.config import load_config
from ternary_jax.engine import host
from ternary_jax.errors import ConfigError, RunError, WorkdirError
from ternary_jax.workdir import files

CHANGES = (*SMALL, "train.epochs=8", "evaluate.costly_every=0", "checkpoint.every=2", "compilation_cache=false")
LIMIT_S = 10
# Of a training, which compiles: on a busy machine for more than 10 s, and an exception within jax may crash it.
COMPILE_LIMIT_S = 60
# Values that were once not expected somewhere. A text with an escape sequence, one that leads outside, a deep list.
VALUES = (
    *(None, True, False, 0, -1, 1, 3, 4097, 2**31, 2**63, 10**30, 0.5, -0.5, 1e-300, 1e308, float("nan"), float("inf")),
    *("", "a", "\x1b[2J", "\u202e", "../../outside", "/dev/zero", "$\\frac{", "float32[3]", "object[1]", "x" * 5000),
    *([], {}, [[]], [0], [None], ["a"], {"a": {}}, json.loads("[" * 400 + "]" * 400), list(range(300))),
)
Rng = np.random.Generator


class Trained(NamedTuple):
    """What all cases start from: a finished workdir, the same half way, and their config."""

    finished: Path
    half: Path
    config: Any


class Outcome(NamedTuple):
    """A case. did: the damage; answers: how each reader ended; wrong: what must not be."""

    case: int
    did: list[str]
    answers: list[str]
    wrong: list[str]


def trained(folder: Path) -> Trained:
    """Train the workdir of the cases."""
    config = load_config(lab.ROOT / "configs" / "smoke.py", CHANGES)
    finished, half = folder / "finished", folder / "half"
    with contextlib.redirect_stderr(io.StringIO()):
        host.run(config, finished)
    shutil.copytree(finished, half)
    steps = sorted((half / "checkpoints").iterdir(), key=lambda path: int(path.name))
    shutil.rmtree(steps[-1])
    (half / "summary.json").unlink()
    return Trained(finished, half, config)


# --- damage -----------------------------------------------------------------------------------------------------------


def bytes_changed(data: bytes, rng: Rng) -> tuple[bytes, str]:
    """Flip, cut, move, repeat or overwrite bytes."""
    n = len(data)
    a, b = sorted(int(x) for x in rng.integers(0, n + 1, 2))
    flipped = bytearray(data)
    for at in rng.integers(0, max(n, 1), rng.integers(1, 9)) if n else []:
        flipped[at] ^= 1 << rng.integers(8)
    ways = {
        "bits flipped": bytes(flipped),
        "cut": data[:a],
        "a part left out": data[:a] + data[b:],
        "a part repeated": data[:b] + data[a:],
        "parts swapped": data[b:] + data[a:b] + data[:a],
        "zeros written": data[:a] + bytes(b - a) + data[b:],
        "noise written": data[:a] + rng.bytes(min(b - a, 999)) + data[b:],
        "emptied": b"",
    }
    way = str(rng.choice([*ways]))
    return ways[way], way


def value_changed(value: Any, rng: Rng) -> tuple[Any, str]:
    """A copy of a JSON value with one place replaced, deleted, renamed or exchanged for another one."""
    places = list(places_of(value))
    if not places:
        return VALUES[rng.integers(len(VALUES))], "replaced"
    holder, name = places[rng.integers(len(places))]
    way = str(rng.choice(["replaced", "replaced", "replaced", "deleted", "renamed", "exchanged"]))
    if way == "deleted":
        del holder[name]
    elif way == "renamed" and isinstance(holder, dict):
        holder[str(rng.choice(["", "a", "a/b/c", "../x", "\x1b[2J", "x" * 300]))] = holder.pop(name)
    elif way == "exchanged":
        other, there = places[rng.integers(len(places))]
        holder[name], other[there] = json.loads(json.dumps((other[there], holder[name])))
    else:
        holder[name] = VALUES[rng.integers(len(VALUES))]
    return value, f"{str(name)[:40]} {way}"


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """(object or list, name or index) of all values inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in [*inside]:
        yield value, name
        yield from places_of(each)


def header_changed(value: Any, rng: Rng) -> tuple[Any, str]:
    """The metadata of a checkpoint with another value in our header, and with the checksum of that."""
    own = value["custom_metadata"]
    header, way = value_changed(json.loads(own["header"]), rng)
    own["header"] = json.dumps(header)
    own["header_crc"] = zlib.crc32(own["header"].encode())
    return value, f"header: {way}"


def arrays_changed(folder: Path, rng: Rng) -> str:
    """Change one array of the newest checkpoint, that of the state of stopping more often, and the checksum with it."""
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    meta, file = newest / "_CHECKPOINT_METADATA", newest / "state" / "bytes" / "c" / "0"
    value, data = json.loads(meta.read_text()), bytearray(file.read_bytes())
    leaves = json.loads(value["custom_metadata"]["header"])["leaves"]
    likely = [name for name in leaves if name.startswith("stop/")]
    chosen = str(rng.choice(likely if rng.random() < 0.5 else [*leaves]))
    arrays = {name: np.zeros(json.loads(one[one.index("[") :]), one[: one.index("[")]) for name, one in leaves.items()}
    array, at = arrays[chosen], sum(arrays[name].nbytes for name in [*arrays][: [*arrays].index(chosen)])
    new = rng.choice([-(2**31), -1, 0, 1, 5, 6, 77, 10**6, 2**31 - 1]) if array.dtype.kind in "iu" else rng.normal()
    changed = np.full(array.shape, np.asarray(new).astype(array.dtype), array.dtype).tobytes()
    data[at : at + len(changed)] = changed
    value["custom_metadata"]["crc"] = zlib.crc32(data[:-20])  # without the index at the end
    file.write_bytes(data)
    meta.write_text(json.dumps(value))
    return f"{chosen} is {new}"


def damage(folder: Path, outside: Path, rng: Rng) -> str:
    """Damage one place of a workdir; -> what was done."""
    names = sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    likely = [file for file in names if file.name in ("config.json", "summary.json", "metrics.jsonl")]
    pool = likely if rng.random() < 0.5 and likely else names
    file = pool[rng.integers(len(pool))]
    where, roll = file.relative_to(folder), rng.random()
    if roll < 0.1:
        return f"{where}: {exchanged(file if rng.random() < 0.6 else file.parent, folder, outside, rng)}"
    if roll < 0.7:
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return f"{where}: {json_damaged(file, rng)}"
    data, way = bytes_changed(file.read_bytes(), rng)
    file.write_bytes(data)
    return f"{where}: {way}"


def json_damaged(file: Path, rng: Rng) -> str:
    """Change a value in a file of JSON, or in a line of metrics.jsonl; a ValueError for another file."""
    lines = file.read_text().splitlines() if file.name == "metrics.jsonl" else [file.read_text()]
    at = rng.integers(max(len(lines), 1))
    change = header_changed if file.name == "_CHECKPOINT_METADATA" and rng.random() < 0.7 else value_changed
    value, way = change(json.loads(lines[at]), rng)
    lines[at] = json.dumps(value)
    file.write_text("".join(f"{line}\n" for line in lines))
    return way


def exchanged(path: Path, folder: Path, outside: Path, rng: Rng) -> str:
    """Put something else in the place of a file or a folder, or at the name under which a file is written."""
    if path == folder:
        return "left as it is"
    target = path if rng.random() < 0.7 or path.is_dir() else path.with_name(f"{path.name}.part")
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    way = str(rng.choice(["a link to a file", "a link to a folder", "a link to nothing", "a FIFO", "a folder"]))
    if way == "a FIFO":
        os.mkfifo(target)
    elif way == "a folder":
        target.mkdir()
    else:
        target.symlink_to({"file": outside / "thesis.tex", "folder": outside}.get(way.split()[-1], outside / "new"))
    return f"{target.name} is {way}"


# --- readers ----------------------------------------------------------------------------------------------------------


def analysed(folder: Path, figures: bool) -> str:
    """What `analyze` does: the findings, as data, as text and perhaps as figures."""
    run = workdir.open(folder)
    found = data.analyse(run)
    files.write_json(run.path / "analysis.json", found, infinite="inf")
    text.text(found)
    if figures:
        drawing.draw(found, run.rows(), run.path)
    return "analysed"


def accesses(folder: Path, model: bool) -> Iterator[Callable[[], Any]]:
    """Every access of the public reader."""
    yield lambda: workdir.open(folder).rows()
    yield lambda: workdir.open(folder).rows(0)
    for name in ("summary", "metrics", "criteria"):
        yield lambda name=name: getattr(workdir.open(folder), name)
    yield lambda: workdir.open(folder).checkpoint()
    yield lambda: workdir.open(folder).checkpoint("best")
    yield lambda: workdir.open(folder).embeddings()
    if model:
        yield lambda: workdir.open(folder).model()


def resumed(folder: Path, config: Any) -> str:
    """Train to the end in the workdir."""
    with contextlib.redirect_stderr(io.StringIO()) as err:
        host.run(config, folder)
    if "\x1b" in err.getvalue():
        raise AssertionError("a resumed run prints an escape sequence")
    return "resumed"


def one(case: int, base: Trained, place: Path) -> Outcome:
    """Do the case; it depends on its number alone."""
    rng = np.random.default_rng([case, 16])
    outside, folder = place / "outside", place / "case"
    resume, model = case % 20 == 0, case % 8 == 0
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base.half if resume else base.finished, folder)
    outside.mkdir(exist_ok=True)
    (outside / "thesis.tex").write_text("years of work")
    before = snapshot(place)
    did = [arrays_changed(folder, rng)] if case % 40 == 0 else []  # a good checksum: nothing else keeps it from running
    did = did or [damage(folder, outside, rng) for _ in range(rng.integers(1, 4))]
    reads = [lambda: analysed(folder, case % 16 == 0), *accesses(folder, model)]
    ends = [answered(read, LIMIT_S) for read in reads]
    ends += [answered(lambda: resumed(folder, base.config), COMPILE_LIMIT_S)] if resume else []
    answers, wrong = [answer for answer, _ in ends], [one for _, bad in ends for one in bad]
    wrong += [f"outside: {name}" for name in differing(before, snapshot(place))]
    return Outcome(case, did, answers, wrong)


def answered(read: Callable[[], Any], limit_s: int = LIMIT_S) -> tuple[str, list[str]]:
    """(how a reader ended, what is wrong with that)."""

    def over(*_):
        raise TimeoutError(f"longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(limit_s)
    try:
        found = read()
        return (found if isinstance(found, str) else "read"), []
    except (ConfigError, RunError, WorkdirError) as e:
        return "refused", [f"two lines: {e}"] if "\n" in str(e) else []
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(e.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(e.__traceback__) if "ternary_jax" in f.filename][-1:] or [last]
        return "failed", [f"{type(e).__name__}: {str(e)[:200]} ({Path(ours[0].filename).name}:{ours[0].lineno})"]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def snapshot(place: Path) -> dict[str, Any]:
    """All that is in the folder around the workdir of a case, but for what is in that workdir."""
    found = [path for path in place.rglob("*") if path != place / "case" and place / "case" not in path.parents]
    return {str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in found}


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names that are absent in one of two snapshots, or that have other bytes."""
    return [name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name]]


def main() -> None:
    """Train, then all cases; print what went wrong, and write the counts."""
    parser = lab.parser(__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--begin", type=int, default=0, help="number of the first case")
    given = parser.parse_args()
    counts, wrong, slowest = Counter(), [], 0.0
    jax.config.update("jax_disable_most_optimizations", True)  # the time of a training is that of compiling it
    with tempfile.TemporaryDirectory() as folder:
        base, place = trained(Path(folder)), Path(folder, "place")
        place.mkdir()
        for case in range(given.begin, given.begin + given.cases):
            faulthandler.dump_traceback_later(120, exit=True)  # a hang outside of Python
            begun = time.monotonic()
            done = one(case, base, place)
            slowest = max(slowest, time.monotonic() - begun)
            counts.update(done.answers)
            wrong += [{"case": case, "did": done.did, "wrong": done.wrong}] if done.wrong else []
            for what in done.wrong or (done.did if given.cases == 1 else []):
                print(f"case {case}, {'; '.join(done.did)}: {what}", flush=True)
        faulthandler.cancel_dump_traceback_later()
    print(f"{given.cases - len(wrong)} of {given.cases} cases without a fault; answers: {dict(counts)}")
    found = {"config": {"cases": given.cases, "begin": given.begin}, "answers": dict(counts), "cases": given.cases}
    if given.cases > 1:
        lab.write("fuzz", found | {"wrong": wrong, "faultless": given.cases - len(wrong), "slowest_s": slowest}, given)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
