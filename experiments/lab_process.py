"""Trainings as separate processes, and the files that they leave, for experiments that time or disturb whole runs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
from lab import ROOT

from ternary_jax import workdir

# A small autoencoder that saves after every epoch; a run takes a few seconds.
SMALL = (
    "data.n_digits=6",
    "model.A.hidden=(32,32)",
    "model.B.hidden=(32,32)",
    "model.dim=8",
    "train.epochs=100",
    "train.batch_size=64",
    "evaluate.cheap_every=1",
    "evaluate.costly_every=20",
    "checkpoint.every=1",
)
CLOCK = ("wall_s", "samples_per_s")  # columns of a row that differ between two equal runs


def command(config: Any, workdir: Any, overrides: Iterable[str] = ()) -> list[str]:
    """The command line of a training; a relative config is one of this checkout."""
    main = [sys.executable, "-m", "ternary_jax.main", f"--config={ROOT / config}", f"--workdir={workdir}"]
    return [*main, "--config.report.on=never"] + [f"--config.{override}" for override in overrides]


def environment(cache: Any) -> dict[str, str]:
    """The environment of a process that imports this checkout and tests/, with its compilation cache in this folder."""
    dropped = ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR")  # importing the package has set the first
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "XDG_CACHE_HOME": str(cache)}


def timed_run(config: Any, overrides: Sequence[str] = (), cache: Any = None) -> tuple[float, dict[str, Any]]:
    """(seconds of the process, summary) of a training. cache: folder of compiled programs; None: nothing is cached."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = overrides if cache else [*overrides, "compilation_cache=false"]
        begun = time.time()
        subprocess.run(
            command(config, f"{folder}/run", overrides),
            check=True,
            cwd=ROOT,
            env=environment(cache or folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.time() - begun, json.loads(Path(folder, "run", "summary.json").read_text())


def start(workdir, overrides, cache, config="configs/smoke.py", before=(), stderr: Any = subprocess.PIPE):
    """Start the training as a process. cache: folder of its compiled programs; before: a command that runs it."""
    line = [*before, *command(config, workdir, overrides)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment(cache))


def ended(process: subprocess.Popen, most_s: float = 300) -> tuple[int, str]:
    """Wait for a process to end, at most this long; -> (exit status, stderr)."""
    _, err = process.communicate(timeout=most_s)
    return process.returncode, err


def left_behind(path: Path, runs: Iterable[int] = (0,)) -> dict[str, bytes]:
    """The checkpoint, rows and exports of these runs in a finished workdir, by name, as bytes."""
    run, rows = workdir.open(path), [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    step, state, _ = run.checkpoint()
    out = {"step": str(step).encode()}
    for k in runs:
        for place, leaf in jax.tree_util.tree_leaves_with_path(state):
            out[f"run {k}, state/{jax.tree_util.keystr(place, simple=True, separator='/')}"] = leaf[k].tobytes()
        for row in (row for row in rows if row["run"] == k):
            values = {name: value for name, value in row.items() if name not in CLOCK}
            out[f"run {k}, row of step {row['step']}"] = json.dumps(values).encode()
        out |= {f"run {k}, export/{name}": x.tobytes() for name, x in run.embeddings(k).items()}
    return out


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names that are absent in one of the two, or that have different bytes."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def newest(workdir: Path) -> int:
    """Step of the newest whole checkpoint, 0 without one."""
    try:
        return max((int(name) for name in os.listdir(workdir / "checkpoints") if name.isdecimal()), default=0)
    except FileNotFoundError:
        return 0


def unfinished(workdir: Path) -> bool:
    """Whether a save is under way, or was at a kill: Orbax gives a checkpoint its name at the end of a save."""
    try:
        return any("tmp" in entry.name for entry in os.scandir(workdir / "checkpoints"))
    except FileNotFoundError:
        return False
