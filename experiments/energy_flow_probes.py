"""What do flows need, and what do they survive? Probes of the energy-flow lattice, each a table of one or two curves.

    python experiments/energy_flow_probes.py                     the names of all probes
    python experiments/energy_flow_probes.py PROBE... [--seeds=5]

`depth`: cells along z, at four steps. `steps`: steps of a flow, with a reach of width / steps, and with 2 cells.
`barrier`: a mirror whose way is closed by a barrier with a hole of two rows: dropped in, fine-tuned with it, trained
from scratch with it, and closing slowly, from both starts. Twelve steps of one cell are enough to go around it.
`removal`: r2 without a share of the flows. `permuted`: the ways of the flows of a face, and of the same values in
another order. `picture` draws the curves that are in the result file.

A probe trains all seeds in one program, and prints the median over the seeds and in brackets the worst, on fresh faces;
CPU seconds are those of a seed, without compiling. Writes results/energy_flow_probes.json; probes that are not named
keep their values. Nothing else may run beside it.
"""

import functools
import statistics
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import numpy as np
from lab_energy_flow_rows import CONFIG, FREE, WIDTH
from lab_lattice import Probes, Seeds, rounded, run_probes, shown, train

from ternary_jax.config import load_config
from ternary_jax.config.keys import typed
from ternary_jax.lattice import metrics, targets
from ternary_jax.lattice.energy_flow import flow, probes
from ternary_jax.tables import columns

FREE_EVERY = FREE | {"evaluate.cheap_every": 100, "checkpoint.every": 2000}
DEPTHS = (2, 4, 8, 16, 32, 60)
STEPS = (2, 3, 4, 6, 8, 12)
ROUTE = FREE_EVERY | {"model.steps": 12, "model.reach": 1.0}
BARRIER = ROUTE | {"barrier.on": True}
ANNEALED = {"barrier.softness": 4.0, "barrier.share": 0.8}

COLORS = {
    "without": lab.GREY,
    "fine-tuned": lab.BLUE,
    "from scratch": lab.GREEN,
    "annealed": lab.RED,
    "annealed from scratch": "black",
}

Row = dict[str, Any]
Rows = dict[str, Row]


def main() -> None:
    """Run the named probes, print them and write the results."""
    run_probes(
        __doc__,
        "energy_flow_probes",
        Probes(
            lambda name, given: PROBES[name](given.seeds, tuple(given.set)),
            table,
            picture,
            dict.fromkeys(PROBES, "energy_flow_probes"),
        ),
    )


# --- trained for the probe --------------------------------------------------------------------------------------------


def depth(seeds: int, changes: tuple[str, ...]) -> Rows:
    """A permutation by depth, at four steps: z moves by depth - 1 in three steps of mean length."""
    rows = {f"depth {d}": FREE_EVERY | {"lattice.depth": d} for d in DEPTHS}
    return {name: row(runs("permutation", given, seeds, changes, name)) for name, given in rows.items()}


def steps(seeds: int, changes: tuple[str, ...]) -> Rows:
    """A permutation by the steps of a flow, with a reach of the width over them, or of 2 cells if that is more."""
    rows = {f"{t} steps": {"model.steps": t, "model.reach": WIDTH / t} for t in STEPS}
    rows |= {f"{t} steps, reach 2": {"model.steps": t, "model.reach": 2.0} for t in STEPS if 2 * t > WIDTH}
    return {name: row(runs("permutation", FREE_EVERY | given, seeds, changes, name)) for name, given in rows.items()}


def barrier(seeds: int, changes: tuple[str, ...]) -> Rows:
    """A mirror and a barrier; `through` is the share of flows that have gone through the hole.

    `no way around` is the r2 of flows that stay in their rows: those of the open rows are right, and in a closed row
    the two beside the plane lie between their cell and the one they should reach, which gives half of each.
    """
    free = runs("mirror", ROUTE, seeds, changes, "without")
    config = load(BARRIER, seeds, changes)
    begins = {
        "dropped in": None,
        "fine-tuned": train(config, "fine-tuned", free.params),
        "from scratch": train(config, "from scratch"),
        "annealed": train(load(BARRIER | ANNEALED, seeds, changes), "annealed", free.params),
        "annealed from scratch": train(load(BARRIER | ANNEALED, seeds, changes), "annealed from scratch"),
    }
    rows = {"without": row(free) | curve(free)}
    for name, ended in begins.items():
        r2, through = behind(config, free.params if ended is None else ended.params)
        rows[name] = {"r2": r2, "through": through} | ({} if ended is None else {"cpu_s": ended.cpu_s} | curve(ended))
    made = config.barrier
    opened = made.last_row - made.first_row + 1
    rows["no way around"] = {"r2": rounded([(opened + (WIDTH - opened) / WIDTH) / WIDTH])}
    return rows


def load(given: dict[str, Any], seeds: int, changes: tuple[str, ...], target: str = "mirror") -> Any:
    """The config of a target with these values."""
    return load_config(f"{CONFIG}:{target}", {"runs": seeds} | given | typed(changes))


def runs(target: str, given: dict[str, Any], seeds: int, changes: tuple[str, ...], name: str) -> Seeds:
    """All seeds of a config."""
    return train(load(given, seeds, changes, target), name)


def row(ended: Seeds) -> Row:
    """The figures of a table."""
    return {"r2": ended.metrics["r2"], "coverage": ended.metrics["coverage"], "cpu_s": ended.cpu_s}


def curve(ended: Seeds) -> Row:
    """Median r2 at each evaluation; of the hard barrier, where there is one."""
    return {"curve": rounded(statistics.median(r2) for _, r2 in ended.curve)}


def behind(config: Any, params: Any) -> tuple[list[float], list[float]]:
    """r2 and the share of flows that went through the hole, of each run, with the hard barrier of the config."""
    task, static, hypers = lab.assemble(config)

    def of_run(p, h):
        found = task.evaluate(p, lab.context(jnp.int32(0), None, h, data))
        return found["r2"], probes.through(p, data["evaluated"], static)

    data = jax.device_put(task.data)
    r2, through = jax.jit(jax.vmap(of_run))(params, jax.device_put(hypers))
    return rounded(r2), rounded(through)


# --- of the default recipe, whose ways may depend on the content ------------------------------------------------------


class Default(NamedTuple):
    """Runs of the permutation of the config: static config, runs, faces; wanted: faces -> their targets."""

    static: Any
    ended: Seeds
    inputs: Any
    wanted: Any


@functools.cache
def default(seeds: int, changes: tuple[str, ...]) -> Default:
    """Trained once for all probes of a call."""
    config = load({}, seeds, changes, "permutation")
    task, static, _ = lab.assemble(config)
    target = targets.make("permutation", WIDTH, WIDTH, config.data.shift, config.data.maps)
    wanted = functools.partial(target.apply, jnp.asarray(target.table[config.data.map]))
    return Default(static, train(config, "permutation"), jnp.asarray(task.data["evaluated"]), wanted)


def removal(seeds: int, changes: tuple[str, ...]) -> Rows:
    """r2 by the share of removed flows, others for each seed, and its closed form."""
    of = default(seeds, changes)
    wanted, keys = of.wanted(of.inputs), jax.random.split(jax.random.key(0), seeds)
    f = jax.jit(jax.vmap(lambda p, key: probes.r2_without(p, of.inputs, wanted, of.static, key)))
    found, expected = np.asarray(f(of.ended.params, keys)), probes.r2_of_lost_outputs(WIDTH**2)
    return {
        f"without {share:.0%}": {"r2": rounded(found[:, k]), "expected": round(expected[k], 5)}
        for k, share in enumerate(probes.SHARES)
    }


def permuted(seeds: int, changes: tuple[str, ...]) -> Rows:
    """r2 of other faces, and how far the ways of their cells are from those of the faces of an evaluation, in cells."""
    of = default(seeds, changes)
    other = probes.permuted(jax.random.key(1), of.inputs)
    wanted, nothing, n = of.wanted(other), jnp.zeros_like(other), of.static.model.steps

    def of_run(p):
        r2 = metrics.r2(flow.outputs(flow.run(p, other, of.static, n)[0], of.static), wanted)
        return r2, *(probes.ways_apart(p, of.inputs, faces, of.static) for faces in (other, nothing))

    r2, *found = jax.jit(jax.vmap(of_run))(of.ended.params)
    names = {"apart": "apart: mean", "ends": "at the end", "longest": "greatest", "way": "length of a way"}
    moved, empty = ({names[key]: rounded(values) for key, values in one.items()} for one in found)
    return {"the values permuted": {"r2": rounded(r2)} | moved, "no values": empty}


PROBES = {"depth": depth, "steps": steps, "barrier": barrier, "removal": removal, "permuted": permuted}


# --- shown ------------------------------------------------------------------------------------------------------------


def table(rows: Rows) -> str:
    """A line for each row, and a column for each figure of any of them; curves are drawn by `picture`."""
    keys = list(dict.fromkeys(key for one in rows.values() for key in one if key != "curve"))
    return columns([["", *keys], *([name, *(cell(one.get(key)) for key in keys)] for name, one in rows.items())])


def cell(value: Any) -> str:
    """A figure, or the median and the worst of several."""
    return shown(value) if value is None or isinstance(value, list) else f"{value:.4g}"


def picture(found: dict[str, Rows]) -> Any:
    """r2 by depth, by steps, during training behind the barrier, and by the share of removed flows."""
    figure = lab.figure(11, 7)
    panels = figure.subplots(2, 2).ravel()
    medians = {
        name: [statistics.median(one["r2"]) for one in found[name].values()]
        for name in ("depth", "steps", "removal")
        if name in found
    }
    if "depth" in found:
        panels[0].plot(DEPTHS, medians["depth"], "o-", color=lab.BLUE)
        panels[0].set(xlabel="depth, in cells; 4 steps", ylabel="r2", xscale="log")
        panels[0].set_xticks(DEPTHS, DEPTHS)
        panels[0].minorticks_off()
    if "steps" in found:
        longer = [t for t in STEPS if 2 * t > WIDTH]
        panels[1].plot(STEPS, medians["steps"][: len(STEPS)], "o-", color=lab.BLUE, label="reach: width / steps")
        panels[1].plot(longer, medians["steps"][len(STEPS) :], "s-", color=lab.RED, label="reach: 2 cells")
        panels[1].set(xlabel="steps of a flow", ylabel="r2")
        panels[1].legend()
    if "barrier" in found:
        for name, color in COLORS.items():
            r2 = found["barrier"][name]["curve"]
            panels[2].plot(np.arange(1, len(r2) + 1) / len(r2), np.maximum(r2, 0), color=color, label=name)
        panels[2].axhline(found["barrier"]["no way around"]["r2"][0], color="black", linewidth=0.7, linestyle=":")
        panels[2].set(xlabel="share of the run; dotted: no way around", ylabel="r2 with the hard barrier")
        panels[2].legend(fontsize="small")
    if "removal" in found:
        expected = [one["expected"] for one in found["removal"].values()]
        panels[3].plot(probes.SHARES, expected, color=lab.GREY, label="each costs its own output")
        panels[3].plot(probes.SHARES, medians["removal"], "o", color=lab.BLUE, label="measured")
        panels[3].set(xlabel="share of removed flows", ylabel="r2")
        panels[3].legend()
    for panel in panels:
        panel.set_ylim(-0.03, 1.03)
    return figure


if __name__ == "__main__":
    main()
