"""What is StateNet worth at 3^9? Held against tuned fixed schedules, and against schedules of what it turns.

    python experiments/compare_statenet.py [--out DIR]      DIR: where meta_train_statenet.py has left its results

R, the fixed reference objective, at the end of 2,106 steps, and the steps until coverage 0.99 of both branches and
hierarchy -0.80 are met, on 16 seeds that nothing was chosen by; differences to the best of the fixed schedules, with
95 % intervals over seeds, not over networks. On top of these schedules:

    StateNet             trained on small spaces; of two networks the one that is better there, on new runs
    its mean course      the offsets that it came to on other seeds, averaged and replayed: what it sees is of no effect
    its last offsets     the last of these, held from the first step on
    tuned course         what it turns, as schedules that the strategy which trained it has tuned for as long

Where StateNet is no better than its mean course, it does not steer: it knows a good course.
Writes results/compare_statenet.json.
"""

import argparse
import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from statenet_runs import (
    NEAR,
    RENEWALS,
    ROOT,
    SPACES,
    configured,
    course_rows,
    hypers_of,
    lowered,
    make_runs,
    play,
    repeated,
    setting,
)

from ternary_jax import terminal
from ternary_jax.control import statenet
from ternary_jax.engine import session
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

HELD_OUT = range(100, 116)
CHOOSING = range(90, 92)  # on these the learning rates are chosen; all else on seeds from 1,000 on
RECORDED = range(92, 96)  # on these the mean course is taken
UNSEEN = 10**6  # a generation that no search comes to
RATES = (1e-3, 2e-3, 4e-3)


class Arm(NamedTuple):
    """by: `control`; changes: of the config; phi: of StateNet; rows: steps -> the schedules of a course."""

    by: str
    changes: dict[str, Any]
    phi: Any = None
    rows: Any = None


def outcomes(arm: Arm, seeds: Any, rates: Any = None, points: int = 20) -> dict[str, Any]:
    """At 3^9, four runs at a time: R, metrics and knobs at the end; steps until NEAR, all of a run where not met."""
    runs = make_runs(configured(9, arm.by, arm.changes), course=arm.rows is not None)
    rates = np.broadcast_to(runs.config.train.learning_rate if rates is None else rates, len(seeds))
    r, metrics, knobs, _ = played(runs, arm, seeds, rates, points)
    met = np.all([x <= c if c < 0 else x >= c for x, c in ((metrics[k], c) for k, c in NEAR.items())], axis=0)
    steps = np.where(met.any(1), (1 + met.argmax(1)) * (runs.steps // points), runs.steps)
    last = {name: x[:, -1].tolist() for name, x in (metrics | knobs).items()}
    curve = r.mean(0).round(5).tolist()
    return {"R": r[:, -1].tolist(), "steps": steps.tolist(), "met": int(met.any(1).sum()), "curve": curve, **last}


def played(runs: Any, arm: Arm, seeds: Any, rates: Any, points: int) -> Any:
    """What `play` returns, of all seeds, four of them at a time."""
    player, parts = play(runs, points), []
    rows = runs.rows | (arm.rows(runs.steps) if arm.rows else {})
    for some in np.array_split(np.arange(len(seeds)), max(1, len(seeds) // 4)):
        nets = None if arm.phi is None else jax.tree.map(functools.partial(repeated, len(some)), arm.phi)
        hypers = hypers_of(runs.config, np.array(seeds)[some], train__learning_rate=rates[some])
        parts.append(jax.device_get(player(nets, hypers, rows)))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def course_of(arm: Arm) -> dict[str, Any]:
    """The mean of the offsets that StateNet came to on RECORDED, at each renewal, (RENEWALS,) each."""
    runs = make_runs(configured(9, arm.by, arm.changes))
    rates = np.full(len(RECORDED), runs.config.train.learning_rate)
    return {name: x.mean(0) for name, x in played(runs, arm, [*RECORDED], rates, RENEWALS)[3].items()}


def replayed(course: dict[str, Any], steps: int) -> dict[str, Any]:
    """A course of RENEWALS offsets as schedules, each of which is held until the next."""
    at = np.minimum(np.arange(steps) // (steps // RENEWALS), RENEWALS - 1)
    return {f"course_{name}": jnp.asarray(offsets[at], jnp.float32) for name, offsets in course.items()}


def compare(arms: dict[str, Arm]) -> dict[str, Any]:
    """Each arm on the held-out seeds."""
    found = {}
    for name, arm in arms.items():
        terminal.say(f"{name} ...")
        found[name] = outcomes(arm, HELD_OUT)
        terminal.say(f"{name}: R {np.mean(found[name]['R']):.4f}, steps {np.mean(found[name]['steps']):,.0f}")
    return found


def on_small(base: dict[str, Any], nets: dict[str, Any], n: int = 24) -> dict[str, list[float]]:
    """F of each network on the same n new runs of each of SPACES."""
    found: dict[str, list[float]] = {name: [] for name in nets}
    for digits in SPACES:
        runs = make_runs(configured(digits, "schedules+statenet", base))
        player, hypers = play(runs, 4), jax.tree.map(lambda x: x[:n], setting(runs.config, UNSEEN, n))
        for name, phi in nets.items():
            of_all = jax.tree.map(functools.partial(repeated, n), phi)
            found[name] += lowered(player(of_all, hypers, runs.rows)[0]).tolist()
    return found


def interval(differences: Any) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval by Student's t."""
    from scipy.stats import t as student

    d = np.asarray(differences, float)
    half = float(student.ppf(0.975, len(d) - 1)) * d.std(ddof=1) / np.sqrt(len(d))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)


def table(found: dict[str, Any], base: str) -> str:
    """A line per arm: its figures, and the differences to the base with their intervals."""
    lines = [["at 3^9, 16 held-out seeds", "R", "R - base [95 %]", "steps", "steps - base [95 %]", "met"]]
    for name, one in found.items():
        gaps = [np.subtract(one[key], found[base][key]) for key in ("R", "steps")]
        r, steps = [
            "-" if name == base else between(gap, form) for gap, form in zip(gaps, (".4f", ",.0f"), strict=True)
        ]
        means = f"{np.mean(one['R']):.4f}", f"{np.mean(one['steps']):,.0f}"
        lines.append([name, means[0], r, means[1], steps, f"{one['met']} of {len(one['R'])}"])
    return columns(lines)


def between(differences: Any, form: str) -> str:
    """Their mean and its interval, as text."""
    mean, low, high = (f"{x:+{form}}" for x in interval(differences))
    return f"{mean} [{low}, {high}]"


def main() -> None:
    """Choose, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="folder of results")
    out = parser.parse_args().out
    known = json.loads(file.read_text()) if (file := out / "meta_train_statenet.json").exists() else {}
    if missing := [part for part in ("tune", "course", "train") if part not in known]:
        parser.error(f"this needs what meta_train_statenet.py {missing[0]} writes to {file}: run that first")
    session.keep_compiled_programs()
    tuned = known["tune"]["changes"]
    rates = chosen_rates({"schedules of the config": {}, "schedules, tuned": tuned})
    base = min(rates, key=lambda name: rates[name][1])
    small, best = best_net(tuned, out)
    changes = tuned | {"train.learning_rate": rates["schedules, tuned"][0]}
    net = Arm("schedules+statenet", changes, statenet.load(out / best))
    course = course_of(net)
    last = {name: np.full(RENEWALS, x[-1]) for name, x in course.items()}
    arms = {
        name: Arm("schedules", fixed) for name, fixed in (("schedules of the config", {}), ("schedules, tuned", tuned))
    }
    arms = {
        name: arm._replace(changes=arm.changes | {"train.learning_rate": rates[name][0]}) for name, arm in arms.items()
    }
    arms |= {
        "StateNet": net,
        "its mean course": Arm("schedules", changes, None, functools.partial(replayed, course)),
        "its last offsets": Arm("schedules", changes, None, functools.partial(replayed, last)),
        "tuned course": Arm("schedules", changes, None, functools.partial(course_rows, known["course"]["vector"])),
    }
    found = compare(arms)
    for against in (base, "its mean course"):
        print(table(found, against), end="\n\n")
    courses = {name: x.tolist() for name, x in course.items()}
    result = {"rates": rates, "small": small, "network": best, "base": base, "course": courses, "arms": found}
    (out / "compare_statenet.json").write_text(json.dumps(result | provenance(), indent=1) + "\n")


def chosen_rates(kinds: dict[str, dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Of each kind of schedules, its changes given: the best of RATES, and the mean R of it, on CHOOSING."""
    best = {}
    for name, changes in kinds.items():
        found = outcomes(Arm("schedules", changes), [*CHOOSING] * len(RATES), np.repeat(RATES, len(CHOOSING)))
        means = np.array(found["R"]).reshape(len(RATES), -1).mean(1)
        best[name] = min(
            zip(RATES, means.tolist(), strict=True), key=lambda one: one[1] if np.isfinite(one[1]) else np.inf
        )
        terminal.say(
            f"{name}: " + ", ".join(f"R {r:.4f} at rate {rate:g}" for rate, r in zip(RATES, means, strict=True))
        )
    return best


def best_net(tuned: dict[str, Any], out: Path) -> tuple[dict[str, list[float]], str]:
    """F of the schedules and of each network on new runs of the small spaces; and the file of the better network."""
    files = [file for file in ("statenet.npz", "statenet_unrolled.npz") if (out / file).exists()]
    silent = statenet.init(jax.random.key(0))
    small = on_small(tuned, {"schedules, tuned": silent} | {file: statenet.load(out / file) for file in files})
    for file in files:
        gap = between(np.subtract(small[file], small["schedules, tuned"]), ".3f")
        terminal.say(f"on small spaces, {file}: F {np.mean(small[file]):.3f}, against schedules, tuned: {gap}")
    return small, min(files, key=lambda file: np.mean(small[file]))


if __name__ == "__main__":
    main()
