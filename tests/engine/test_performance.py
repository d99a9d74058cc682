"""The columns of log.level=performance: their values, where rows have them, and who does not take them for metrics."""

import itertools
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ternary_jax.analysis import data
from ternary_jax.config import load_config
from ternary_jax.engine import host, performance
from ternary_jax.errors import ColumnError, ConfigError
from ternary_jax.workdir import open as open_workdir
from ternary_jax.workdir import rows as log

CONFIG = Path(__file__).parents[1] / "toy_config.py"
GPU = SimpleNamespace(platform="gpu", local_hardware_id=1, memory_stats=lambda: {"peak_bytes_in_use": 3 * 2**20})


class NvmlError(Exception):
    """The error of the fake NVML."""


@pytest.fixture
def nvml(monkeypatch):
    """A fake pynvml, in which each GPU has its own load, and GPU 3 none."""
    loads = {0: 5, 1: 60, 2: 70, "GPU-a": 80}

    def rates(handle):
        if handle not in loads:
            raise NvmlError
        return SimpleNamespace(gpu=loads[handle], memory=0)

    fake = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetUtilizationRates=rates,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def resident():
    """MiB of this process that are in memory now, by /proc."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def test_memory_of_a_cpu_is_the_peak_of_the_process():
    freed = np.ones(2**22)  # 32 MiB
    peak = resident()
    del freed
    found = performance.columns(0.5, 20, jax.devices("cpu")[0])
    assert found.keys() == {"step_ms", "peak_host_memory_mib"}
    assert found["step_ms"] == 25
    assert resident() < peak - 25
    assert (
        0.98 * peak < found["peak_host_memory_mib"] < max(10 * peak, 10_000)
    )  # Linux counts up to a few pages a thread late


@pytest.mark.parametrize(("visible", "load"), [("", 60), ("0, 2", 70), ("2,GPU-a", 80), ("0,3", None)])
def test_load_of_a_gpu_is_that_of_the_device_that_trains(nvml, monkeypatch, visible, load):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = performance.columns(0.5, 20, GPU)
    assert found.pop("peak_host_memory_mib") > 0.98 * resident()
    assert found == {"step_ms": 25, "peak_device_memory_mib": 3} | ({"gpu_utilisation": load} if load else {})


def test_what_a_machine_cannot_measure_has_no_column(nvml, monkeypatch):
    counted = {"step_ms", "peak_host_memory_mib", "peak_device_memory_mib"}
    nvml.nvmlInit = lambda: nvml.nvmlDeviceGetUtilizationRates("no driver")
    assert performance.columns(0.5, 20, GPU).keys() == counted
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it is an ImportError
    assert performance.columns(0.5, 20, GPU).keys() == counted
    silent = SimpleNamespace(platform="tpu", memory_stats=lambda: None)
    assert performance.columns(0.5, 20, silent).keys() == {"step_ms", "peak_host_memory_mib"}


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory):
    """(workdir of a run that was interrupted with log.level=performance and went on with "normal", its first rows)."""
    workdir, measure, calls = tmp_path_factory.mktemp("two_levels"), performance.columns, []

    def interrupted(*given):
        calls.append(given)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return measure(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(performance, "columns", interrupted)
        host.run(load_config(CONFIG, {"log.level": "performance", "log.tensorboard": True}), workdir)
        first = log.read(workdir)
        patch.setattr(performance, "columns", lambda *given: pytest.fail("measured with log.level=normal"))
        assert host.run(load_config(CONFIG, {"log.tensorboard": True}), workdir)["finished"]
    return workdir, first


def test_rows_have_the_columns_of_the_level_of_their_session(two_levels):
    workdir, first = two_levels
    rows = log.read(workdir)
    assert [row["step"] for row in rows] == [*range(8, 81, 8)]
    assert 3 <= len(first) < 7
    assert rows[: len(first)] == first
    for row in rows:
        there = {"step_ms", "peak_host_memory_mib"} if row["step"] <= first[-1]["step"] else set()
        assert row.keys() & performance.COLUMNS.keys() == there
    for before, row in itertools.pairwise(first):
        assert 8 * row["step_ms"] / 1e3 == pytest.approx(row["wall_s"] - before["wall_s"], rel=1e-3)
        assert row["step_ms"] * row["samples_per_s"] == pytest.approx(16e3)  # 16 samples a step
        assert before["peak_host_memory_mib"] <= row["peak_host_memory_mib"]


def test_no_reader_takes_the_columns_for_metrics(two_levels):
    workdir, first = two_levels
    run = open_workdir(workdir)
    columns = run.rows(0)
    np.testing.assert_array_equal(np.isnan(columns["step_ms"]), columns["step"] > first[-1]["step"])
    found = data.analyse(run)
    assert run.summary["metrics"].keys() == {"error", "distance"}
    assert {one["name"] for one in (*found["metrics"], *found["compared"])} == {"error", "distance"}
    assert found["runs"][0]["change_points"].keys() <= {"loss", "error", "distance"}
    with pytest.raises(ConfigError, match="step_ms is no metric"):
        data.analyse(run, ["step_ms"])
    for file in workdir.glob("tensorboard/*/*"):
        for tag in (b"loss", b"rate/slope", b"gradient/offset", b"metrics/error", b"metrics/distance"):
            assert tag in file.read_bytes()
        assert b"step_ms" not in file.read_bytes()


def test_a_missing_column_says_what_measures_it(two_levels):
    with pytest.raises(ColumnError, match=r"'gpu_utilisation': .* config\.log\.level=performance, on an NVIDIA GPU"):
        open_workdir(two_levels[0]).rows()["gpu_utilisation"]
