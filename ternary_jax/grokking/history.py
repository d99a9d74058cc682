"""Analysis of the rows of a log: grokking events and their other explanations, change points, generalisation.

Events come from the state machine in `definitions`, which here reads every evaluation: those of the detector in the
run, and the last one. The results are numbers, strings, arrays, lists and dicts.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.grokking import changes, definitions, generalisation
from ternary_jax.grokking.definitions import CONFIRMED, EXPLANATIONS, SEVERITIES, Evaluation, Thresholds, Watched
from ternary_jax.grokking.generalisation import Generalisation
from ternary_jax.grokking.online import FROZEN
from ternary_jax.metric import Metric

DETECTOR = "control/grokking/"  # prefix of the columns of the detector in the run


class History(NamedTuple):
    """The evaluations of a run by step: columns (n,) float64 by name, nan where a row has no value."""

    run: int
    seed: int
    columns: dict[str, np.ndarray]

    def at(self, k: int) -> dict[str, Any]:
        """The step of evaluation k, and its epoch if the run has epochs."""
        step = {"step": int(self.columns["step"][k])}
        return step | {"epoch": float(self.columns["epoch"][k])} if "epoch" in self.columns else step


def histories(rows: Mapping[str, np.ndarray]) -> list[History]:
    """The History of every run. rows: columns of a log, with `run`, `seed` and `step`; every run has all columns."""
    found = []
    for run in np.unique(rows["run"]):
        own = np.flatnonzero(rows["run"] == run)
        own = own[np.argsort(rows["step"][own], kind="stable")]
        columns = {name: np.asarray(x, np.float64)[own] for name, x in rows.items() if name not in ("run", "seed")}
        found.append(History(int(run), int(rows["seed"][own[-1]]), columns))
    return found


def distinct(metrics: Sequence[Watched], found: Sequence[History], within: float) -> tuple[Watched, ...]:
    """The metrics that can confirm each other.

    A metric needs a value at every evaluation of each run that measures it: a run without a held-out set measures no
    held-out metric. A metric is left out if it equals an earlier one, wherever both are measured, up to `within` times
    its scale: a copy confirms nothing.
    """
    kept: list[tuple[Watched, np.ndarray]] = []
    for one in metrics:
        each = [x.columns[one.name] for x in found if one.name in x.columns]
        measured = [x for x in each if np.isfinite(x).any()]
        if not measured or not all(np.isfinite(x).all() for x in measured):
            continue
        values = np.concatenate(each)
        if not any(_same(values, x, within * one.scale) for _, x in kept):
            kept.append((one, values))
    return tuple(one for one, _ in kept)


def _same(x, y, within):
    both = np.isfinite(x) & np.isfinite(y)
    return both.any() and np.allclose(x[both], y[both], 0, within)


def analyse(
    found: Sequence[History], watched: tuple[Watched, ...], metrics: Iterable[Metric], thresholds: Thresholds
) -> list[dict[str, Any]]:
    """The analysis of each run. watched: metrics for events, from `distinct`; metrics: those for generalisation."""
    enough = len(watched) >= thresholds.together
    judged = rises(found, watched, thresholds) if enough else [{"plateaus": [], "rises": []} for _ in found]
    pairs = generalisation.pairs(metrics, found[0].columns)
    return [
        {
            "run": history.run,
            "seed": history.seed,
            "evaluations": len(history.columns["step"]),
            **one,
            **_changes(history, watched),
            "generalisation": {name: g._asdict() for name, g in _generalisation(history, pairs).items()},
        }
        for history, one in zip(found, judged, strict=True)
    ]


# --- events -----------------------------------------------------------------------------------------------------------


@functools.cache
def _scanned(metrics: tuple[Watched, ...], thresholds: Thresholds, controls: int, groups: int):
    """Evaluation (R, E, ...) -> verdicts (R, E, ...)."""

    def one(evaluations):
        memory = definitions.begin(thresholds, len(metrics), controls, groups)
        return jax.lax.scan(lambda m, x: definitions.observe(m, x, metrics, thresholds), memory, evaluations)[1]

    return jax.jit(jax.vmap(one), compiler_options={"xla_backend_optimization_level": 0})  # run once


def rises(found: Sequence[History], metrics: tuple[Watched, ...], thresholds: Thresholds) -> list[dict[str, Any]]:
    """{"plateaus": [...], "rises": [...]} of each run; a rise has a flag `event`, and the explanations `checked`."""
    longest = max(len(one.columns["step"]) for one in found)

    def stacked(names):
        """(R, longest, len(names)) float32; shorter runs are padded with their last value, which nothing reads."""
        out = np.zeros((len(found), longest, len(names)), np.float32)
        for k, one in enumerate(found):
            for j, name in enumerate(names):
                out[k, :, j] = np.pad(one.columns[name], (0, longest - len(one.columns["step"])), mode="edge")
        return out

    def flags(names):
        return np.nan_to_num(stacked(names), posinf=0.0, neginf=0.0)

    controls = sorted(name for name in found[0].columns if _is_control(name))
    frozen = sorted(name for name in found[0].columns if name.startswith(DETECTOR + FROZEN))
    figures = stacked([one.name for one in metrics])
    figures = np.where(np.isfinite(figures), figures, np.float32(np.inf))
    # Without a detector the rows have no frozen flags, but the rate of a frozen group is 0.
    rest = flags(frozen) if frozen else flags([name for name in controls if name.startswith("rate/")]) == 0
    series = (stacked(["loss"])[..., 0], figures, flags(controls), rest.astype(np.float32))
    scan = _scanned(metrics, thresholds, len(controls), rest.shape[-1])
    verdicts = jax.device_get(scan(Evaluation(*map(jnp.asarray, series))))
    return [
        _of_run(one, jax.tree.map(lambda x, k=k: x[k], verdicts), metrics, thresholds) for k, one in enumerate(found)
    ]


def _is_control(name):
    """Whether a column is a rate, rate/GROUP, or a knob, control/NAME. control/CONTROLLER/NAME is info."""
    return name.startswith("rate/") or (name.startswith("control/") and name.count("/") == 1)


def _of_run(history, verdict, metrics, t):
    """The plateaus and rises of a run. verdict: of each of its evaluations and of the padding."""
    n, at = len(history.columns["step"]), history.at
    plateaus = [
        {"begin": at(begin), "end": at(end), "evaluations": end - begin + 1}
        for begin, end in _apart([int(x) for x in verdict.plateau[:n]])
    ]
    here = (verdict.rise.length[:n] > 0) & ~verdict.ended[:n]
    found = []
    for last in np.flatnonzero(here & ~np.append(here[1:], False)):
        rise = jax.tree.map(lambda x, last=last: x[last], verdict.rise)
        first = int(last - rise.length + 1)
        gains = np.max(verdict.gains[first : last + 1], 0)
        lasting = {one.name: float(gain) for one, gain in zip(metrics, gains, strict=True) if np.isfinite(gain)}
        found.append(
            {
                **at(first - t.kept + 1),
                "known": at(first + int(np.argmax(verdict.rise.event[first : last + 1]))) if rise.event else at(first),
                "over": bool(last < n - 1),
                "event": bool(rise.event),
                "severity": SEVERITIES[int(rise.severity)],
                "confirmed": bool(rise.severity >= CONFIRMED),
                "plateau": int(rise.plateau),
                "gain": float(rise.gain),
                "gains": lasting,
                "checked": {
                    bar: "explains it" if x else "ruled out" for bar, x in zip(EXPLANATIONS, rise.bars, strict=True)
                },
            }
        )
    return {"plateaus": plateaus, "rises": found}


def _apart(lengths):
    """(first, last) of disjoint plateaus, in order; longer ones have priority. lengths: that end at each evaluation."""
    chosen: list[tuple[int, int]] = []
    for end in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        begin = end - lengths[end] + 1
        if lengths[end] and all(begin > last or end < first for first, last in chosen):
            chosen.append((begin, end))
    return sorted(chosen)


# --- changes ----------------------------------------------------------------------------------------------------------


def _changes(history, metrics):
    series = {name: history.columns[name] for name in ("loss", *(one.name for one in metrics))}
    known = {name: x for name, x in series.items() if np.isfinite(x).all()}
    none = {name: [] for name in series}

    def at(evaluations):
        return [history.at(k) for k in evaluations]

    return {
        "change_points": none | {name: at(changes.change_points(x, changes.penalty(x))) for name, x in known.items()},
        "transitions": none | {name: at(changes.transitions(x)) for name, x in known.items()},
        "gradient_regimes": at(changes.regimes(history.columns["gradient_norm"])),
    }


# --- generalisation ---------------------------------------------------------------------------------------------------


def _generalisation(history: History, pairs: Iterable[generalisation.Pair]) -> dict[str, Generalisation]:
    """Assessments by the held-out metric of each pair that the run measures; under "" if there is none."""
    step, found = history.columns["step"], {}
    for pair in pairs:
        fit, held_out = pair.curves(history.columns)
        if np.isfinite(fit).any():
            found[pair.held_out] = generalisation.assess(step, fit, held_out)
    return found or {"": generalisation.assess(step, step, None)}


def over_runs(analyses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By held-out metric: the number of runs with each verdict, the median of t_gen / t_fit, its 95 % interval."""
    out = {}
    for name in dict.fromkeys(name for one in analyses for name in one["generalisation"]):
        each = [Generalisation(**one["generalisation"][name]) for one in analyses if name in one["generalisation"]]
        counts = {verdict: sum(g.verdict == verdict for g in each) for verdict in generalisation.VERDICTS}
        ratio = dict(zip(("median", "low", "high"), generalisation.ratios(each), strict=True))
        ratio |= {"runs": sum(math.isfinite(g.t_fit) for g in each)}
        out[name] = {"verdicts": {k: n for k, n in counts.items() if n}, "ratio": ratio}
    return out
