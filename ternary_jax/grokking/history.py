"""What the rows of a log say of grokking, with hindsight: events and what was ruled out, changes, generalisation.

Events are those of the machine in `definitions`, fed with every evaluation: what the detector of the run saw, and the
last evaluation too. What is said of a run is made of numbers, texts, arrays, lists and dicts.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax.grokking import changes, definitions, generalisation
from ternary_jax.grokking.definitions import BARS, CONFIRMED, SEVERITIES, Seen, Thresholds, Watched
from ternary_jax.grokking.generalisation import Generalisation, Levels
from ternary_jax.grokking.online import FROZEN

OWN = "control/grokking/"


class History(NamedTuple):
    """The evaluations of a run: columns (n,) float64 by name, nan where a row has no such figure."""

    run: int
    seed: int
    columns: dict[str, np.ndarray]


def histories(rows: Sequence[Mapping[str, Any]]) -> list[History]:
    """Of every run, in order, with its rows by step."""
    found = []
    for run in sorted({row["run"] for row in rows}):
        own = sorted((row for row in rows if row["run"] == run), key=lambda row: row["step"])
        names = dict.fromkeys(name for row in own for name in row if name not in ("run", "seed"))
        columns = {name: np.array([row.get(name, math.nan) for row in own], np.float64) for name in names}
        found.append(History(run, own[-1]["seed"], columns))
    return found


def distinct(metrics: Sequence[Watched], found: Sequence[History], within: float) -> tuple[Watched, ...]:
    """Those that every evaluation of a run has measured, or none, as of one without a held-out set; but for one that is
    within this share of its scale of another wherever both are: where the one rises so does the other, which confirms
    nothing.
    """
    kept: list[tuple[Watched, np.ndarray]] = []
    for one in metrics:
        each = [x.columns[one.name] for x in found if np.isfinite(x.columns.get(one.name, math.nan)).any()]
        if not each or not all(np.isfinite(x).all() for x in each):
            continue
        values = np.concatenate([x.columns.get(one.name, np.full(len(x.columns["step"]), np.nan)) for x in found])
        if not any(_same(values, x, within * one.scale) for _, x in kept):
            kept.append((one, values))
    return tuple(one for one, _ in kept)


def _same(x, y, within):
    both = np.isfinite(x) & np.isfinite(y)
    return both.any() and np.allclose(x[both], y[both], 0, within)


def analyse(
    found: Sequence[History], metrics: tuple[Watched, ...], references: Mapping[str, Any], thresholds: Thresholds
) -> list[dict[str, Any]]:
    """Of each run. metrics: to watch, as `distinct` gives them; references: name -> its better, best, chance."""
    enough = len(metrics) >= thresholds.together
    judged = rises(found, metrics, thresholds) if enough else [{"plateaus": [], "rises": []} for _ in found]
    return [
        {
            "run": history.run,
            "seed": history.seed,
            "evaluations": len(history.columns["step"]),
            **one,
            **_changes(history, metrics),
            "generalisation": {name: g._asdict() for name, g in generalises(history, references).items()},
        }
        for history, one in zip(found, judged, strict=True)
    ]


# --- events -----------------------------------------------------------------------------------------------------------


@functools.cache
def _scanned(metrics: tuple[Watched, ...], thresholds: Thresholds, controls: int, groups: int):
    """Seen (R, E, ...) -> verdicts (R, E, ...)."""

    def one(seen):
        memory = definitions.begin(thresholds, len(metrics), controls, groups)
        return jax.lax.scan(lambda m, x: definitions.observe(m, x, metrics, thresholds), memory, seen)[1]

    return jax.jit(jax.vmap(one), compiler_options={"xla_backend_optimization_level": 0})  # run once


def rises(found: Sequence[History], metrics: tuple[Watched, ...], thresholds: Thresholds) -> list[dict[str, Any]]:
    """{"plateaus": [...], "rises": [...]} of each run; a rise says whether it is an event, and what was ruled out."""
    turned = sorted({name for one in found for name in one.columns if _is_control(name)})
    frozen = sorted({name for one in found for name in one.columns if name.startswith(f"control/{FROZEN}")})
    longest = max(len(one.columns["step"]) for one in found)

    def stacked(names):
        """(R, longest, len(names)); a shorter run rests where it ended, which is not read."""
        out = np.zeros((len(found), longest, len(names)), np.float32)
        for k, one in enumerate(found):
            for j, name in enumerate(names):
                x = one.columns.get(name, np.zeros(len(one.columns["step"])))
                out[k, :, j] = np.pad(x, (0, longest - len(x)), mode="edge")
        return out

    def flags(names):
        return np.nan_to_num(stacked(names), posinf=0.0, neginf=0.0)

    loss, figures = stacked(["loss"])[..., 0], stacked([one.name for one in metrics])
    figures = np.where(np.isfinite(figures), figures, np.float32(np.inf))
    # Without a detector no row has the flags; what is frozen then shows by its rate.
    rest = flags(frozen) if frozen else flags([name for name in turned if name.startswith("rate/")]) == 0
    seen = Seen(*map(jnp.asarray, (loss, figures, flags(turned), rest.astype(np.float32))))
    verdicts = jax.device_get(_scanned(metrics, thresholds, len(turned), rest.shape[-1])(seen))
    return [_told(one, jax.tree.map(lambda x, k=k: x[k], verdicts), metrics, thresholds) for k, one in enumerate(found)]


def _is_control(name):
    return name.startswith("rate/") or (name.startswith("control/") and not name.startswith(OWN))


def _told(history, verdict, metrics, t):
    step, epoch = (history.columns.get(name, history.columns["step"]) for name in ("step", "epoch"))
    n = len(step)

    def at(k):
        return {"step": int(step[k]), "epoch": float(epoch[k])}

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
                "checked": {bar: "explains it" if x else "ruled out" for bar, x in zip(BARS, rise.bars, strict=True)},
            }
        )
    return {"plateaus": plateaus, "rises": found}


def _apart(lengths):
    """(first, last) of plateaus that share no evaluation, the longest first chosen, in order; lengths: at each."""
    chosen: list[tuple[int, int]] = []
    for end in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        begin = end - lengths[end] + 1
        if lengths[end] and all(begin > last or end < first for first, last in chosen):
            chosen.append((begin, end))
    return sorted(chosen)


# --- changes, with hindsight ------------------------------------------------------------------------------------------


def _changes(history, metrics):
    step, epoch = (history.columns.get(name, history.columns["step"]) for name in ("step", "epoch"))
    series = {name: history.columns[name] for name in ("loss", *(one.name for one in metrics))}
    known = {name: x for name, x in series.items() if np.isfinite(x).all()}
    norms = history.columns.get("gradient_norm", np.zeros(0))

    def at(places):
        return [{"step": int(step[k]), "epoch": float(epoch[k])} for k in places]

    none = {name: [] for name in series}
    return {
        "change_points": none | {name: at(changes.change_points(x, changes.penalty(x))) for name, x in known.items()},
        "transitions": none | {name: at(changes.transitions(x)) for name, x in known.items()},
        "gradient_regimes": at(changes.regimes(norms)),
    }


# --- generalisation ---------------------------------------------------------------------------------------------------


def generalises(
    history: History, references: Mapping[str, Any], levels: Levels = generalisation.STANDARD
) -> dict[str, generalisation.Generalisation]:
    """By each held-out metric whose figure over what was trained on is known too; "" where there is none."""
    step, metrics = history.columns["step"], ((n, m["better"], m["best"], m["chance"]) for n, m in references.items())
    found = {}
    for pair in generalisation.pairs(metrics, history.columns):
        fit, held_out = pair.curves(history.columns)
        if np.isfinite(fit).any():
            found[pair.held_out] = generalisation.assess(step, fit, held_out, levels)
    return found or {"": generalisation.assess(step, step, None)}


def over_runs(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By held-out metric: how many runs have each verdict, and the median of t_gen / t_fit with its 95 % interval."""
    out = {}
    for name in dict.fromkeys(name for one in told for name in one["generalisation"]):
        each = [Generalisation(**one["generalisation"][name]) for one in told if name in one["generalisation"]]
        counts = {verdict: sum(g.verdict == verdict for g in each) for verdict in generalisation.VERDICTS}
        ratio = dict(zip(("median", "low", "high"), generalisation.ratios(each), strict=True))
        ratio |= {"runs": sum(math.isfinite(g.t_fit) for g in each)}
        out[name] = {"verdicts": {k: n for k, n in counts.items() if n}, "ratio": ratio}
    return out
