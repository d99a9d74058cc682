"""Does a killed run leave any trace in what it ends with?

A small autoencoder that saves after every epoch is run once undisturbed. Then, twenty times, it is killed (SIGKILL) and
started again: by turns at a moment drawn uniformly over the time of a run, its start included, and in the save that
follows a step drawn uniformly. What is left must be the same bit for bit: each leaf of the newest checkpoint, each
array of the exports, and the rows of metrics.jsonl but for the clock's columns. Every fifth run starts with an empty
compilation cache. A run with another seed is the control: it has to differ, or the comparison sees nothing.

    python experiments/kill.py            writes results/kill.json; status 1 if a trace was found
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from ternary_jax.engine import checkpoint, log

ROOT = pathlib.Path(__file__).resolve().parents[1]
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
CLOCK = ("wall_s", "samples_per_s")


def start(workdir, overrides, cache, config="configs/smoke.py", before=(), stderr: Any = subprocess.PIPE):
    """The run as a process of its own. cache: its folder of compiled programs; before: a command that runs it."""
    command = [*before, sys.executable, "-m", "ternary_jax.main", f"--config={ROOT / config}", f"--workdir={workdir}"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}  # jax has set it here
    env |= {"PYTHONPATH": path, "XDG_CACHE_HOME": str(cache)}
    command += [f"--config.{override}" for override in overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """(exit status, stderr)"""
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def left_behind(workdir: pathlib.Path, runs: Iterable[int] = (0,)) -> dict[str, bytes]:
    """All that a finished workdir says of these runs, by name, as bytes."""
    step, state, _ = checkpoint.load(workdir / "checkpoints")
    out = {"step": str(step).encode()}
    for k in runs:
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            out[f"run {k}, state/{jax.tree_util.keystr(path, simple=True, separator='/')}"] = leaf[k].tobytes()
        for row in log.read(workdir):
            if row["run"] == k:
                values = {name: value for name, value in row.items() if name not in CLOCK}
                out[f"run {k}, row of step {row['step']}"] = json.dumps(values).encode()
        with np.load(workdir / "embeddings" / f"run_{k:03d}.npz") as arrays:
            out |= {f"run {k}, export/{name}": arrays[name].tobytes() for name in arrays.files}
    return out


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names that are absent in one of them, or of other bytes."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def unfinished(workdir: pathlib.Path) -> bool:
    """Whether a save is under way, or was when the process died: Orbax gives a whole one its name at the end."""
    try:
        return any("tmp" in entry.name for entry in os.scandir(workdir / "checkpoints"))
    except FileNotFoundError:
        return False


def newest(workdir: pathlib.Path) -> int:
    """Step of the newest whole checkpoint, 0 without one."""
    try:
        return max((int(name) for name in os.listdir(workdir / "checkpoints") if name.isdecimal()), default=0)
    except FileNotFoundError:
        return 0


def trial(workdir, cache, moment_s: float, after_step: int | None) -> dict | None:
    """Kill at a moment, or in a save after a step, and start again until it ends; None where that was missed."""
    process, begun = start(workdir, SMALL, cache), time.monotonic()
    in_a_save = after_step is not None
    while process.poll() is None and not (
        newest(workdir) >= after_step and unfinished(workdir) if in_a_save else time.monotonic() > begun + moment_s
    ):
        time.sleep(0.0003)
    process.kill()
    killed_s = time.monotonic() - begun
    if ended(process)[0] != -9 or (in_a_save and not unfinished(workdir)):
        return None
    kind, cut = ("in a save", True) if unfinished(workdir) else ("in no save", False)
    status, err = ended(start(workdir, SMALL, cache))
    went_on = [line for line in err.splitlines() if "going on from step" in line or "compiling" in line]
    step = went_on[0].partition("step ")[2].partition(" ")[0].replace(",", "") if went_on else "?"
    seen = {"killed_s": round(killed_s, 3), "in_a_save": cut, "kind": kind, "from_step": int(step or 0)}
    return seen | {"status": status, "error": err.splitlines()[-1] if status else ""}


def main() -> None:
    """Undisturbed, control, trials; print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results"), help="where to write")
    args = parser.parse_args()
    draw, rows, redrawn = np.random.default_rng(args.seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        place, length, left = pathlib.Path(folder), {}, {}
        for name, seed in (("cold", 0), ("warm", 0), ("control", 1)):
            begun = time.monotonic()
            status, err = ended(start(place / name, (*SMALL, f"seed={seed}"), place / "cache"))
            assert status == 0, err
            length[name], left[name] = time.monotonic() - begun, left_behind(place / name)
            print(f"undisturbed, {name}: {length[name]:.1f} s", flush=True)
        undisturbed = left["cold"]
        assert not differing(left["warm"], undisturbed), "two undisturbed runs differ"
        control = differing(left["control"], undisturbed)
        print(f"control, another seed: {len(control)} of {len(undisturbed)} differ, as they must" if control else "")
        assert control, "another seed makes no difference: the comparison sees nothing"
        while len(rows) < args.trials:
            n = len(rows) + redrawn
            cold = len(rows) % 5 == 0
            moment = draw.uniform(0, length["cold" if cold else "warm"])
            step = int(draw.integers(int(undisturbed["step"]))) if len(rows) % 2 else None
            cache = place / (f"cache{n}" if cold else "cache")
            seen = trial(place / f"killed{n}", cache, moment, step)
            if seen is None:
                redrawn += 1
                continue
            bad = [seen["error"]] if seen["status"] else differing(left_behind(place / f"killed{n}"), undisturbed)
            rows.append(seen | {"cold": cold, "differing": bad})
            what = f"{len(bad)} differ, such as {bad[0]}" if bad else "identical"
            text = f"{len(rows):3d}  killed after {seen['killed_s']:5.2f} s, {seen['kind']:<10s}  "
            text += f"{'cold' if cold else 'warm'}  went on from step {seen['from_step']:4d}  {what}"
            print(text, flush=True)
    same = sum(not row["differing"] for row in rows)
    in_saves = sum(row["in_a_save"] for row in rows)
    print(f"{same} of {len(rows)} bit-identical; {in_saves} killed in a save; {redrawn} missed, drawn anew")
    report = {"config": {"trials": args.trials, "seed": args.seed, "overrides": SMALL}, "jax": jax.__version__}
    report |= {"identical": same, "compared": len(undisturbed), "control_differs": len(control), "in_a_save": in_saves}
    report |= {"redrawn": redrawn, "length_s": {k: round(v, 1) for k, v in length.items()}, "trials": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "kill.json").write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(same < len(rows))


if __name__ == "__main__":
    main()
