"""What a stranger can do to a workdir before it is handed on, for experiments/faults.py.

An attack is a function of the workdir and of the folder beside it, which has to stay as it is.
"""

import json
import os
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

Attack = Callable[[Path, Path], None]  # of (workdir, folder outside of it)
TERA = 10**13
DEEP = "[" * 100_000
PARTS = ("config.json.part", "metrics.jsonl.part", "summary.json.part")
ANALYSIS = ("-m", "ternary_jax.analyze")
EXPORT = (
    "-c",
    "import sys; from ternary_jax import command_line, errors, workdir\n"
    "try: workdir.open(sys.argv[1]).embeddings()\n"
    "except errors.WorkdirError as e: command_line.fail(str(e))",
)
CODE = "from pathlib import Path\nPath(__file__).with_name('it-ran').touch()\nKEYS = {}\n"


class Row(NamedTuple):
    """An attack and its answer. status, says: as of a Fault; reader: arguments of Python; (): the training goes on."""

    name: str
    attack: Attack
    status: int
    says: str
    reader: tuple[str, ...] = ()


def beside(workdir: Path) -> Path:
    """Make the folder outside, with a file to be lost and a module that would leave a trace."""
    outside = workdir.with_suffix(".outside")
    outside.mkdir()
    (outside / "thesis.tex").write_text("years of work")
    (outside / "strangers_task.py").write_text(CODE)
    return outside


def snapshot(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, but for the caches of compiled modules."""
    found = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in found}


def linked(*names: str, to: str = "thesis.tex") -> Attack:
    """Links in place of these files or folders. to: a name outside; "." for the folder itself."""

    def attack(workdir, outside):
        for name in names:
            away(workdir / name)
            (workdir / name).symlink_to(outside / to)

    return attack


def newest_linked(workdir: Path, outside: Path) -> None:
    """A link in place of the newest checkpoint."""
    newest = newest_of(workdir)
    linked(f"checkpoints/{newest.name}", to=".")(workdir, outside)


def damaged_linked(workdir: Path, outside: Path) -> None:
    """The newest checkpoint is damaged, and the folder to which it will be moved is a link."""
    (newest_of(workdir) / "_CHECKPOINT_METADATA").unlink()
    linked("damaged", to=".")(workdir, outside)


def special(name: str, *kind: str) -> Attack:
    """A FIFO or a device in place of a file. kind: as mknod has it, p or c with its numbers."""

    def attack(workdir, outside):
        away(workdir / name)
        subprocess.run(["mknod", str(workdir / name), *kind], check=True, capture_output=True, text=True)

    return attack


def holed(name: str) -> Attack:
    """A file that is extended to 10 TB by a hole."""

    def attack(workdir, outside):
        os.truncate(workdir / name, TERA)

    return attack


def oversized(workdir: Path, outside: Path) -> None:
    """The newest checkpoint claims 10 TB."""
    claimed = {"shape": [TERA], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [TERA]}}}
    edit(newest_of(workdir) / "state" / "bytes" / "zarr.json", **claimed)


def expanding(workdir: Path, outside: Path) -> None:
    """The bytes of the newest checkpoint are 8 GiB of zeros, compressed 800-fold by gzip.

    A block of a compressed stream that refers to none before it can be repeated. The checksum at the end is missing: it
    would be read when all is expanded.
    """
    array = newest_of(workdir) / "state" / "bytes"
    edit(array / "zarr.json", codecs=[{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 9}}])
    squeeze, zeros = zlib.compressobj(9, wbits=31), bytes(1 << 20)
    head = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)
    (array / "c" / "0").write_bytes(head + block * 8191)


def export_holed(workdir: Path, outside: Path) -> None:
    """An export of 3 GiB that is a hole, but for the directory of one array at its end."""
    file = workdir / "embeddings" / "run_000.npz"
    file.parent.mkdir(exist_ok=True)
    with file.open("wb") as opened:
        opened.seek(3 << 30)
        with zipfile.ZipFile(opened, "w") as members:
            members.writestr("x.npy", b"")


def columns_added(workdir: Path, outside: Path) -> None:
    """A column of its own in each of 10,000 rows, so that a table of them has 100 million values."""
    row = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    with (workdir / "metrics.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(row | {f'c{k}': 1.0})}\n" for k in range(10_000))


def leaves_nested(workdir: Path, outside: Path) -> None:
    """The newest checkpoint has 80,000 leaves of 63 parts, which would be five million dicts."""

    def change(header):
        header["leaves"] |= {f"{k}/" + "/".join("a" * 62): "float32[0]" for k in range(80_000)}

    header_altered(newest_of(workdir), change)


def state_altered(workdir: Path, outside: Path) -> None:
    """The newest checkpoint says that it stopped for a reason that there is not, with good checksums."""
    newest = newest_of(workdir)
    meta, file = newest / "_CHECKPOINT_METADATA", newest / "state" / "bytes" / "c" / "0"
    own, data = json.loads(meta.read_text()), bytearray(file.read_bytes())
    at = 0
    for name, text in json.loads(own["custom_metadata"]["header"])["leaves"].items():
        array = np.zeros(json.loads(text[text.index("[") :]), text[: text.index("[")])
        if name == "stop/reason":
            data[at : at + array.nbytes] = np.full_like(array, 77).tobytes()
        at += array.nbytes
    own["custom_metadata"]["crc"] = zlib.crc32(data[:-20])  # without the index at the end
    file.write_bytes(data)
    meta.write_text(json.dumps(own))


def header_altered(checkpoint: Path, change: Callable[[dict], None]) -> None:
    """Change the header of a checkpoint, and its checksum."""
    meta = checkpoint / "_CHECKPOINT_METADATA"
    own = json.loads(meta.read_text())
    header = json.loads(own["custom_metadata"]["header"])
    change(header)
    text = json.dumps(header)
    own["custom_metadata"] |= {"header": text, "header_crc": zlib.crc32(text.encode())}
    meta.write_text(json.dumps(own))


def renamed(workdir: Path, outside: Path) -> None:
    """The newest checkpoint is named after a later step."""
    newest_of(workdir).rename(workdir / "checkpoints" / "2000000000")


def texts(name: str, text: str) -> Attack:
    """Another text in place of a file."""

    def attack(workdir, outside):
        (workdir / name).write_text(text)

    return attack


def line_added(text: str) -> Attack:
    """A line more at the end of metrics.jsonl."""

    def attack(workdir, outside):
        with (workdir / "metrics.jsonl").open("a") as file:
            file.write(text + "\n")

    return attack


def config_of(**changes) -> Attack:
    """Other values in config.json."""

    def attack(workdir, outside):
        edit(workdir / "config.json", **changes)

    return attack


def task_named(workdir: Path, outside: Path) -> None:
    """config.json names the module of a stranger, and there is no summary, so that the metrics would come from it."""
    edit(workdir / "config.json", task="strangers_task")
    (workdir / "summary.json").unlink()


def newest_of(workdir: Path) -> Path:
    """The newest checkpoint."""
    return max((workdir / "checkpoints").iterdir(), key=lambda step: int(step.name))


def edit(file: Path, **changes) -> None:
    """Change values in a file of JSON."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def away(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


ATTACKS = (
    *(Row(f"{name} is a link", linked(name), 1, "is a link") for name in ("config.json", "metrics.jsonl", ".lock")),
    Row("links where files are half written", linked(*PARTS), 0, ""),
    Row("checkpoints is a link", linked("checkpoints", to="."), 1, "is a link"),
    Row("newest checkpoint is a link", newest_linked, 0, "is damaged"),
    Row("damaged is a link, a checkpoint is damaged", damaged_linked, 1, "is a link"),
    *(Row(f"{name} is a FIFO", special(name, "p"), 1, "is a FIFO") for name in ("config.json", "metrics.jsonl")),
    *(
        Row(f"{name} is a device", special(name, "c", "1", "5"), 1, "is a device")
        for name in ("config.json", "metrics.jsonl")
    ),
    Row("newest checkpoint claims 10 TB", oversized, 0, "is damaged"),
    Row("newest checkpoint expands 800-fold", expanding, 0, "is damaged"),
    Row("metrics.jsonl is a hole of 10 TB", holed("metrics.jsonl"), 1, "most of them a hole"),
    Row("config.json is a hole of 10 TB", holed("config.json"), 1, "most of them a hole"),
    Row("config.json is 100,000 lists deep", texts("config.json", DEEP), 1, "is damaged"),
    Row("config.json is no object", texts("config.json", "[1]"), 1, "is damaged"),
    Row("config.json has values of other types", config_of(runs={"a": []}), 1, "is damaged"),
    Row("metrics.jsonl has a deep line", line_added(DEEP), 0, "has a line that is cut short"),
    Row("summary.json is deep", texts("summary.json", DEEP), 0, "was damaged: it is written again at the end"),
    Row("config.json has an escape sequence", config_of(seed="\x1b[2J"), 1, "config.json is damaged"),
    Row("newest checkpoint has 80,000 nested leaves", leaves_nested, 0, "is damaged"),
    Row("newest checkpoint is of another step", renamed, 0, "is damaged"),
    Row("newest checkpoint has no reason to have stopped, with good checksums", state_altered, 1, "is damaged"),
    Row("metrics.jsonl has 10,000 columns, analysed", columns_added, 2, "names of columns", ANALYSIS),
    Row("an export is a hole of 3 GiB, read", export_holed, 2, "most of them a hole", EXPORT),
    Row("config.json names a task, analysed", task_named, 2, "is no task of this package", ANALYSIS),
)
