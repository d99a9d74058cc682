"""TensorBoard files, read back by the TFRecord format alone, against plain loops."""

import math
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few_rows import NAMES, NAN, describe, row

from ternary_jax.workdir import rows, tensorboard

ROOT = Path(__file__).parents[2]


def opened(workdir, step=0, runs=1, share: float | None = 0.01):
    workdir.mkdir(exist_ok=True)
    log, kept = rows.open_log(workdir, step, time.time(), 4)
    metrics, further = ({name: name for name in names} for names in (NAMES, ("loss", "gradient_ratio", "control/tau")))
    return tensorboard.open_board(log, kept, [describe(k) for k in range(runs)], metrics, further, "coverage", share)


def write(board, more, histograms=None):
    rows.write(board.log, more)
    tensorboard.show(board, more, histograms)


def events(workdir, run=0):
    """All events of a run, by file and in order, by the TFRecord format alone; the checksums are those of CRC-32C."""
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

    def crc(data):
        c = 0xFFFFFFFF
        for byte in data:
            c ^= byte
            for _ in range(8):
                c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        c ^= 0xFFFFFFFF
        return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF

    out = []
    for file in sorted((workdir / "tensorboard" / f"run_{run:03d}").iterdir()):
        data = file.read_bytes()
        while data:
            (size,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
            body, after = data[12 : 12 + size], data[12 + size : 16 + size]
            assert check == crc(data[:8])
            assert struct.unpack("<I", after)[0] == crc(body)
            out.append(Event.FromString(body))
            data = data[16 + size :]
    return out


def points(workdir, run=0):
    """tag -> [(step, value)]"""
    out = {}
    for event in events(workdir, run):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                out.setdefault(value.tag, []).append((event.step, value.simple_value))
    return out


def test_tensorboard_shows_what_moved_and_in_the_end_everything(tmp_path):
    """The reference is a plain loop over the rows."""
    rng = np.random.default_rng(0)
    to, rows = opened(tmp_path, share=0.05), []
    for step in range(1, 60):
        new: dict[str, Any] = {
            "coverage": 1 - math.exp(-step / 5),
            "gradient_ratio": 1 + 0.04 * rng.random(),
            "control/tau": 0.2,
        }
        new |= {"hierarchy": rng.normal()} if step % 10 == 5 else {}
        rows.append(row(step, **new, gradient_norm=3.0, q=NAN))
        write(to, rows[-1:])
    shown = {tag: list(series) for tag, series in points(tmp_path).items()}
    tensorboard.close(to)

    assert set(shown) == {"loss", "coverage", "coverage_ema", "gradient_ratio", "control/tau", "hierarchy"}
    mean = rows[0]["coverage"]
    for r in rows:
        r["coverage_ema"] = mean = 0.9 * mean + 0.1 * r["coverage"]
    for tag, got in shown.items():
        expected, last = [], (0, NAN)
        for r in [r for r in rows if tag in r]:
            if not expected or abs(r[tag] - expected[-1][1]) > 0.05 * abs(expected[-1][1]):
                expected.append((r["step"], r[tag]))
            last = r["step"], r[tag]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        due = [last] if last[0] > expected[-1][0] else []
        np.testing.assert_allclose(points(tmp_path)[tag], [*expected, *due], rtol=1e-6)
    assert len(shown["control/tau"]) == len(shown["gradient_ratio"]) == 1
    assert 5 < len(shown["coverage"]) < 30


def test_a_share_of_nothing_shows_every_change_and_only_changes(tmp_path):
    to = opened(tmp_path, share=0.0)
    for step, value in enumerate([1.0, 1.0, 1.0 + 1e-6, 0.0, 0.0, -1e-30], 1):
        write(to, [row(step, hierarchy=value)])
    assert [step for step, _ in points(tmp_path)["hierarchy"]] == [1, 3, 4, 6]


def test_a_resumed_tensorboard_is_that_of_an_undisturbed_run(tmp_path):
    rows = [row(k, coverage=1 - math.exp(-k / 4), hierarchy=-k / 30 if k % 6 == 1 else NAN) for k in range(1, 30)]
    once, twice = opened(tmp_path / "once"), opened(tmp_path / "twice")
    for r in rows:
        write(once, [r])
    for r in rows[:20]:
        write(twice, [{**r, "loss": 999.0 * r["step"]} if r["step"] > 12 else r])
    twice = opened(tmp_path / "twice", step=12)
    assert max(step for series in points(tmp_path / "twice").values() for step, _ in series) == 12
    for r in rows[12:]:
        write(twice, [r])
    tensorboard.close(once)
    tensorboard.close(twice)
    assert points(tmp_path / "once") == points(tmp_path / "twice")
    assert len(list((tmp_path / "twice/tensorboard/run_000").iterdir())) == 1


def test_runs_have_their_own_folders_hyperparameters_and_histograms(tmp_path):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # pyright: ignore[reportAttributeAccessIssue]

    to = opened(tmp_path, runs=2)
    values = {"params/encoder": np.array([[1.0, 2.0], [2.0, np.nan]]), "params/none": np.array([np.inf])}
    write(to, [row(1), row(1, run=1)], {1: values})
    folders = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert folders == ["run_000", "run_001"]
    for run in range(2):
        all_events = events(tmp_path, run)
        assert all_events[0].file_version == "brain.Event:2"
        assert all_events[-1].wall_time == pytest.approx(
            to.log.began + 0.01, rel=0, abs=1e-4
        )  # of the row, though it be shown again
        assert all_events[1].session_log.status == all_events[1].session_log.START
        values = {value.tag: value for event in all_events for value in event.summary.value}
        parsed = {
            tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
            for tag, value in values.items()
            if value.metadata.plugin_data.plugin_name == "hparams"
        }
        hypers = parsed["_hparams_/session_start_info"].session_start_info.hparams
        assert {k: v.number_value for k, v in hypers.items()} == {
            "seed": 7 + run,
            "train.learning_rate": 1e-3 * (run + 1),
        }
        infos = parsed["_hparams_/experiment"].experiment.metric_infos
        assert [info.name.tag for info in infos] == list(NAMES)
        histograms = {tag: value.histo for tag, value in values.items() if value.HasField("histo")}
        assert set(histograms) == ({"params/encoder"} if run else set())
        for histogram in histograms.values():
            assert (histogram.num, histogram.min, histogram.max, sum(histogram.bucket)) == (3, 1, 2, 3)


def test_tags_are_those_that_are_given_also_beside_hyperparameters_of_any_kind(tmp_path):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # pyright: ignore[reportAttributeAccessIssue]

    log, _ = rows.open_log(tmp_path, 0, time.time(), 1)
    run = describe(0) | {"hypers": {"model.hidden": "64,64", "data.partners": True}}
    tags = {"coverage": "B/coverage"}, {"loss": "loss", "hierarchy": "signal/hierarchy"}
    to = tensorboard.open_board(log, [], [run], *tags, "coverage", 0.0)
    write(to, [row(1, hierarchy=-0.5), row(2, hierarchy=-0.5, q=1.0)])
    assert set(points(tmp_path)) == {"loss", "signal/hierarchy", "B/coverage", "B/coverage_ema"}
    about = [value.metadata.plugin_data.content for event in events(tmp_path) for value in event.summary.value]
    parsed = [HParamsPluginData.FromString(one) for one in about if one]
    hypers = {k: v for one in parsed for k, v in one.session_start_info.hparams.items()}
    assert (hypers["model.hidden"].string_value, hypers["data.partners"].bool_value) == ("64,64", True)
    assert [info.name.tag for one in parsed for info in one.experiment.metric_infos] == ["B/coverage"]


def test_torch_is_neither_imported_nor_hidden_afterwards():
    code = (
        "import sys, threading; from ternary_jax.workdir import tensorboard; assert 'tensorboardX' not in sys.modules\n"
        "tensorboard._tensorboardx()\n"
        "assert 'torch' not in sys.modules and threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_amended_metrics_are_shown_and_no_share_shows_nothing(tmp_path):
    to = opened(tmp_path)
    write(to, [row(5), row(9)])
    tensorboard.show(to, rows.amend(to.log, {0: {"hierarchy": -0.5}}))
    shown = points(tmp_path)
    assert shown["hierarchy"] == [(9, -0.5)]
    assert [step for step, _ in shown["coverage_ema"]] == [5, 9]  # the watched metric was not shown again
    off = opened(tmp_path / "off", share=None)
    write(off, [row(5)], {0: {"params": np.ones(3)}})
    tensorboard.close(off)
    assert [path.name for path in (tmp_path / "off").iterdir()] == ["metrics.jsonl"]
