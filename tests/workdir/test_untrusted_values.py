"""The workdir of a stranger: sizes that fill the memory, values that no run writes, and files that cannot be read."""

import json
import os
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from few_rows import row
from stranger import CONFIG, at_once, claim_of, command, edit, header_of, saved

from ternary_jax import main, workdir
from ternary_jax.config import load_config
from ternary_jax.engine import host, saving, stopping
from ternary_jax.errors import RunError, UnsafeFileError, WorkdirError
from ternary_jax.workdir import checkpoint, checkpoint_files, claim, files, rows, safe_files
from ternary_jax.workdir.checkpoint import CheckpointError, Policy

# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", "file/below", "loop", "n" * 300])
def test_a_workdir_that_is_none_is_a_sentence(tmp_path, where, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    status, said = command(capsys, tmp_path / where)
    assert (status, said.count("\n")) == (2, 1)
    assert "is no folder" in said or "cannot be read (" in said
    with pytest.raises(SystemExit) as ended:
        main.main([f"--config={CONFIG}", f"--workdir={tmp_path / where}"])
    assert ended.value.code in (1, 2)
    assert f"{tmp_path}/{where}" in capsys.readouterr().err.splitlines()[-1]


def forbid(monkeypatch, path):
    """As for another user than root, who may read all: the system refuses to open this path."""

    def refusing(call):
        def checked(name=".", *args, **how):
            if Path(name) == path:
                raise PermissionError(13, "Permission denied", str(name))
            return call(name, *args, **how)

        return checked

    for name in ("open", "listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("config.json", workdir.open),
        ("config.json", lambda run: claim.look(run, load_config(CONFIG))),
        ("summary.json", lambda run: workdir.open(run).summary),
        ("metrics.jsonl", lambda run: workdir.open(run).rows()),
        ("metrics.jsonl", lambda run: rows.open_log(run, 9, 0.0, 1)),
        ("embeddings/run_000.npz", lambda run: workdir.open(run).embeddings()),
        ("checkpoints", lambda run: workdir.open(run).checkpoint()),
        ("checkpoints", lambda run: checkpoint.open_store(run / "checkpoints", Policy(9, 0, 0), print)),
    ],
)
def test_what_may_not_be_read_is_not_taken_for_missing(run, monkeypatch, name, read):
    forbid(monkeypatch, run / name)
    with pytest.raises(UnsafeFileError, match=rf"{name} cannot be read \(Permission denied\): mend that"):
        read(run)


def test_a_file_that_is_exchanged_after_it_was_checked_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(safe_files, "check_file", lambda path: None)
    with at_once(), pytest.raises(UnsafeFileError, match="is no plain file"):
        safe_files.read(tmp_path / "fifo")


def test_a_workdir_with_a_copy_by_hard_links_is_trained_on(run, tmp_path):
    os.link(run / "metrics.jsonl", tmp_path / "backup")
    before = (tmp_path / "backup").read_bytes()
    rows.write(rows.Log(run / "metrics.jsonl", 0.0), [row(9, seed=0)])
    rows.write(rows.Log(run / "metrics.jsonl", 0.0), [row(10, seed=0)])
    assert (tmp_path / "backup").read_bytes() == before
    assert [one["step"] for one in rows.read(run)] == [4, 8, 9, 10]


def test_links_to_files_do_not_count_as_the_files_of_a_training(run, tmp_path, capsys):
    _, said = command(capsys, run)
    assert "yes  logs and checkpoints" in said
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    _, said = command(capsys, run)
    assert "logs and checkpoints: missing: checkpoints" in said


def test_findings_of_a_read_only_workdir_are_printed(run, monkeypatch, capsys):
    def refuse(path, parts):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(safe_files, "replace", refuse)
    status, said = command(capsys, run)
    assert status == 0
    assert "checklist" in said
    assert said.endswith(
        "nothing, or not all, was written (Read-only file system); to have the files, copy the workdir\n"
    )


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_a_name_of_its_own_for_every_row_is_damage(run):
    several = {f"c{k}": 1.0 for k in range(rows.MOST_COLUMNS)}
    for lines in (
        [row(k, 0, seed=0, **{f"c{k}": 1.0}) for k in range(500)],
        [row(1, 0, seed=0, **several)],
        [row(1, seed=0, x=1.0)] * 9,
    ):
        (run / "metrics.jsonl").write_text("".join(f"{files.dumps(line)}\n" for line in lines))
        if len(lines) == 9:
            assert len(workdir.open(run).rows()["x"]) == 9
        else:
            with pytest.raises(WorkdirError, match=r"metrics\.jsonl is damaged \(its first .* names of columns"):
                workdir.open(run).rows()


def test_the_message_of_a_column_that_is_missing_is_short(run):
    (run / "metrics.jsonl").write_text(
        files.dumps(row(1, 0, seed=0, **{f"column_{k}": 1.0 for k in range(1500)})) + "\n"
    )
    with pytest.raises(WorkdirError) as refused:
        workdir.open(run).rows()["?"]
    assert len(str(refused.value)) < 2000
    assert "and 1" in str(refused.value)


def test_many_damaged_lines_are_one_message(run, capsys):
    (run / "metrics.jsonl").write_text("\n" * 5000)
    assert rows.open_log(run, 9, 0.0, 1)[1] == []
    assert capsys.readouterr().err == f"{run}/metrics.jsonl has 5,000 lines that are cut short or damaged: left out\n"


@pytest.mark.parametrize("long", [False, True])
def test_the_directory_of_an_export_is_bounded_before_it_is_read(run, long):
    file, claimed = run / "embeddings" / "run_000.npz", 1 << 24
    members, directory = file.read_bytes()[:-22], bytes(claimed)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0 if long else claimed, 0, 0)
    if long:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, claimed, len(members))
        end = record + struct.pack("<4sLQL", b"PK\6\7", 0, len(members) + claimed, 1) + end
    file.write_bytes(members + directory + end)
    with pytest.raises(WorkdirError, match=r"is damaged \(the directory of its members claims 16,777,216 bytes"):
        workdir.open(run).embeddings()


def test_a_tree_of_a_state_is_bounded_before_it_is_made(run):
    deep = claim_of(saved(run, 12), **{"/".join("a" * 17): "float32[0]"})
    many = claim_of(saved(run, 16), **{str(k): "float32[0]" for k in range(checkpoint_files.MOST_LEAVES)})
    odd = claim_of(saved(run, 20), **{"x\ny": "float32[0]"})
    for folder, reason in ((deep, "has more than 16 parts"), (many, "has 20,001 leaves"), (odd, r"'x\\ny'")):
        with pytest.raises(CheckpointError, match=f"is damaged .*{reason}"):
            checkpoint.load(run / "checkpoints", int(folder.name))


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"stop.watch": "error\nyes  finished"}),
        ("summary.json", {"notes": ["a\nb"]}),
        ("summary.json", {"device": "\u2028"}),
        ("summary.json", {"targets": {"a\nb": 1.0}}),
        ("summary.json", {"a\nb": 1.0}),
    ],
)
def test_a_text_that_forges_a_line_of_the_output_is_damage(run, file, change, capsys):
    edit(run / file, **change)
    status, said = command(capsys, run)
    assert (status, said.count("\n")) == (2, 1)
    assert f"{file} is damaged (" in said


def test_the_name_of_a_column_is_printable(run):
    (run / "metrics.jsonl").write_text(files.dumps(row(1, 0, seed=0, **{"a\nb": 1.0})) + "\n")
    with pytest.raises(WorkdirError, match=r"'a\\nb' is no name of a column"):
        workdir.open(run).rows()
    assert rows.open_log(run, 9, 0.0, 1)[1] == []


def test_a_checkpoint_is_of_the_step_that_its_folder_is_named_after(run):
    store = run / "checkpoints"
    (store / "8").rename(store / "72")
    (store / "4").rename(store / "9999999999")
    saved(run, 12)
    assert checkpoint.steps(store) == [12, 72]
    with pytest.raises(CheckpointError, match=r"checkpoint 72 is damaged \(its header is that of step 8"):
        checkpoint.load(store, 72)
    with header_of(store / "12") as header:
        del header["step"]  # as in a checkpoint of an earlier version
    assert checkpoint.load(store, 12)[0] == 12
    saved(run, 10)
    opened, said = checkpoint.open_store(store, Policy(9, 0, 0), lambda text: said.append(text)), []
    abstract = {"x": np.zeros((1, 3), np.float32)}
    found = checkpoint.restore(opened, jax_shapes(abstract))
    assert found
    assert found[0] == 10
    assert [text.partition(": moved")[0] for text in sorted(said)] == [
        "checkpoint 12 is damaged (its header has no step)",
        "checkpoint 72 is damaged (its header is that of step 8)",
    ]


def jax_shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def test_a_damaged_summary_does_not_keep_a_training_from_going_on_for_longer(run):
    (run / "summary.json").write_text("[]")
    claim.lengthen(run, claim.contents(load_config(CONFIG)))
    assert (run / "summary.json").read_text() == "[]"


def altered(folder, name, value):
    """Give a leaf of int32 or float32 of a checkpoint another value, and the checksum of that."""
    file, meta = folder / "state" / "bytes" / "c" / "0", folder / "_CHECKPOINT_METADATA"
    data, own = bytearray(file.read_bytes()), json.loads(meta.read_text())
    header = checkpoint_files.read_header(folder)
    leaf = checkpoint_files._places(header.leaves)[name]
    data[leaf.begin : leaf.end] = np.full(leaf.shape, value, leaf.dtype).tobytes()
    file.write_bytes(data)
    own["custom_metadata"]["crc"] = zlib.crc32(data[:-20])
    meta.write_text(json.dumps(own))


ZEROS: Any = (np.zeros(2, np.int32),) * len(stopping.StopState._fields)
STOP: Any = stopping.StopState(*ZEROS)._replace(at=np.array([8, 8]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("reason", 77), ("reason", -1), ("at", 10**6), ("at", 3), ("at", -1)),
        *(("rollbacks", -1), ("bad_step", -9), ("bad_step", 10**6), ("bad_term", -1), ("bad_term", 2)),
    ],
)
def test_a_stop_state_that_no_run_has_written_is_damage(name, value):
    training: Any = SimpleNamespace(plan=SimpleNamespace(total=16), observables=["loss", "norm"], workdir="w")
    saving.check_restored(training, 8, STOP)
    rolled_back = {"reason": np.array([0, 1]), "at": np.array([8, 12]), "bad_step": np.array([9, -1])}
    saving.check_restored(training, 8, STOP._replace(**rolled_back))
    with pytest.raises(
        RunError, match=rf"^checkpoint 8 in w is damaged \(its stop\.{name} is .*{value}\]\): move it away"
    ):
        saving.check_restored(training, 8, STOP._replace(**{name: np.array([getattr(STOP, name)[0], value])}))
    with pytest.raises(RunError, match=r"its stop\.at is"):
        saving.check_restored(training, 32, STOP._replace(at=np.array([32, 32])))


def test_a_training_does_not_go_on_from_an_altered_state_with_good_checksums(tmp_path):
    config = load_config(CONFIG, {"train.epochs": 4, "evaluate.costly_every": 4})
    host.run(config, tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").iterdir(), key=lambda path: int(path.name))
    (tmp_path / "run" / "summary.json").unlink()
    altered(newest, "stop/bad_term", 99)
    with pytest.raises(RunError, match=r"its stop\.bad_term is \[99\]"):
        host.run(config, tmp_path / "run")
