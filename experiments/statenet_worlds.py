"""StateNet among runs that differ: what an objective is worth, what runs cost, how arms learn, and what they gain.

    python experiments/statenet_worlds.py predict [--quick] [--runs 32] [--digits 7]
    python experiments/statenet_worlds.py cost [--quick]
    python experiments/statenet_worlds.py train [--quick] [--arm base ...] [--generations 60] [--training 0]

    python experiments/statenet_worlds.py test [--quick] [--digits 9] [--trial statenet ...] [--training 0]

See lab_worlds for the worlds, lab_players for the players, lab_arms for their training, lab_goal for J, lab_trials for
what is tested.

predict  trains runs of fixed schedules, each in its own world of the validation split, and prints how well R and J rank
         them at the end as a user would: Spearman's correlation of -R with triplets, hierarchy, coverage and steps to
         target, each with the sign of better, so 1 is perfect. The intervals are of 95 %, by resampling runs. The same
         for each term of R
cost     seconds of the processor for a whole run of each size, all runs of a program together: of each player in
         worlds, and of schedules without worlds. From a few steps after compiling; no run is trained to its end

train    trains each arm by an evolution strategy: `base` first, then all others on top of its schedules. A training
         that was killed goes on where it was; an arm with all its generations is not trained again
test     plays the arms in worlds of the test: 64 of them twice for the headline, and 16 once for the other trials.
         Prints means, and differences to the course that are paired by world. A trial is played once

Diverged runs count as the worst. Writes results/statenet_worlds_PART.json, and what arms have learned, and the runs of
trials, to results/raw/statenet_worlds/. Only `test` looks at worlds of the test.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import lab
import lab_arms
import lab_evolution
import lab_goal
import lab_players
import lab_statenet as programs
import lab_trial_results
import lab_trials
import lab_worlds
import numpy as np
from lab_intervals import rank_correlation
from lab_seeds import sign_of

from ternary_jax import terminal
from ternary_jax.tables import columns

QUICK_TRAINING: dict[str, Any] = {"pairs": 2, "judged": 2}
POINTS = 20  # of a run, at which metrics are evaluated
SIZES = {size.n_digits: size for size in (*lab_worlds.TRAINING_SIZES, *lab_worlds.TEST_SIZES)}
QUICK = lab_worlds.Size(4, 24, 10)  # 40 steps
AT_ONCE = 4  # most runs of one call at 3^9, to save memory
FIGURES = ("triplet_accuracy_B", "triplet_accuracy_A", "hierarchy_B", "coverage_B", "coverage_A", "steps")


def main() -> None:
    """Run a part, print and write its results."""
    parser = lab.parser(__doc__, quick="few runs of 40 steps on 3^4", runs=32)
    parser.add_argument("part", choices=list(PARTS), help="one of " + ", ".join(PARTS))
    parser.add_argument("--digits", type=int, choices=[*SIZES], default=7, help="of predict and of test; default: 7")
    parser.add_argument("--arm", choices=lab_arms.ARMS, action="append", help="of train, repeatable; default: all")
    parser.add_argument("--generations", type=int, default=60, help="of train, for each arm; default: 60")
    parser.add_argument("--trial", choices=lab_trials.TRIALS, action="append", help="of test; default: all")
    parser.add_argument("--training", type=int, default=0, help="number of an independent training; default: 0")
    given = parser.parse_args()
    if given.runs < 4:
        parser.error(f"--runs={given.runs}: a rank correlation needs 4 runs or more")
    if given.generations < 1 or given.training < 0:
        parser.error(f"--generations={given.generations}, --training={given.training}: give 1 or more, and 0 or more")
    lab.keep_compiled_programs()
    found = PARTS[given.part](given)
    runs = found.pop("runs", None)
    lab.write(name_of(given.part, given), found, given, raw=runs and {"runs": runs})


def name_of(part: str, given: Any) -> str:
    """The name of the result file of a part. A further training, and each space of the test, has a file of its own."""
    of_space = f"_{given.digits}" if part == "test" else ""
    return f"statenet_worlds_{part}{of_space}" + (f"_{given.training}" if given.training and part != "predict" else "")


# --- what R predicts --------------------------------------------------------------------------------------------------


def predict(given: Any) -> dict[str, Any]:
    """The rank correlations of R, and of its terms, with each of FIGURES; and a row for each run."""
    size, n = (QUICK, min(given.runs, 8)) if given.quick else (SIZES[given.digits], given.runs)
    player = lab_players.schedules(size, {})
    found, rows = played(player, n)
    correlations = {of: {x: agreement(found[of], found["figures"][x], x) for x in FIGURES} for of in ("R", "J")}
    terms = {
        term: {name: agreement(x, found["figures"][name], name)[0] for name in FIGURES}
        for term, x in found["terms"].items()
    }
    space = f"{n} runs of {player.runs.steps} steps on 3^{size.n_digits}, each in its own world"
    print(show(space, correlations, terms))
    return {"size": size._asdict(), "steps": player.runs.steps, "agreement": correlations, "terms": terms, "runs": rows}


def played(player: lab_players.Player, n: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """R, its terms, J and FIGURES at the end of n runs of validation worlds 0 .. n - 1, and a row for each run."""
    numbers, steps = np.arange(n), player.runs.steps
    hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds("validation", numbers))
    worlds = lab_worlds.draw("validation", numbers, steps)
    phi, hypers, rows = player.arguments(np.repeat(player.start[None], n, 0), hypers)
    play, parts = lab_players.play(player, POINTS), []
    for some in np.array_split(numbers, -(-n // AT_ONCE)) if len(player.runs.data.operations) > 3**7 else [numbers]:
        given = jax.tree.map(lambda x, some=some: x[some], (phi, hypers, rows, worlds))
        parts.append(jax.device_get(play(*given)))
    found = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    figures = {name: x[:, -1] for name, x in (found.metrics | found.pairs).items()}
    figures["steps"], met = programs.steps_to_target(found.metrics, steps)
    r, j = found.R[:, -1], lab_goal.shortfall(found, player.runs.config.data.n_digits)[:, -1]
    lines = [
        {"seed": seed, **world, "R": float(r[k]), "J": float(j[k]), "met": bool(met[k])}
        | {x: figures[x][k].item() for x in FIGURES}
        for k, (seed, world) in enumerate(zip(hypers.seed.tolist(), lab_worlds.rows(worlds), strict=True))
    ]
    return {"R": r, "J": j, "terms": {name: x[:, -1] for name, x in found.terms.items()}, "figures": figures}, lines


def agreement(objective: Any, figure: Any, name: str) -> tuple[float, float, float]:
    """Spearman's correlation of -objective with a figure, signed so that more is better: (value, low, high)."""
    sign = -1 if name == "steps" else sign_of(name.removesuffix("_A").removesuffix("_B"))
    low, better = (np.where(np.isnan(x), -np.inf, x) for x in (-np.asarray(objective), sign * np.asarray(figure)))
    return rank_correlation(low, better)


def show(space: str, correlations: Mapping[str, Any], terms: Mapping[str, Any]) -> str:
    """The tables: agreement of R and J with its intervals, and of each term of R; - where all runs are equal."""
    lines = [[space, *(f"agreement of {of}, 95 %" for of in correlations)]]
    for name in FIGURES:
        found = [of[name] for of in correlations.values()]
        lines.append(
            [name, *("all runs are equal" if np.isnan(x) else f"{x:+.2f} [{a:+.2f}, {b:+.2f}]" for x, a, b in found)]
        )
    of_terms = [["agreement of a term", *FIGURES]]
    of_terms += [
        [term, *("-" if np.isnan(x) else f"{x:+.2f}" for x in found.values())] for term, found in terms.items()
    ]
    return f"{columns(lines)}\n\n{columns(of_terms)}"


# --- what runs cost ---------------------------------------------------------------------------------------------------


def cost(given: Any) -> dict[str, Any]:
    """Seconds of the processor for a whole run of each size, by player."""
    sizes = (QUICK,) if given.quick else (*lab_worlds.TRAINING_SIZES, lab_worlds.TEST_SIZES[-1])
    found, lines = [], [["a whole run", "steps", "schedules, no world", *lab_players.PLAYERS]]
    for size in sizes:
        row = {"size": size._asdict()} | of_size(size, 4 if size.n_digits > 7 or given.quick else 24)
        found.append(row)
        seconds = (f"{x:.2f} s" for x in row["seconds"].values())
        lines.append([f"3^{size.n_digits}, batch {size.batch}", f"{row['steps']:,}", *seconds])
    print(columns(lines))
    return {"sizes": found}


def of_size(size: lab_worlds.Size, n: int, steps: int = 8) -> dict[str, Any]:
    """Seconds of the processor of a whole run among n of one program, from so many steps of it."""
    seconds, length, numbers = {}, 0, np.arange(n)
    for name, make in {"no world": lab_players.schedules, **lab_players.PLAYERS}.items():
        player = make(size, {})
        length = player.runs.steps
        hypers = programs.hypers_of(player.runs.config, lab_worlds.run_seeds("training", numbers))
        worlds = None if name == "no world" else lab_worlds.draw("training", numbers, length)
        phi, hypers, rows = player.arguments(np.repeat(player.start[None], n, 0), hypers)
        terminal.say(f"3^{size.n_digits}, {name} ...")
        timed = _steps_of(player, steps, rows)
        given = jax.device_put((phi, hypers, rows, worlds, player.runs.data))
        states = jax.block_until_ready(timed(*given))
        begun = time.process_time()
        for _ in range(3):
            states = timed(*given)
        jax.block_until_ready(states)
        seconds[name] = (time.process_time() - begun) / (3 * steps * n) * length
    return {"steps": length, "at_once": n, "seconds": seconds}


def _steps_of(player, steps, rows):
    """The program of so many steps from the beginning, of all runs."""

    def run(phi, hypers, rows, world, data):
        def within(task):
            return task if world is None else lab_worlds.inside(task, world, data)

        state = player.runs.begin(phi, hypers, within)
        after = None if world is None else lab_worlds.shocked(world, state.params)
        xs = np.arange(steps, dtype=np.int32), {name: row[:steps] for name, row in rows.items()}
        return player.runs.ahead(state, xs, hypers, data, within, after)

    own = 0 if next(iter(rows.values())).ndim == 2 else None
    return jax.jit(jax.vmap(run, (0, 0, own, 0, None)))


# --- training ---------------------------------------------------------------------------------------------------------


def train(given: Any) -> dict[str, Any]:
    """Train the arms that are asked for; a row for each arm that has been trained, now or before."""
    budget = QUICK_TRAINING | {"sizes": (QUICK,)} if given.quick else {}
    folder, name = raw(given), name_of("train", given)
    found = {arm: row for arm, row in lab.read(name, given).items() if arm in lab_arms.ARMS}
    for arm in given.arm or lab_arms.ARMS:
        if arm != "base" and "base" not in found:
            raise SystemExit(f"--arm={arm} is on top of the schedules of base: train --arm=base first")
        base = {} if arm == "base" else found["base"]["changes"]
        file = folder / f"{arm}_{given.training}.npz"
        row = lab_arms.train(arm, base, given.generations, file, given.training, **budget)
        vector = row.pop("vector")
        if arm in ("base", "schedules"):
            row["changes"] = lab_arms.changes_of(base, vector)
        found[arm] = row | ({"vector": vector} if len(vector) < 100 else {}) | {"trained": lab.about()}
        lab.write(name, found, given)
    lines = [["arm", "generations", "F of the start", "F of the best", "at", "s"]]
    for arm, row in found.items():
        log, start = row["log"], row["start"]
        seconds = sum(one["s"] for one in log)
        lines.append(
            [
                arm,
                str(log[-1]["generation"]),
                f"{start:.4f}",
                f"{row['judged']:.4f}",
                str(row["generation"]),
                f"{seconds:,}",
            ]
        )
    print(columns(lines))
    return found


def raw(given: Any) -> Path:
    """The folder of what arms have learned, and of the runs of trials."""
    return lab.folder(given) / "raw" / "statenet_worlds"


# --- trials -----------------------------------------------------------------------------------------------------------


def test(given: Any) -> dict[str, Any]:
    """Play the trials that are asked for, print the tables of all that were played."""
    sizes = {size.n_digits: size for size in lab_worlds.TEST_SIZES}
    if given.digits not in sizes and not given.quick:
        raise SystemExit(f"--digits={given.digits} is no space of the test: give one of {', '.join(map(str, sizes))}")
    names = given.trial or [*lab_trials.TRIALS]
    learned = lab.read(name_of("train", given), given)
    if missing := sorted({"base", *(lab_trials.TRIALS[name].arm for name in names)} - learned.keys()):
        raise SystemExit(f"{', '.join(missing)} are not trained: run the part train first")
    vectors = {
        arm: lab_evolution.best(raw(given) / f"{arm}_{given.training}.npz") for arm in lab_arms.ARMS if arm in learned
    }
    trained = lab_trials.Trained(learned["base"]["changes"], vectors)
    design = lab_trial_results.Design(QUICK, 2, 2, 2) if given.quick else lab_trial_results.Design(sizes[given.digits])
    lab_trial_results.play(names, trained, design, raw(given) / f"of_{given.training}")
    return lab_trial_results.result(design, raw(given) / f"of_{given.training}")


PARTS = {"predict": predict, "cost": cost, "train": train, "test": test}


if __name__ == "__main__":
    main()
