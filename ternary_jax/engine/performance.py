"""What a training costs, as columns of its rows: the time of a step, peak memory, load of the GPU.

Rows have them with `log.level=performance`. They are measured on the host, once an evaluation, and describe the whole
process, so the rows of all runs have the same values. Which part of a step takes the time is not measured here: a trace
of the profiler tells it by named scopes, and clocks within the program would need a sync for each part.
"""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MIB = 2**20
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss, by getrusage(2) of each system
# Columns -> where rows have them, beside `log.level=performance`.
COLUMNS = {
    "step_ms": "",
    "peak_host_memory_mib": "",
    "peak_device_memory_mib": ", on a device that counts its memory, which a CPU does not",
    "gpu_utilisation": ", on an NVIDIA GPU, if the package pynvml can be imported",
}


def columns(seconds: float, steps: int, device: Any) -> dict[str, float]:
    """The columns of a row. seconds: since the last row; steps: those since then; device: the one that trains.

    step_ms: milliseconds of a step of all runs, 1e3 seconds / steps. The seconds are those of samples_per_s: they
        contain the evaluation, and whatever the host waited for, such as a save
    peak_host_memory_mib, peak_device_memory_mib: `host_peak` and `device_peak` in MiB. The latter is missing on a CPU,
        and on a device that does not count its memory
    gpu_utilisation: percent of the last second or less in which the GPU was busy. It is a sample, and no mean
    """
    measured = {
        "step_ms": 1e3 * seconds / steps,
        "peak_host_memory_mib": _mib(host_peak()),
        "peak_device_memory_mib": _mib(device_peak(device)),
        "gpu_utilisation": _gpu_utilisation(device),
    }
    return {name: value for name, value in measured.items() if value is not None}


def free_bytes(device: Any) -> int | None:
    """Memory that a program may still take, in bytes; None where it is not known.

    On a CPU it is what Linux calls available, within the limit of the control group; elsewhere the limit of the device
    minus what is in use.
    """
    if device.platform != "cpu":
        found = device.memory_stats() or {}
        return found["bytes_limit"] - found.get("bytes_in_use", 0) if "bytes_limit" in found else None
    free = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        free.append(most - used)
    return min(free, default=None)


def host_peak() -> int:
    """Greatest bytes of this process in memory since it began; Linux also counts the process that started it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def device_peak(device: Any) -> int | None:
    """Greatest bytes of arrays and temporaries on the device since the process began; None if it counts none.

    A CPU counts none: its arrays are in the memory of the process.
    """
    return None if device.platform == "cpu" else (device.memory_stats() or {}).get("peak_bytes_in_use")


def _mib(size: int | None) -> float | None:
    return None if size is None else size / MIB


def _gpu_utilisation(device: Any) -> float | None:
    """The load that NVML gives; None without a GPU, without pynvml, or where NVML does not know it, as of a MIG slice.

    NVML is initialised in each call: it counts its users, so that only the first call takes time.
    """
    if device.platform != "gpu":
        return None
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return float(pynvml.nvmlDeviceGetUtilizationRates(_nvml_handle(pynvml, device.local_hardware_id)).gpu)
    except pynvml.NVMLError:
        return None


def _nvml_handle(pynvml: Any, number: int) -> Any:
    """The handle of the GPU that CUDA counts as `number`: CUDA counts the visible ones, NVML all of the machine.

    The numbers in CUDA_VISIBLE_DEVICES are those of NVML on a machine whose GPUs are of one kind.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    name = visible[number] if number < len(visible) else str(number)
    return pynvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(name)
