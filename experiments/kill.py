"""Does a kill change the results of a run that is resumed?

A small autoencoder that saves after every epoch is run once undisturbed. Then, twenty times, it is killed (SIGKILL) and
started again: by turns at a moment drawn uniformly over the time of a run, its start included, and in the save that
follows a step drawn uniformly. The results must be the same bit for bit: each leaf of the newest checkpoint, each
array of the exports, and the rows of metrics.jsonl except the columns of times. Every fifth run starts with an empty
compilation cache. A run with another seed is the control: its results have to differ.

    python experiments/kill.py            writes results/kill.json; status 1 if any trial differs
"""

import sys
import tempfile
import time
from pathlib import Path

import lab
import numpy as np
from lab_process import SMALL, differing, ended, left_behind, newest, start, unfinished


def trial(workdir, cache, moment_s: float, after_step: int | None) -> dict | None:
    """Kill at a moment, or in a save after a step, then run to the end; None if the kill came too late."""
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


def undisturbed(place: Path) -> tuple[dict[str, float], dict[str, bytes], list[str]]:
    """(seconds of each undisturbed run, results, names of the results in which the control differs)."""
    length, left = {}, {}
    for name, seed in (("cold", 0), ("warm", 0), ("control", 1)):
        begun = time.monotonic()
        status, err = ended(start(place / name, (*SMALL, f"seed={seed}"), place / "cache"))
        assert status == 0, err
        length[name], left[name] = time.monotonic() - begun, left_behind(place / name)
        print(f"undisturbed, {name}: {length[name]:.1f} s", flush=True)
    assert not differing(left["warm"], left["cold"]), "two undisturbed runs differ"
    control = differing(left["control"], left["cold"])
    assert control, "a run with another seed has the same results: the comparison detects nothing"
    print(f"control, another seed: {len(control)} of {len(left['cold'])} differ, as they must")
    return length, left["cold"], control


def trials(n: int, draw: np.random.Generator, place: Path, length: dict, wanted: dict) -> tuple[list[dict], int]:
    """(a row for each of n trials, how many were missed and drawn anew)."""
    rows, redrawn = [], 0
    while len(rows) < n:
        number, cold = len(rows) + redrawn, len(rows) % 5 == 0
        moment = draw.uniform(0, length["cold" if cold else "warm"])
        step = int(draw.integers(int(wanted["step"]))) if len(rows) % 2 else None
        workdir = place / f"killed{number}"
        seen = trial(workdir, place / (f"cache{number}" if cold else "cache"), moment, step)
        if seen is None:
            redrawn += 1
            continue
        bad = [seen["error"]] if seen["status"] else differing(left_behind(workdir), wanted)
        rows.append(seen | {"cold": cold, "differing": bad})
        what = f"{len(bad)} differ, such as {bad[0]}" if bad else "identical"
        text = f"{len(rows):3d}  killed after {seen['killed_s']:5.2f} s, {seen['kind']:<10s}  "
        text += f"{'cold' if cold else 'warm'}  went on from step {seen['from_step']:4d}  {what}"
        print(text, flush=True)
    return rows, redrawn


def main() -> None:
    """Train the undisturbed runs and the control, then the trials; print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        length, wanted, control = undisturbed(Path(folder))
        rows, redrawn = trials(given.trials, np.random.default_rng(given.seed), Path(folder), length, wanted)
    same, in_saves = sum(not row["differing"] for row in rows), sum(row["in_a_save"] for row in rows)
    print(f"{same} of {len(rows)} bit-identical; {in_saves} killed in a save; {redrawn} missed, drawn anew")
    found = {"config": {"trials": given.trials, "seed": given.seed, "overrides": SMALL}, "identical": same}
    found |= {"compared": len(wanted), "control_differs": len(control), "in_a_save": in_saves, "redrawn": redrawn}
    lab.write("kill", found | {"length_s": {k: round(v, 1) for k, v in length.items()}, "trials": rows}, given)
    sys.exit(same < len(rows))


if __name__ == "__main__":
    main()
