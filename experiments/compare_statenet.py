"""What does StateNet gain at 3^9, against tuned fixed schedules, and against schedules of its own outputs?

    python experiments/compare_statenet.py [--out DIR] [--again]    DIR: with the results of meta_train_statenet.py

The figures are R, the fixed reference objective, after 2,100 steps, and the number of steps until both branches have
coverage 0.99 and B has hierarchy -0.80. The 16 seeds were used for no choice. Differences have 95 % intervals over
seeds, not over networks. Arms, on top of the tuned schedules:

    StateNet            trained on small spaces; of all trained networks, the one that is best on new runs there
    its mean course     its offsets on other seeds, averaged and replayed, so that its inputs have no effect
    its last offsets    the last offsets of that course, constant from the first step on
    tuned course        its outputs as schedules, tuned by the strategy that trained it, for as many generations

The gain of StateNet over its mean course is the gain from its inputs; the rest is the gain of a fixed course. Some
courses have only c and sigma, and some exclude them. StateNet and the courses had as many generations as the tuned
schedules, in addition to those of the schedules. An arm in results/raw/compare_statenet.json is run again only with
--again. The results in results/ are of an R at the c and sigma of the run, which changing these changed even where the
parameters stayed fixed; R is now at the c and sigma of the config, and the networks and courses were not trained again.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_statenet as programs
import numpy as np

from ternary_jax import terminal
from ternary_jax.tables import columns
from ternary_jax.vae.controllers import statenet_network

HELD_OUT = range(100, 116)
CHOOSING = range(90, 92)  # seeds on which learning rates are chosen; other choices use seeds from 1,000 on
RECORDED = range(92, 96)  # seeds of the mean course
UNSEEN = 10**6  # generation number beyond every search: its runs are new
RATES = (1e-3, 2e-3, 4e-3)
OF_CONFIG, TUNED = "schedules of the config", "schedules, tuned"
RAW = "raw/compare_statenet"
GEOMETRY = ("course_c", "course_sigma")  # the knobs of the geometry, which R does not read


class Arm(NamedTuple):
    """An arm. by: config.control; changes: other keys; phi: parameters of StateNet; rows: steps -> course schedules."""

    by: str
    changes: dict[str, Any]
    phi: Any = None
    rows: Any = None


def outcomes(arm: Arm, seeds: Any, rates: Any = None, points: int = 20) -> dict[str, Any]:
    """At 3^9: R, metrics and knobs after 2,100 steps; steps until NEAR is met, or 2,100 if it is not met."""
    runs = programs.make_runs(programs.configured(9, arm.by, arm.changes), course=arm.rows is not None)
    rates = np.broadcast_to(runs.config.train.learning_rate if rates is None else rates, len(seeds))
    r, metrics, knobs, _ = played(runs, arm, seeds, rates, points)
    steps, met = programs.steps_to_target(metrics, runs.steps)
    last = {name: x[:, -1].tolist() for name, x in (metrics | knobs).items()}
    curve = r.mean(0).round(5).tolist()
    return {"R": r[:, -1].tolist(), "steps": steps.tolist(), "met": int(met.sum()), "curve": curve, **last}


def played(runs: Any, arm: Arm, seeds: Any, rates: Any, points: int) -> Any:
    """The result of `play` for all seeds, computed in groups of about four seeds to save memory."""
    player, parts = programs.play(runs, points), []
    rows = runs.rows | (arm.rows(runs.steps) if arm.rows else {})
    for some in np.array_split(np.arange(len(seeds)), max(1, len(seeds) // 4)):
        nets = None if arm.phi is None else jax.tree.map(functools.partial(programs.repeated, len(some)), arm.phi)
        hypers = programs.hypers_of(runs.config, np.array(seeds)[some], train__learning_rate=rates[some])
        parts.append(jax.device_get(player(nets, hypers, rows)))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def course_of(arm: Arm) -> dict[str, Any]:
    """The mean offsets of StateNet on the seeds RECORDED, at each renewal, (RENEWALS,) each."""
    runs = programs.make_runs(programs.configured(9, arm.by, arm.changes))
    rates = np.full(len(RECORDED), runs.config.train.learning_rate)
    return {name: x.mean(0).tolist() for name, x in played(runs, arm, [*RECORDED], rates, programs.RENEWALS)[3].items()}


def replayed(course: dict[str, Any], steps: int) -> dict[str, Any]:
    """A course of RENEWALS offsets as schedules, each of which is held until the next."""
    at = np.minimum(np.arange(steps) // (steps // programs.RENEWALS), programs.RENEWALS - 1)
    return {f"course_{name}": jnp.asarray(np.array(offsets)[at], jnp.float32) for name, offsets in course.items()}


def on_small(base: dict[str, Any], files: dict[str, Any], vector: Any, n: int = 24) -> dict[str, list[float]]:
    """F on the same n new runs of each of SPACES: tuned schedules, the networks in these files, the tuned course."""
    nets = {TUNED: statenet_network.init(jax.random.key(0))}
    nets |= {name: statenet_network.load(file) for name, file in files.items()}
    found: dict[str, list[float]] = {name: [] for name in (*nets, "tuned course")}
    for digits in programs.SPACES:
        runs = programs.make_runs(programs.configured(digits, "schedules+statenet", base))
        player, hypers = (
            programs.play(runs, 4),
            jax.tree.map(lambda x: x[:n], programs.setting(runs.config, UNSEEN, n)),
        )
        for name, phi in nets.items():
            of_all = jax.tree.map(functools.partial(programs.repeated, n), phi)
            found[name] += programs.lowered(player(of_all, hypers, runs.rows)[0]).tolist()
        runs = programs.make_runs(programs.configured(digits, "schedules", base), course=True)
        rows = runs.rows | programs.course_rows(vector, runs.steps)
        found["tuned course"] += programs.lowered(programs.play(runs, 4)(None, hypers, rows)[0]).tolist()
    return found


def show_small(small: dict[str, list[float]]) -> str:
    """The table of F on small spaces: a line for each network or course, with its difference from the schedules."""
    lines = [[f"{len(small[TUNED])} new runs on 3^5 and 3^6", "F", "F - F of the tuned schedules, 95 %"]]
    for name, f in small.items():
        gap = "" if name == TUNED else lab.between(np.subtract(f, small[TUNED]), ".3f")
        lines.append([name, f"{np.mean(f):.3f}", gap])
    return columns(lines)


def table(found: dict[str, Any], base: str) -> str:
    """The table: a line for each arm with its figures, and its differences from the base with their intervals."""
    lines = [["at 3^9, 16 held-out seeds", "R", "R - base [95 %]", "steps", "steps - base [95 %]", "met"]]
    for name, one in found.items():
        r, steps = (
            "-" if name == base else lab.between(np.subtract(one[key], found[base][key]), form)
            for key, form in (("R", ".4f"), ("steps", ",.0f"))
        )
        means = f"{np.mean(one['R']):.4f}", f"{np.mean(one['steps']):,.0f}"
        lines.append([name, means[0], r, means[1], steps, f"{one['met']} of {len(one['R'])}"])
    return columns(lines)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The content of the result file: R and steps of each seed, means of other figures, differences from TUNED."""
    small, arms = found["small"], {}
    base = found["arms"][TUNED]
    for name, one in found["arms"].items():
        means = {key: float(np.mean(x)) for key, x in one.items() if key not in ("R", "steps", "met", "curve")}
        gaps = {f"{key}_difference": lab.interval(np.subtract(one[key], base[key])) for key in ("R", "steps")}
        arms[name] = (
            {key: one[key] for key in ("R", "steps", "met")} | {"means": means} | (gaps if name != TUNED else {})
        )
    of_small = {
        name: {"F": float(np.mean(f)), "difference": lab.interval(np.subtract(f, small[TUNED]))}
        for name, f in small.items()
    }
    return {"rates": found["rates"], "network": best_network(small), "small": of_small, "arms": arms}


def best_network(small: dict[str, list[float]]) -> str:
    """The network with the lowest F."""
    return min((name for name in small if name.endswith(".npz")), key=lambda name: np.mean(small[name]))


def main() -> None:
    """Choose, compare, print and write the results."""
    parser = lab.parser(__doc__)
    parser.add_argument("--again", action="store_true", help="measure all arms again, also those with a result")
    given = parser.parse_args()
    trained, file = lab.read("meta_train_statenet", given), lab.folder(given) / "meta_train_statenet.json"
    if missing := [part for part in ("tune", "course", "train") if part not in trained]:
        parser.error(f"this needs what meta_train_statenet.py {missing[0]} writes to {file}: run that first")
    tuned, vector = trained["tune"]["changes"], trained["course"].get("vector")
    if stale := [part for part in ("course", "train") if trained[part].get("base") != tuned]:
        parser.error(f"{stale[0]} in {file} was trained on other schedules than those of tune: run it again")
    found = {} if given.again else lab.read(RAW, given)

    def once(place, name, measure):
        """Measure `name` unless `place` has it, and write all results so far; a later start continues from them."""
        if name not in place:
            terminal.say(f"{name} ...")
            place[name] = measure()
            lab.write(RAW, found, given)
        return place[name]

    lab.keep_compiled_programs()
    files = {name: path for name, path in programs.networks(given).items() if path.exists()}
    rates = once(found, "rates", lambda: chosen_rates({OF_CONFIG: {}, TUNED: tuned}))
    network = best_network(once(found, "small", lambda: on_small(tuned, files, vector)))
    changes = tuned | {"train.learning_rate": rates[TUNED][0]}
    net = Arm("schedules+statenet", changes, statenet_network.load(files[network]))
    course = once(found, "course", lambda: course_of(net))
    arms = arms_of(net, course, vector) | {OF_CONFIG: Arm("schedules", {"train.learning_rate": rates[OF_CONFIG][0]})}
    outcome = found.setdefault("arms", {})
    for name, arm in arms.items():
        once(outcome, name, functools.partial(outcomes, arm, HELD_OUT))
    print(show_small(found["small"]), end="\n\n")
    for against in (TUNED, OF_CONFIG, "its mean course"):
        print(table({name: outcome[name] for name in arms}, against), end="\n\n")
    lab.write("compare_statenet", summary(found), given)


def arms_of(net: Arm, course: dict[str, Any], vector: Any) -> dict[str, Arm]:
    """All arms by name: the tuned schedules, StateNet, and the courses on top of the tuned schedules."""
    last = {name: [x[-1]] * programs.RENEWALS for name, x in course.items()}
    mean, held = (functools.partial(replayed, offsets) for offsets in (course, last))
    by_strategy = functools.partial(programs.course_rows, vector)
    rows = {
        TUNED: None,
        "its mean course": mean,
        "its mean course without c, sigma": functools.partial(part_of, mean, False),
        "its last offsets": held,
        "tuned course": by_strategy,
        "tuned course without c, sigma": functools.partial(part_of, by_strategy, False),
        "tuned course of c, sigma alone": functools.partial(part_of, by_strategy, True),
    }
    arms = {name: Arm("schedules", net.changes, None, of_steps) for name, of_steps in rows.items()}
    return {TUNED: arms.pop(TUNED), "StateNet": net, **arms}


def part_of(rows: Callable[[int], dict[str, Any]], geometry: bool, steps: int) -> dict[str, Any]:
    """The schedules of a course where only those of c and sigma, or only the others, are not 0."""
    return {name: row if (name in GEOMETRY) == geometry else 0 * row for name, row in rows(steps).items()}


def chosen_rates(kinds: dict[str, dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """For each kind of schedules, given by its changes: the best of RATES on the seeds CHOOSING, and its mean R."""
    best = {}
    for name, changes in kinds.items():
        found = outcomes(Arm("schedules", changes), [*CHOOSING] * len(RATES), np.repeat(RATES, len(CHOOSING)))
        means = np.array(found["R"]).reshape(len(RATES), -1).mean(1)
        k = int(np.argmin(np.where(np.isfinite(means), means, np.inf)))
        best[name] = RATES[k], float(means[k])
        terminal.say(f"{name}: " + ", ".join(f"R {r:.4f} at {rate:g}" for rate, r in zip(RATES, means, strict=True)))
    return best


if __name__ == "__main__":
    main()
