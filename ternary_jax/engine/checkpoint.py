"""Checkpoints: written in a thread of their own, compared and checksummed on the way back.

A state is one array of bytes, its leaves one after the other, and a header that says what lies where: Orbax writes that
four times quicker than forty arrays, and bytes cannot be cast on the way. The thread is ours because `save_async` of
Orbax tells what failed only at the next save, and leaves a thread behind each time.
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
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class CheckpointError(RuntimeError):
    """One sentence: what is wrong with the checkpoints, and what to do."""


class Policy(NamedTuple):
    """latest >= 1: how many of the newest; best: of those with the lowest metric; keep_every: in steps, 0 for none."""

    latest: int
    best: int
    keep_every: int


class Store(NamedTuple):
    """metrics: {step: metric} of what is on disk, None for one that cannot be read; pending: the save under way."""

    directory: Path
    policy: Policy
    say: Callable[[str], None]
    metrics: dict[int, float | None]
    pending: list[tuple[int, Future]]
    worker: ThreadPoolExecutor


@functools.cache
def warm():
    """Orbax and our way to use it. The import takes half a second: called by a thread at the start, nobody waits."""
    from orbax.checkpoint import v1 as ocp

    # What fails is said in a sentence of ours; Orbax would print warnings and tracebacks above it.
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    return ocp, ocp.Context(
        array_options=ocp.options.ArrayOptions(
            saving=ocp.options.ArrayOptions.Saving(use_ocdbt=False, use_compression=False)
        ),
        # Where no folder can be made, that is the error, before there are coroutines that nobody awaits.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
    )


def open_store(directory: str | Path, policy: Policy, say: Callable[[str], None]) -> Store:
    """The folder WORKDIR/checkpoints, made if need be, rid of what killed saves left. say: told of damage."""
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    _clean(directory)
    metrics = {}
    for step in _steps(directory):
        try:
            metrics[step] = _header(directory / str(step))[0]["metric"]
        except Exception:  # `restore` says so, should it come to this one
            metrics[step] = None
    return Store(directory, policy, say, metrics, [], ThreadPoolExecutor(1, "checkpoint"))


def save(store: Store, step: int, state: Any, metric: float, metadata: dict[str, Any]) -> None:
    """Begin to write a checkpoint. metric: lower is better; one that is not finite is worse than all others.

    The arrays may still be computing, but must not be donated before the next `wait`. That is how the next `save`
    begins, which is therefore where a failure is raised.
    """
    wait(store)
    if step in store.metrics:
        raise CheckpointError(
            f"step {step} is already saved in {store.directory}: save a later one, or delete it first"
        )
    header = json.dumps({"metric": float(metric), "leaves": fingerprint(state), "metadata": metadata})
    store.pending.append((step, store.worker.submit(_write, store, step, jax.tree.leaves(state), header)))


def wait(store: Store) -> None:
    """Until the last save is on disk; CheckpointError if it could not be written."""
    while store.pending:
        step, future = store.pending.pop()
        try:
            future.result()
        except Exception as e:
            last = f"the last good one is step {max(store.metrics)}" if store.metrics else "there is none before it"
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {store.directory} ({_reason(e)}), and {last}: "
                "free some space or make it writable, and start again with the same workdir"
            ) from e


def close(store: Store) -> None:
    """`wait`, and end the thread."""
    try:
        wait(store)
    finally:
        store.worker.shutdown()


def restore(store: Store, abstract: Any) -> tuple[int, Any, dict[str, Any]] | None:
    """(step, state, metadata) of the newest whole checkpoint, None if there is none at all. Damaged ones are moved.

    abstract: the state in ShapeDtypeStructs. Without shardings the arrays are uncommitted, like those just made, and a
    program that was compiled for these takes them.
    """
    wait(store)
    wanted, damaged = fingerprint(abstract), {}
    for step in sorted(store.metrics, reverse=True):
        path = store.directory / str(step)
        try:
            header, crc = _header(path)
            differences = _differences(header["leaves"], wanted)
            leaves = {} if differences else _read(path, header["leaves"], crc)
        except Exception as e:  # whichever byte was altered, and whoever stumbled over it
            damaged[step] = _reason(e)
            continue
        if differences:
            raise CheckpointError(
                f"{path} holds another state than this program: {differences}: "
                "start with the config that it was made with, or in another workdir"
            )
        for bad, reason in damaged.items():
            moved = _move_away(store, bad)
            store.say(
                f"the checkpoint of step {bad} is damaged ({reason}): moved to {moved}, going back to step {step}"
            )
        like, tree = jax.tree.flatten(abstract)
        state = [jax.device_put(leaves[name], x.sharding) for name, x in zip(wanted, like, strict=True)]
        return step, tree.unflatten(state), header["metadata"]
    if damaged:
        raise CheckpointError(
            f"every checkpoint in {store.directory} is damaged ({'; '.join(f'{k}: {v}' for k, v in damaged.items())}): "
            "put back a copy of one, or begin in another workdir"
        )
    return None


def load(directory: str | Path, step: int | None = None) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(step, state as nested dicts of numpy arrays, metadata); the newest if no step is named. For notebooks."""
    steps = _steps(Path(directory))
    step = steps[-1] if steps and step is None else step
    if step not in steps:
        raise CheckpointError(f"no checkpoint of step {step} in {directory}: the steps there are {steps}")
    path, state = Path(directory).absolute() / str(step), {}
    try:
        header, crc = _header(path)
        leaves = _read(path, header["leaves"], crc)
    except Exception as e:
        raise CheckpointError(f"{path} is damaged ({_reason(e)}): load another of the steps {steps}") from e
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        functools.reduce(lambda node, key: node.setdefault(key, {}), parents, state)[last] = leaf
    return step, state, header["metadata"]


def kept(metrics: dict[int, float | None], policy: Policy) -> set[int]:
    """The steps to keep, of {step: metric}. What cannot be read is not deleted."""
    ranked = sorted((m, step) for step, m in metrics.items() if m is not None and math.isfinite(m))
    regular = {step for step in metrics if policy.keep_every and step % policy.keep_every == 0}
    unknown = {step for step, m in metrics.items() if m is None}
    return {*sorted(metrics)[-policy.latest :], *(step for _, step in ranked[: policy.best]), *regular, *unknown}


def fingerprint(state: Any) -> dict[str, str]:
    """{"params/dense/kernel": "float32[3,4]"}, in the order of the leaves."""
    found = {}
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        # Restored, the first would be of another type, and compile the program anew.
        if getattr(x, "weak_type", False) or jnp.issubdtype(x.dtype, jax.dtypes.extended) or name in found:
            raise ValueError(
                f"state {name}: {x} is weakly typed, a key or there twice; give it a dtype, or key_data(it)"
            )
        found[name] = f"{x.dtype}[{','.join(map(str, x.shape))}]"
    return found


def _differences(there: dict[str, str], here: dict[str, str]) -> str:
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    rows = [f"{name} is {there.get(name, 'absent')} there and {here.get(name, 'absent')} here" for name in names]
    return "; ".join(rows[:5] + [f"and {len(rows) - 5} more"] * (len(rows) > 5))


# --- on disk ----------------------------------------------------------------------------------------------------------


def _write(store: Store, step: int, leaves: list[jax.Array], header: str) -> None:
    ocp, context = warm()
    data = np.frombuffer(b"".join(x.tobytes() for x in jax.device_get(leaves)), np.uint8)
    own = {"header": header, "header_crc": zlib.crc32(header.encode()), "crc": zlib.crc32(data)}
    try:
        with context:
            ocp.save(store.directory / str(step), {"bytes": data}, custom_metadata=own)
        store.metrics[step] = json.loads(header)["metric"]
        for old in set(store.metrics) - kept(store.metrics, store.policy):
            # First renamed: killed half-way, it must not look like a checkpoint.
            (store.directory / str(old)).rename(store.directory / f"{old}.deleted")
            del store.metrics[old]
    finally:
        _clean(store.directory)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    ocp, context = warm()
    with context:
        own = ocp.metadata(path).custom_metadata or {}
    if zlib.crc32(own.get("header", "").encode()) != own.get("header_crc"):
        raise ValueError("its header was altered")
    return json.loads(own["header"]), own["crc"]


def _read(path: Path, described: dict[str, str], crc: int) -> dict[str, np.ndarray]:
    ocp, context = warm()
    with context:
        data = ocp.load(path, {"bytes": np.ndarray})["bytes"]
    if zlib.crc32(data) != crc:
        raise ValueError("its arrays were altered")
    leaves, start = {}, 0
    for name, text in described.items():
        dtype, dims = text[:-1].split("[")
        shape = tuple(int(n) for n in dims.split(",") if n)
        end = start + math.prod(shape) * np.dtype(dtype).itemsize
        leaves[name], start = data[start:end].copy().view(dtype).reshape(shape), end
    return leaves


def _steps(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.glob("*") if path.name.isdecimal())


def _clean(directory: Path) -> None:
    for path in directory.glob("*.*"):
        if re.fullmatch(r"\d+\.(orbax-checkpoint-tmp.*|deleted)", path.name):
            shutil.rmtree(path, ignore_errors=True)


def _move_away(store: Store, step: int) -> Path:
    folder = store.directory.parent / "damaged"
    folder.mkdir(exist_ok=True)
    times = sum(path.name.split("-")[0] == str(step) for path in folder.iterdir())
    del store.metrics[step]
    return (store.directory / str(step)).rename(folder / (f"{step}-{times + 1}" if times else str(step)))


def _reason(error: BaseException) -> str:
    """The operating system's words, of which TensorStore hands on the number; else the first line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else (str(error).splitlines() or [type(error).__name__])[0][:200]
