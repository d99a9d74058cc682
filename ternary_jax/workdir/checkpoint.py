"""Checkpoints, written in a thread of their own, compared and checksummed on the way back.

A state is one array of bytes, leaf after leaf, and a header that says what lies where: four times quicker than forty
arrays, and nothing is cast. Orbax's own `save_async` tells what failed only at the next save, and leaves a thread each.
"""

import functools
import json
import logging
import math
import os
import re
import shutil
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.errors import RunError


class CheckpointError(RunError):
    """One sentence: what is wrong with the checkpoints, and what to do."""


class Policy(NamedTuple):
    """latest >= 1: how many of the newest; best: of those with the lowest metric; keep_every: in steps, 0 for none."""

    latest: int
    best: int
    keep_every: int


class Store(NamedTuple):
    """metrics: those of `metrics_of`, by step; pending: the save under way."""

    directory: Path
    policy: Policy
    say: Callable[[str], None]
    metrics: dict[int, float | None]
    pending: list[tuple[int, ThreadPoolExecutor, Future]]


@functools.cache
def warm():
    """Orbax, and a maker of its settings. The import takes 0.5 s: call this in a thread at the start of a program."""
    from orbax.checkpoint import v1 as ocp

    def context():  # a new one each time: one that two threads enter is an error
        saving = ocp.options.ArrayOptions.Saving(use_ocdbt=False, use_compression=False)
        # A folder that cannot be made is an error at once, before there are coroutines that nobody awaits.
        early = ocp.options.AsyncOptions(create_directories_asynchronously=False)
        return ocp.Context(array_options=ocp.options.ArrayOptions(saving=saving), async_options=early)

    # What fails is said in a sentence of ours; Orbax would print warnings and tracebacks above it.
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    return ocp, context


def open_store(directory: str | Path, policy: Policy, say: Callable[[str], None]) -> Store:
    """WORKDIR/checkpoints, made if need be and rid of what killed saves left. say: told of what is damaged."""
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    _clean(directory)
    return Store(directory, policy, say, metrics_of(directory), [])


def steps(directory: Path) -> list[int]:
    """Those of the checkpoints in a folder, in order."""
    return sorted(int(path.name) for path in directory.glob("*") if path.name.isdecimal())


def metrics_of(directory: Path) -> dict[int, float | None]:
    """{step: metric} of what is on disk, None for one that cannot be read."""
    metrics: dict[int, float | None] = dict.fromkeys(steps(directory))
    for step in metrics:
        with suppress(Exception):  # `restore` and `load` say so, should it come to this one
            metrics[step] = _header(directory.absolute() / str(step))[0]["metric"]
    return metrics


def save(store: Store, step: int, state: Any, metric: float, metadata: dict[str, Any]) -> None:
    """Begin to write a checkpoint, once the one before is written. metric: lower is better, and finite than not finite.

    The arrays may still be computing, but must not be donated before the next `wait` or `save`.
    """
    wait(store)
    if step in store.metrics:
        raise CheckpointError(f"step {step} is already saved in {store.directory}: save a later one, or move it away")
    # Not `files.dumps`: nobody else reads a header, and nan has to come back as nan.
    header = json.dumps({"metric": float(metric), "leaves": fingerprint(state), "metadata": metadata})
    worker = ThreadPoolExecutor(1, "checkpoint")
    store.pending.append((step, worker, worker.submit(_write, store, step, jax.tree.leaves(state), header)))


def wait(store: Store) -> None:
    """Until the last save is on disk and its thread has ended; CheckpointError if it could not be written."""
    for step, worker, future in list(store.pending):
        worker.shutdown()
        store.pending.clear()
        if error := future.exception():
            last = f"the last good one is step {max(store.metrics)}" if store.metrics else "there is none before it"
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {store.directory} ({_reason(error)}), and "
                f"{last}: free some space or make it writable, and start again with the same workdir"
            ) from error


def restore(store: Store, abstract: Any) -> tuple[int, Any, dict[str, Any]] | None:
    """(step, state, metadata) of the newest whole checkpoint; None if there is none at all.

    abstract: the state in ShapeDtypeStructs. Without shardings the arrays are uncommitted, as those just made are, and
    what was compiled for these takes them. Damaged checkpoints that are newer are moved to WORKDIR/damaged.
    """
    wait(store)
    wanted, damaged = fingerprint(abstract), {}
    for step in sorted(store.metrics, reverse=True):
        try:
            leaves, metadata = _read(store.directory / str(step), wanted)
        except CheckpointError:
            raise
        except Exception as e:  # whichever byte was altered, and whoever stumbled over it
            damaged[step] = _reason(e)
            continue
        for bad, reason in damaged.items():
            moved = store.directory.parent / "damaged" / str(bad)
            moved.parent.mkdir(exist_ok=True)
            while moved.exists():
                moved = moved.with_name(f"{moved.name}-again")
            (store.directory / str(bad)).rename(moved)
            del store.metrics[bad]
            store.say(f"checkpoint {bad} is damaged ({reason}): moved to {moved}, going back to step {step}")
        like, tree = jax.tree.flatten(abstract)
        state = [jax.device_put(leaves[name], x.sharding) for name, x in zip(wanted, like, strict=True)]
        return step, tree.unflatten(state), metadata
    if damaged:
        each = "; ".join(f"{step}: {reason}" for step, reason in damaged.items())
        raise CheckpointError(f"every checkpoint in {store.directory} is damaged ({each}): begin in another workdir")
    return None


def load(directory: str | Path, step: int | None = None) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(step, state as nested dicts of numpy arrays, metadata); the newest if no step is named."""
    there = steps(Path(directory))
    step, state = max(there, default=0) if step is None else step, {}
    if step not in there:
        raise CheckpointError(f"there is no checkpoint of step {step} in {directory}: load one of the steps {there}")
    try:
        leaves, metadata = _read(Path(directory).absolute() / str(step))
    except Exception as e:
        raise CheckpointError(f"checkpoint {step} is damaged ({_reason(e)}): load another of the steps {there}") from e
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        functools.reduce(lambda node, key: node.setdefault(key, {}), parents, state)[last] = leaf
    return step, state, metadata


def kept(metrics: dict[int, float | None], policy: Policy) -> set[int]:
    """The steps to keep, of {step: metric}. What cannot be read is not deleted."""
    regular = {step for step in metrics if policy.keep_every and step % policy.keep_every == 0}
    unknown = {step for step, m in metrics.items() if m is None}
    return {*sorted(metrics)[-policy.latest :], *ranked(metrics)[: policy.best], *regular, *unknown}


def ranked(metrics: dict[int, float | None]) -> list[int]:
    """The steps with a finite metric, the lowest first."""
    return [step for _, step in sorted((m, step) for step, m in metrics.items() if m is not None and math.isfinite(m))]


def fingerprint(state: Any) -> dict[str, str]:
    """{"params/dense/kernel": "float32[3, 4]"}, in the order of the leaves."""
    found = {}
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        # Restored, a weakly typed array would be of another type, and compile the program anew.
        if getattr(x, "weak_type", False) or jnp.issubdtype(x.dtype, jax.dtypes.extended) or name in found:
            raise ValueError(f"state {name} is weakly typed, a key or there twice: give it a dtype, or its key_data")
        found[name] = f"{x.dtype}{list(x.shape)}"
    return found


def _write(store: Store, step: int, leaves: list[jax.Array], header: str) -> None:
    ocp, context = warm()
    data = b"".join(x.tobytes() for x in jax.device_get(leaves))
    own = {"header": header, "header_crc": zlib.crc32(header.encode()), "crc": zlib.crc32(data)}
    try:
        with context():
            ocp.save(store.directory / str(step), {"bytes": np.frombuffer(data, np.uint8)}, custom_metadata=own)
        store.metrics[step] = json.loads(header)["metric"]
        for old in set(store.metrics) - kept(store.metrics, store.policy):
            # First renamed: half deleted, it must not look like a checkpoint.
            (store.directory / str(old)).rename(store.directory / f"{old}.deleted")
            del store.metrics[old]
    finally:
        _clean(store.directory)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    ocp, context = warm()
    with context():
        own = ocp.metadata(path).custom_metadata or {}
    if zlib.crc32(own.get("header", "").encode()) != own.get("header_crc"):
        raise ValueError("its header was altered")
    return json.loads(own["header"]), own["crc"]


def _read(path: Path, wanted: dict[str, str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    header, crc = _header(path)
    here, there = wanted or header["leaves"], header["leaves"]
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if names:
        rows = [f"{name} {there.get(name, 'absent')} there, {here.get(name, 'absent')} here" for name in names[:5]]
        raise CheckpointError(
            f"{path} holds another state than this program ({'; '.join(rows)}; {len(names)} such in all): "
            "start with the config that it was made with, or in another workdir"
        )
    ocp, context = warm()
    with context():
        data = ocp.load(path, {"bytes": np.ndarray})["bytes"]
    if zlib.crc32(data) != crc:
        raise ValueError("its arrays were cut short or altered")
    leaves, start = {}, 0
    for name, text in there.items():
        dtype = text.partition("[")[0]
        shape = json.loads(text.removeprefix(dtype))
        end = start + math.prod(shape) * np.dtype(dtype).itemsize
        leaves[name], start = data[start:end].copy().view(dtype).reshape(shape), end
    return leaves, header["metadata"]


def _clean(directory: Path) -> None:
    for path in directory.glob("*.*"):
        if re.fullmatch(r"\d+\.(orbax-checkpoint-tmp.*|deleted)", path.name):
            shutil.rmtree(path, ignore_errors=True)


def _reason(error: BaseException) -> str:
    """The operating system's words where there are any (TensorStore hands on the number), else the first line."""
    if "DATA_LOSS" in str(error):  # two lines of TensorStore's insides
        return "its arrays were cut short or altered"
    code = re.search(r"(?:os_error_code='|^\[Errno )(\d+)", str(error))
    return os.strerror(int(code[1])) if code else f"{error}".partition("\n")[0][:200]
