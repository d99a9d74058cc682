"""python -m ternary_jax.export: its files beside the libraries that read them, and its mistakes."""

import csv
import json
import struct
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import ternary_jax
from ternary_jax import export, workdir, workdir_arguments
from ternary_jax.errors import RunError
from ternary_jax.inference import exporting, rows_file, tensors


@pytest.fixture(scope="module")
def exported(dual, tmp_path_factory):
    """The folder of branch A of run 1."""
    folder = tmp_path_factory.mktemp("export") / "out"
    export.main([str(dual.path), "--run=1", "--branch=A", "--format=parquet", f"--output={folder}"])
    return folder


def refused(capsys, *args):
    """(status, the one sentence) of a command that is refused."""
    with pytest.raises(SystemExit) as ended:
        export.main([str(arg) for arg in args])
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    return ended.value.code, said


def test_the_parameters_are_those_of_the_run_as_the_library_reads_them(dual, exported):
    from safetensors import safe_open

    saved = workdir.open(dual.path).checkpoint("best").state["params"]
    with safe_open(str(exported / "params.safetensors"), "numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert file.metadata() == {"task": "ternary operations", "run": "1", "step": "8"}
    leaves = jax.tree_util.tree_leaves_with_path(saved)
    wanted = {"/".join(str(part.key) for part in path): leaf[1] for path, leaf in leaves}
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name])
        assert array.dtype == wanted[name].dtype
    about = json.loads((exported / "params.json").read_text())
    assert about["tensors"].keys() == wanted.keys()
    assert (about["run"], about["branch"], about["step"]) == (1, "A", 8)
    assert about["config"]["data.n_digits"] == 4


def test_any_arrays_are_as_the_format_says():
    arrays = {
        "byte": np.arange(3, dtype=np.uint8),
        "yes": np.array([True, False]),
        "wide": np.arange(6, dtype=np.float64).reshape(2, 3).T,  # columns first in memory
        "swapped": np.arange(2, dtype=">i4"),
        "scalar": np.float32(2.5) * np.ones(()),
        "empty": np.zeros((0, 4), np.float32),
        "half": np.array([1.5], jax.numpy.bfloat16),
    }
    data = tensors.to_bytes(arrays, {"a": "b"})
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert data[8:9] == b"{"
    assert header.pop("__metadata__") == {"a": "b"}
    end = 0
    for name, entry in header.items():  # without gaps, in the order of the header
        begin, after = entry["data_offsets"]
        assert begin == end
        end, size = after, arrays[name].dtype.itemsize
        assert (after - begin, begin % size) == (arrays[name].size * size, 0)
    assert len(data) == 8 + length + end
    from safetensors import deserialize

    for name, entry in deserialize(data):
        assert entry["shape"] == [*arrays[name].shape]
        assert entry["dtype"] == tensors.DTYPES[arrays[name].dtype.name]
        assert bytes(entry["data"]) == arrays[name].astype(arrays[name].dtype.name).tobytes()
    with pytest.raises(ValueError, match="x of complex64 has no place in a safetensors file"):
        tensors.to_bytes({"x": np.zeros(1, np.complex64)}, {})


def test_the_embedding_is_the_same_as_parquet_and_as_csv(dual, exported, tmp_path):
    import pyarrow.parquet

    model = ternary_jax.load(dual.path, run=1, branch="A")
    table = pyarrow.parquet.read_table(exported / "embedding.parquet").to_pydict()
    points = np.stack([table[f"z_{k}"] for k in range(4)], 1)
    np.testing.assert_array_equal(points.astype(np.float32), model.points())
    assert table["operation"] == model.text(np.arange(81))
    assert table["index"] == [*range(81)]
    assert all(table["trained_on"])
    kind, data = rows_file.to_bytes(model.table() or {}, "csv")
    head, *rows = csv.reader(data.decode().splitlines())
    assert (kind, head) == ("csv", [*table])
    read = np.asarray([row[-4:] for row in rows], np.float64)
    np.testing.assert_array_equal(read.astype(np.float32), points.astype(np.float32))


def test_the_card_has_each_metric_beside_its_ceiling_and_chance(dual, exported):
    import pyarrow.parquet
    import scipy.stats

    card = (exported / "model_card.md").read_text()
    measured = json.loads((exported / "params.json").read_text())["metrics"]
    table = pyarrow.parquet.read_table(exported / "embedding.parquet").to_pydict()
    pairs = [*zip(table["operation"], table["decoded"], strict=True)]
    assert measured["coverage_A"] == pytest.approx(sum(one == other for one, other in pairs) / 81)
    found: Any = scipy.stats.spearmanr(table["radius"], table["valuation"])
    assert measured["hierarchy_A"] == pytest.approx(found.statistic, abs=1e-5)
    lines = {line.split("`")[1]: line for line in card.splitlines() if line.startswith("| `")}
    assert [*lines] == [metric.name for metric in dual.task.metrics]
    better = [lines[name].split("|")[5] for name in ("coverage_A", "hierarchy_A")]
    assert better == [" higher ", " lower "]
    assert lines["coverage_A"].split("|")[3:5] == [" 1 ", f" {3.0**-4:.6g} "]
    assert f'ternary_jax.load("{dual.path}", run=1, branch="A", at=8)' in card
    assert "`embedding.parquet`: 81 rows of branch A: `index`, `operation`" in card


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    model: Any = None
    monkeypatch.setattr(exporting, "_contents", lambda *_: {"a": b"1"})
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(RunError, match=r"out cannot be written \(No space left on device\): mend that, or name"):
        exporting.write(model, tmp_path / "new" / "out")
    monkeypatch.setattr(workdir_arguments, "load_model", lambda given: model)
    assert refused(capsys, tmp_path, f"--output={tmp_path / 'new' / 'out'}")[0] == 1
    assert [*(tmp_path / "new").iterdir()] == []
    monkeypatch.undo()
    monkeypatch.setattr(exporting, "_contents", lambda *_: {"a": b"1"})
    assert exporting.write(model, tmp_path / "new" / "out") == ["a"]
    assert (tmp_path / "new" / "out" / "a").read_bytes() == b"1"


def test_an_output_that_exists_is_one_sentence(dual, exported, tmp_path, capsys):
    before = {file: file.read_bytes() for file in exported.iterdir()}
    status, said = refused(capsys, dual.path, f"--output={exported}")
    assert (status, said) == (
        2,
        f"--output={exported} exists, and an export overwrites nothing: delete it, or name another\n",
    )
    assert before == {file: file.read_bytes() for file in exported.iterdir()}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert refused(capsys, dual.path, f"--output={tmp_path / 'link'}")[0] == 2
    (tmp_path / "file").write_text("")
    status, said = refused(capsys, dual.path, "--output", tmp_path / "file" / "out")
    assert (status, f"is below {tmp_path / 'file'}, which is no folder: name another" in said) == (2, True)
    assert refused(capsys, dual.path, "--format=xml")[1].startswith("argument --format: invalid choice: 'xml'")
    assert refused(capsys, tmp_path / "none")[1].endswith("is no folder: give the --workdir of a training\n")


def test_without_pyarrow_the_embedding_is_csv(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = {"x": np.arange(2)}
    assert rows_file.to_bytes(table) == ("csv", b"x\n0\n1\n")
    with pytest.raises(ValueError, match="--format=parquet needs pyarrow, which is not there: pip install pyarrow"):
        rows_file.to_bytes(table, "parquet")
