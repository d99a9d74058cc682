"""Checkpoints: written in a thread of their own, compared and checksummed on the way back.

A state is written as one array of bytes, its leaves one after the other, with a header that says what lies where. Orbax
writes one array five times quicker than forty, and bytes cannot be cast to another dtype on the way. The thread is ours
because `save_async` of Orbax reports what failed only at the next save, and keeps a thread for every save.
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

LEFTOVER = re.compile(r"\d+\.(orbax-checkpoint-tmp.*|deleted)")


class CheckpointError(RuntimeError):
    """One sentence: what is wrong with the checkpoints, and what to do."""


class Policy(NamedTuple):
    """latest >= 1: the newest so many are kept; best: so many with the lowest metric; keep_every: steps, 0 for never."""

    latest: int
    best: int
    keep_every: int


class Store(NamedTuple):
    """A folder of checkpoints. metrics: step -> metric (None: cannot be read); it and `pending` change with each save."""

    directory: Path
    policy: Policy
    say: Callable[[str], None]
    metrics: dict[int, float | None]
    worker: ThreadPoolExecutor
    pending: list[tuple[int, Future]]


def warm() -> None:
    """Import Orbax (about 0.5 s), so that no later call has to: for a thread in the background of the start."""
    _orbax()


def open_store(directory: str | Path, policy: Policy, say: Callable[[str], None]) -> Store:
    """WORKDIR/checkpoints, made if need be and rid of what killed saves left. say: told what was found damaged."""
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    _clean(directory)
    metrics = {step: _metric(directory / str(step)) for step in _steps(directory)}
    return Store(directory, policy, say, metrics, ThreadPoolExecutor(1, "checkpoint"), [])


def save(store: Store, step: int, state: Any, metric: float, metadata: dict[str, Any]) -> None:
    """Begin to write a checkpoint. metric: lower is better, and one that is not finite is worse than all others.

    The arrays of `state` may still be computing, but must not be donated before the next `wait`, which is the first
    thing that the next `save` does: so it is there that a failure is raised.
    """
    wait(store)
    if step in store.metrics:
        raise CheckpointError(f"step {step} is already saved in {store.directory}: save a later step, or delete it")
    # Here and not in the thread: a mistake is raised at its own line, and the caller may change the dict afterwards.
    header = json.dumps({"metric": float(metric), "leaves": fingerprint(state), "metadata": metadata})
    store.pending.append((step, store.worker.submit(_write, store, step, jax.tree.leaves(state), header)))


def wait(store: Store) -> None:
    """Until the last save is on disk; CheckpointError where it could not be written."""
    while store.pending:
        step, future = store.pending.pop()
        try:
            future.result()
        except Exception as e:
            last = f"the last good one is step {max(store.metrics)}" if store.metrics else "there is none before it"
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {store.directory} ({_reason(e)}), and {last}: "
                "free some space and start again with the same workdir"
            ) from e


def close(store: Store) -> None:
    """`wait`, and end the thread."""
    try:
        wait(store)
    finally:
        store.worker.shutdown()


def restore(store: Store, abstract: Any) -> tuple[int, Any, dict[str, Any]] | None:
    """(step, state, metadata) of the newest checkpoint that is whole; None if there is none at all.

    abstract: the state as ShapeDtypeStructs. Damaged checkpoints that are newer go to WORKDIR/damaged.
    """
    wait(store)
    wanted = fingerprint(abstract)
    damaged = {}
    for step in sorted(store.metrics, reverse=True):
        try:
            header = _header(store.directory / str(step))
            _refuse_unless_equal(header["leaves"], wanted, store.directory / str(step))
            leaves = _read(store.directory / str(step), header)
        except CheckpointError:
            raise
        except Exception as e:  # whatever bytes were altered, and whoever stumbled over them
            damaged[step] = _reason(e)
            continue
        for bad, reason in damaged.items():
            store.say(
                f"WARNING: the checkpoint of step {bad} is damaged ({reason}): "
                f"moved to {_set_aside(store, bad)}, going back to step {step}"
            )
        like, tree = jax.tree.flatten(abstract)
        # Without a sharding the array is uncommitted, like one that was just made: the program is not compiled anew.
        state = [jax.device_put(leaves[path], x.sharding) for path, x in zip(wanted, like, strict=True)]
        return step, tree.unflatten(state), header["metadata"]
    if damaged:
        raise CheckpointError(
            f"every checkpoint in {store.directory} is damaged ({'; '.join(f'{k}: {v}' for k, v in damaged.items())}): "
            "put back a copy of one, or begin anew in another workdir"
        )
    return None


def load(directory: str | Path, step: int | None = None) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(step, state as nested dicts of numpy arrays, metadata), the newest if no step is named. For notebooks."""
    steps = _steps(Path(directory))
    if not steps or (step is not None and step not in steps):
        raise CheckpointError(f"there is no checkpoint {step or ''} in {directory}: there are {steps or 'none'}")
    step = max(steps) if step is None else step
    path = Path(directory).absolute() / str(step)
    try:
        header = _header(path)
        leaves = _read(path, header)
    except Exception as e:
        raise CheckpointError(f"{path} is damaged ({_reason(e)}): load another step, there are {steps}") from e
    state = {}
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        functools.reduce(lambda node, key: node.setdefault(key, {}), parents, state)[last] = leaf
    return step, state, header["metadata"]


def kept(metrics: dict[int, float | None], policy: Policy) -> set[int]:
    """The steps that the policy keeps, of {step: metric}."""
    steps = sorted(metrics)
    ranked = sorted((m, step) for step, m in metrics.items() if m is not None and math.isfinite(m))
    regular = {step for step in steps if policy.keep_every and step % policy.keep_every == 0}
    unknown = {step for step in steps if metrics[step] is None}
    return {*steps[-policy.latest :], *(step for _, step in ranked[: policy.best])} | regular | unknown


def fingerprint(state: Any) -> dict[str, str]:
    """{"params/dense/kernel": "float32[3,4]"}, in the order of the leaves. Strongly typed arrays only, without keys."""
    found = {}
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in found or getattr(x, "weak_type", False) or jnp.issubdtype(x.dtype, jax.dtypes.extended):
            raise ValueError(f"{name} in the state is weakly typed, a key, or there twice: give it a dtype, or key_data")
        found[name] = f"{x.dtype}[{','.join(map(str, x.shape))}]"
    return found


# --- on disk ----------------------------------------------------------------------------------------------------------


@functools.cache
def _orbax():
    from orbax.checkpoint import v1 as ocp

    # What went wrong reaches the user as a sentence of ours; Orbax would print its own warnings and tracebacks above it.
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    saving = ocp.options.ArrayOptions.Saving(use_ocdbt=False, use_compression=False)
    return ocp, ocp.Context(array_options=ocp.options.ArrayOptions(saving=saving))


def _write(store: Store, step: int, leaves: list[jax.Array], header: str) -> None:
    ocp, context = _orbax()
    data = np.concatenate([np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in jax.device_get(leaves)])
    text = json.dumps({**json.loads(header), "crc32": zlib.crc32(data)})
    try:
        with context:
            own = {"header": text, "crc32": zlib.crc32(text.encode())}
            ocp.save(store.directory / str(step), {"bytes": data}, custom_metadata=own)
    except BaseException:
        _clean(store.directory)
        raise
    store.metrics[step] = json.loads(header)["metric"]
    for old in set(store.metrics) - kept(store.metrics, store.policy):
        # First another name: half a checkpoint must not look like one.
        (store.directory / str(old)).rename(store.directory / f"{old}.deleted")
        del store.metrics[old]
    _clean(store.directory)


def _header(path: Path) -> dict[str, Any]:
    ocp, context = _orbax()
    with context:
        own = ocp.metadata(path).custom_metadata
    if zlib.crc32(own["header"].encode()) != own["crc32"]:
        raise ValueError("its header was altered")
    return json.loads(own["header"])


def _read(path: Path, header: dict[str, Any]) -> dict[str, np.ndarray]:
    ocp, context = _orbax()
    with context:
        data = ocp.load(path, {"bytes": np.ndarray})["bytes"]
    if zlib.crc32(data) != header["crc32"]:
        raise ValueError("its arrays were altered")
    leaves, start = {}, 0
    for name, text in header["leaves"].items():
        dtype, dims = text[:-1].split("[")
        shape = tuple(int(n) for n in dims.split(",") if n)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        leaves[name] = data[start : start + size].copy().view(dtype).reshape(shape)
        start += size
    return leaves


def _steps(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.glob("*") if path.name.isdecimal())


def _metric(path: Path) -> float | None:
    try:
        return _header(path)["metric"]
    except Exception:  # said aloud by `restore`, if it is ever needed
        return None


def _clean(directory: Path) -> None:
    for path in directory.iterdir():
        if LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _set_aside(store: Store, step: int) -> Path:
    folder = store.directory.parent / "damaged"
    folder.mkdir(exist_ok=True)
    number = sum(re.fullmatch(rf"{step}(-\d+)?", path.name) is not None for path in folder.iterdir())
    del store.metrics[step]
    return (store.directory / str(step)).rename(folder / (f"{step}-{number + 1}" if number else str(step)))


def _refuse_unless_equal(there: dict[str, str], here: dict[str, str], path: Path) -> None:
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    rows = [f"{name} is {there.get(name, 'absent')} there and {here.get(name, 'absent')} here" for name in names[:5]]
    if len(names) > 5:
        rows.append(f"and {len(names) - 5} more")
    if rows:
        raise CheckpointError(
            f"{path} holds another state than this program: {'; '.join(rows)}: "
            "start with the config that it was made with, or in another workdir"
        )


def _reason(error: BaseException) -> str:
    """The operating system's words, which are at the end of a long message of TensorStore; else the first line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else (str(error).splitlines() or [type(error).__name__])[0][:200]
