"""The workdir of a stranger, for the tests: as a training leaves it, and ways to alter it."""

import contextlib
import io
import json
import signal
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from few_rows import METRICS, describe, row

from ternary_jax import analyze
from ternary_jax.config import load_config
from ternary_jax.workdir import checkpoint, claim, exports, files, summary
from ternary_jax.workdir.checkpoint import Policy

CONFIG = Path(__file__).parent / "toy_config.py"
TERA = 10**13
SIZES = ("CRC", "file_size", "compress_size", "header_offset")


def begun(tmp_path):
    """A workdir of the toy, as a training leaves it."""
    folder = tmp_path / "run"
    folder.mkdir()
    files.write_json(folder / "config.json", claim.contents(load_config(CONFIG)))
    lines = [row(step, seed=0, gradient_norm=1.0) for step in (4, 8)]
    (folder / "metrics.jsonl").write_text("".join(files.dumps(one) + "\n" for one in lines))
    ends = [describe(0, seed=0, stop={"reason": "epochs done", "step": 8, "detail": ""})]
    facts = {"finished": True, "criteria": [], "notes": []}
    files.write_json(folder / "summary.json", summary.summarise(lines, "toy", METRICS, ends, {}, **facts))
    exports.write(folder, 0, {"x": np.arange(3.0)})
    saved(folder, 4)
    saved(folder, 8)
    return folder


def saved(folder, step, state=None):
    store = checkpoint.open_store(folder / "checkpoints", Policy(9, 0, 0), print)
    checkpoint.save(store, step, {"x": np.full((1, 3), step, np.float32)} if state is None else state, 0.0, {})
    checkpoint.wait(store)
    return folder / "checkpoints" / str(step)


@contextlib.contextmanager
def at_once():
    """Within two seconds, or it hangs."""

    def over(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(2)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def command(capsys, *args) -> tuple[object, str]:
    """Exit status of analyze, and all that it prints."""
    status = 0
    try:
        analyze.main([*map(str, args), "--no-figures"])
    except SystemExit as ended:
        status = ended.code
    return status, "".join(capsys.readouterr())


@contextlib.contextmanager
def header_of(folder):
    """Change the header of a checkpoint, and write it with its checksum."""
    file = folder / "_CHECKPOINT_METADATA"
    own = json.loads(file.read_text())
    header = json.loads(own["custom_metadata"]["header"])
    yield header
    text = json.dumps(header)
    own["custom_metadata"] |= {"header": text, "header_crc": zlib.crc32(text.encode())}
    file.write_text(json.dumps(own))


def claim_of(folder, zarr=None, **leaves):
    """Rewrite the claims of a checkpoint: the leaves of its header, and values of zarr.json."""
    with header_of(folder) as header:
        header["leaves"] |= leaves
    if zarr:
        edit(folder / "state" / "bytes" / "zarr.json", **zarr)
    return folder


def npz(file, header=None, compressed=False, times=1):
    """An .npz file; header: another npy header; times: entries in the directory that share the bytes."""
    data = io.BytesIO()
    np.save(data, np.zeros(2_000_000, np.uint8))
    values = data.getvalue()
    if header:
        text = header.encode().ljust(117) + b"\n"
        values = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(100)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as members:
        members.writestr("x.npy", values)
        for k in range(1, times):
            info = zipfile.ZipInfo(f"x{k}.npy")
            info.CRC, info.file_size, info.compress_size, info.header_offset = (
                getattr(members.filelist[0], n) for n in SIZES
            )
            members.filelist.append(info)
