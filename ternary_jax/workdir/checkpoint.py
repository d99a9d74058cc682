"""Checkpoints: written in a background thread, checked by dtype, shape and checksum when they are read.

A state is one array of bytes, leaf after leaf, and a header with the dtype and shape of each leaf. This is four times
as fast as forty arrays, and casts nothing. Orbax's `save_async` was rejected: it reports an error only at the next
save, and leaves a thread for each save. Orbax writes; `checkpoint_files` reads.
"""

import functools
import json
import logging
import math
import os
import re
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.errors import RunError, UnsafeFileError
from ternary_jax.workdir import safe_files
from ternary_jax.workdir.checkpoint_files import nested, read_header, read_leaves, steps


class CheckpointError(RunError):
    """A checkpoint cannot be read or written: one sentence with the reason and the fix."""


class Policy(NamedTuple):
    """Which checkpoints are kept.

    latest: number of the newest, at least 1
    best: number of those with the lowest metric
    keep_every: steps between those that are never deleted; 0: none
    """

    latest: int
    best: int
    keep_every: int


class Store(NamedTuple):
    """An open folder of checkpoints.

    say: prints a message about a damaged checkpoint
    metrics: step -> metric of every saved checkpoint, as from `metrics_of`
    pending: (step, thread, future) of the save under way; at most one
    """

    directory: Path
    policy: Policy
    say: Callable[[str], None]
    metrics: dict[int, float | None]
    pending: list[tuple[int, ThreadPoolExecutor, Future]]


@functools.cache
def orbax_and_context():
    """(orbax, function that makes its context). The import takes 0.5 s: call this in a thread when a program starts."""
    from orbax.checkpoint import v1 as ocp

    def context():  # a new context for each use: two threads cannot enter the same one
        saving = ocp.options.ArrayOptions.Saving(use_ocdbt=False, use_compression=False)
        # If a folder cannot be made, the error comes at once, before Orbax starts coroutines that are never awaited.
        early = ocp.options.AsyncOptions(create_directories_asynchronously=False)
        return ocp.Context(array_options=ocp.options.ArrayOptions(saving=saving), async_options=early)

    # A CheckpointError says what failed; Orbax would print warnings and tracebacks above it.
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    return ocp, context


def open_store(directory: str | Path, policy: Policy, say: Callable[[str], None]) -> Store:
    """Open WORKDIR/checkpoints: make it if it is missing, and delete the leftovers of saves that were killed."""
    directory = Path(directory).absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    safe_files.make_folder(directory)
    _clean(directory)
    return Store(directory, policy, say, metrics_of(directory), [])


def metrics_of(directory: Path) -> dict[int, float | None]:
    """{step: metric} of the checkpoints on disk; None for a checkpoint that cannot be read."""
    metrics: dict[int, float | None] = dict.fromkeys(steps(directory))
    for step in metrics:
        with suppress(Exception):  # `restore` and `load` report a damaged checkpoint where they read it
            metrics[step] = read_header(directory.absolute() / str(step)).metric
    return metrics


def save(store: Store, step: int, state: Any, metric: float, metadata: dict[str, Any]) -> None:
    """Begin to write a checkpoint, after the save before it. metric: lower is better, a value not finite is the worst.

    The arrays may still be computing, but must not be donated before the next `wait` or `save`.
    """
    wait(store)
    if step in store.metrics:
        raise CheckpointError(f"step {step} is already saved in {store.directory}: save a later one, or move it away")
    # Not `files.dumps`, which writes nan as null: only this file reads a header, and nan has to come back as nan.
    content = {"step": step, "metric": float(metric), "leaves": fingerprint(state), "metadata": metadata}
    header = json.dumps(content)
    worker = ThreadPoolExecutor(1, "checkpoint")
    store.pending.append((step, worker, worker.submit(_write, store, step, jax.tree.leaves(state), header)))


def wait(store: Store) -> None:
    """Wait until the last save is on disk and its thread has ended; CheckpointError if it could not be written."""
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
    """(step, state, metadata) of the newest undamaged checkpoint; None if the folder has no checkpoint.

    abstract: the state as ShapeDtypeStructs. Without shardings the arrays are uncommitted, as those of `init` are, so
    that the compiled program accepts them. Newer checkpoints that are damaged are moved to WORKDIR/damaged.
    """
    wait(store)
    wanted, damaged = fingerprint(abstract), {}
    for step in sorted(store.metrics, reverse=True):
        try:
            leaves, metadata = _read(store.directory / str(step), wanted)
        except CheckpointError:
            raise
        except Exception as e:  # an altered byte can raise any error, in any library
            damaged[step] = _reason(e)
            continue
        for bad, reason in damaged.items():
            moved = store.directory.parent / "damaged" / str(bad)
            safe_files.make_folder(moved.parent)
            while safe_files.kind(moved):
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
    """(step, state as nested dicts of numpy arrays, metadata) of a checkpoint; the newest if step is None."""
    saved = steps(Path(directory))
    if not saved:
        raise CheckpointError(f"there is no checkpoint in {directory}")
    step = max(saved) if step is None else step
    if step not in saved:
        raise CheckpointError(f"there is no checkpoint of step {step} in {directory}: load one of the steps {saved}")
    try:
        leaves, metadata = _read(Path(directory).absolute() / str(step))
        return step, nested(leaves), metadata
    except Exception as e:
        others = [other for other in saved if other != step]
        fix = f"load another of the steps {others}" if others else "there is no other, so train in another workdir"
        raise CheckpointError(f"checkpoint {step} is damaged ({_reason(e)}): {fix}") from e


def kept(metrics: dict[int, float | None], policy: Policy) -> set[int]:
    """The steps to keep, of {step: metric}. A checkpoint that cannot be read is kept."""
    regular = {step for step in metrics if policy.keep_every and step % policy.keep_every == 0}
    unknown = {step for step, m in metrics.items() if m is None}
    return {*sorted(metrics)[-policy.latest :], *ranked(metrics)[: policy.best], *regular, *unknown}


def ranked(metrics: dict[int, float | None]) -> list[int]:
    """The steps with a finite metric, the lowest metric first."""
    return [step for _, step in sorted((m, step) for step, m in metrics.items() if m is not None and math.isfinite(m))]


def fingerprint(state: Any) -> dict[str, str]:
    """Names, dtypes and shapes of the leaves, in their order: {"params/dense/kernel": "float32[3, 4]"}."""
    leaves = {}
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        # A weakly typed array is restored as a strongly typed one, so the program would be compiled again.
        if getattr(x, "weak_type", False) or jnp.issubdtype(x.dtype, jax.dtypes.extended) or name in leaves:
            raise ValueError(
                f"state leaf {name} is weakly typed, or a PRNG key, or its name occurs twice: give it an explicit "
                "dtype, store jax.random.key_data of the key, or rename the leaf"
            )
        leaves[name] = f"{x.dtype}{list(x.shape)}"
    return leaves


def mismatches(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """A text for each leaf in which two fingerprints differ."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return [f"{name} {there.get(name, 'absent')} there, {here.get(name, 'absent')} here" for name in names]


def _write(store: Store, step: int, leaves: list[jax.Array], header: str) -> None:
    ocp, context = orbax_and_context()
    data = b"".join(x.tobytes() for x in jax.device_get(leaves))
    checked = {"header": header, "header_crc": zlib.crc32(header.encode()), "crc": zlib.crc32(data)}
    try:
        with context():
            ocp.save(store.directory / str(step), {"bytes": np.frombuffer(data, np.uint8)}, custom_metadata=checked)
        store.metrics[step] = json.loads(header)["metric"]
        for old in set(store.metrics) - kept(store.metrics, store.policy):
            # Renamed before it is deleted: a folder that is half deleted must not look like a checkpoint.
            (store.directory / str(old)).rename(store.directory / f"{old}.deleted")
            del store.metrics[old]
    finally:
        _clean(store.directory)


def _read(path: Path, wanted: dict[str, str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    header = read_header(path)
    if wanted is not None and header.step is None:
        raise ValueError("its header has no step")  # a renamed folder would be resumed at a wrong one
    if wanted is not None and (differing := mismatches(header.leaves, wanted)):
        raise CheckpointError(
            f"{path} holds another state than this program ({'; '.join(differing[:5])}; {len(differing)} such in all): "
            "start with the config that it was made with, or in another workdir"
        )
    return read_leaves(path, header), header.metadata


def _clean(directory: Path) -> None:
    for path in directory.glob("*.*"):
        if re.fullmatch(r"\d+\.(orbax-checkpoint-tmp.*|deleted)", path.name):
            safe_files.remove(path)


def _reason(error: BaseException) -> str:
    """The operating system's text of the error (TensorStore gives its number), else the first line of the message."""
    if isinstance(error, UnsafeFileError):
        return str(error).partition(": ")[0]
    code = re.search(r"(?:os_error_code='|^\[Errno )(\d+)", str(error))
    return os.strerror(int(code[1])) if code else f"{error}".partition("\n")[0][:200]
