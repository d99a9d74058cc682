"""How near are our models to the best hierarchy, Q and richness? A bound, the closed forms, models, one figure.

    python experiments/frontier.py            writes results/frontier.json and results/frontier.png
    python experiments/frontier.py --train    trains one seed of v5_12 and v5_12_rich, and adds it to them

Metrics are those of `evaluate`. `vae.bounds` proves how much richness a layout of radii has at most, at a given
hierarchy, and so which Q; `lab_frontier` searches for layouts with much Q and much richness, which proves nothing.
Beside them: the two closed forms, measured here; the two published points; the models of results/*.json, all seeds.
Those files have no Q of v5_12 and v5_12_rich; --train is for theirs.

A layout of radii is no embedding: it has no triplets, and need not have room for the tree.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import lab
import lab_frontier
import lab_tree_rows
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns
from ternary_jax.vae import baselines, bounds, evaluate, references

METRICS = ("hierarchy", "richness", "q", "triplet_accuracy")
LEAST = (1e-5, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.022)  # richness that bands are searched for
LEAST_FREE = (0.05, 0.1, 0.13, 0.15, 0.165, 0.18)  # and free layouts in addition
# The best published points of one branch, with coverage 1: (hierarchy, richness). Q and triplets are not known.
PUBLISHED = ((-0.8288, 0.0010), (-0.7164, 0.0105))

# --- the points -------------------------------------------------------------------------------------------------------


def on_file(read: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """The metrics of our models over the seeds, by model, of branch B if no other is named: read, never typed."""
    found = {}
    for name in ("v5_12", "v5_12_rich"):
        runs = read[f"seeds_{name}"]["runs"]
        found[name] = {metric: [run[metric] for run in runs] for metric in METRICS if metric in runs[0]}
    for name, one in read["variants"]["variants"].items():
        for branch, figures in one["figures"].items():
            found[name + f", {branch}" * (branch != "B")] = {metric: figures[metric] for metric in METRICS}
    return found


def closed_forms(samples: evaluate.Samples) -> dict[str, dict[str, list[float]]]:
    """The metrics of both closed forms, with the values of configs/closed_form.py."""
    config = load_config("closed_form")
    tree = baselines.Tree(config.n_digits, config.dim, **config.tree)
    rich = baselines.Rich(config.n_digits, config.dim, **config.rich)
    points = {"tree": baselines.tree(tree, config.c), "rich": baselines.rich(rich, config.c)}
    decoded = {"tree": baselines.decode_tree(points["tree"], tree), "rich": baselines.decode_rich(points["rich"], rich)}
    measured = {name: evaluate.measure(z, decoded[name], config.c, samples) for name, z in points.items()}
    return {f"closed form {name}": {m: [row[m]] for m in METRICS} for name, row in measured.items()}


def trained(name: str) -> dict[str, list[float]]:
    """The final metrics of branch B of one training, seed 0."""
    final = lab.trained(load_config(name)).summary["runs"][0]["final"]
    return {metric: [final[f"{metric}_B"]] for metric in METRICS}


@jax.jit
def _of_radii(z, nothing_decoded, samples):
    return evaluate.cheap(z, nothing_decoded, 1.0), evaluate.costly(z, 1.0, samples)


def of_radii(radii: np.ndarray, samples: evaluate.Samples) -> dict[str, float]:
    """Hierarchy, richness and Q of radii (N,): points on a ray have them."""
    nothing_decoded = np.zeros((len(radii), round(np.log(len(radii)) / np.log(3))), int)
    with jax.enable_x64(True):
        cheap, costly = jax.device_get(_of_radii(radii[:, None], nothing_decoded, samples))
    return {"hierarchy": float(cheap.hierarchy), "richness": float(cheap.richness), "q": float(costly.q)}


# --- the frontiers ----------------------------------------------------------------------------------------------------


def proven(of: bounds.Trade, samples: evaluate.Samples) -> tuple[list[bounds.Line], list[dict[str, float]]]:
    """The lines of the bound, and the layouts that touch them, measured."""
    lines, touching = [], []
    for price in bounds.PRICES:
        lines.append(bounds.line(float(price), of))
        whole = np.rint(lines[-1].shares * of.counts) / of.counts
        touching.append(of_radii(lab_frontier.radii(lab_frontier.by_shares(whole)), samples))
        terminal.progress(f"bound: price {price:.2g}, {lines[-1].boxes} boxes")
    return lines, touching


def searched(
    of: bounds.Trade, samples: evaluate.Samples, lines: list[bounds.Line], generations: int
) -> dict[str, list[dict[str, float]]]:
    """The layouts of each family with the greatest Q at each least richness, measured, the poorest first."""
    found, narrower = {}, {}
    for family in lab_frontier.FAMILIES:
        rows, before = [], [lab_frontier.evenly()]
        for least in LEAST + LEAST_FREE * (family == "free"):
            # A family holds those before it: it starts from their layout, from its own last one, and from the bound's.
            starts = [*before, *narrower.get(least, [])]
            starts += [lab_frontier.by_shares(one.shares) for one in lines] if family == "free" else []
            before = [lab_frontier.search(least, of, starts, family, generations)]
            narrower[least] = before
            rows.append(of_radii(lab_frontier.radii(before[0]), samples))
            terminal.progress(f"search: {family}, richness {rows[-1]['richness']:.3g}, Q {rows[-1]['q']:.3f}")
        found[family] = rows
    return found


def known_layouts(samples: evaluate.Samples) -> dict[str, dict[str, float]]:
    """Bands that are filled uniformly, as one would lay them out by hand."""
    wide = np.concatenate([[bounds.RADIUS], np.linspace(0.25, 0, 10)])
    layouts = {"ten equal bands": np.linspace(bounds.RADIUS, 0, 11), "level 0 from 0.25 on": wide}
    return {name: of_radii(lab_frontier.uniform(edges), samples) for name, edges in layouts.items()}


# --- the figure -------------------------------------------------------------------------------------------------------

# Marks differ in shape and in lightness, so that they differ in grey too.
MARKS: dict[str, tuple[str, str, str]] = {
    "closed form tree": ("*", "#111111", "closed form `tree`"),
    "closed form rich": ("P", "#111111", "closed form `rich`"),
    "published": ("X", "#c8553d", "published"),
    "v5_12": ("o", "#2e86ab", "v5_12"),
    "v5_12_rich": ("s", "#2e86ab", "v5_12_rich"),
    "homeostatic_rich": ("v", "#3a9278", "homeostatic_rich, B"),
    "homeostatic_rich, A": ("^", "#8cc8b4", "homeostatic_rich, A"),
    "hierarchy_focused": ("D", "#8d99a3", "hierarchy_focused"),
    "radial_target": ("d", "#b9c2c9", "radial_target"),
    "quick": ("h", "#5c676f", "quick"),
}
LINES = {"level 0 spread": ":", "bands": "--", "free": "-"}
NAMES = {"level 0 spread": "found: level 0 alone is spread", "bands": "found: bands", "free": "found: any layout"}


def draw(found: Mapping[str, Any]) -> Any:
    """Three panels with one legend: hierarchy and richness, Q and richness, richness and triplets."""
    figure = lab.figure(14.5, 6.2)
    hierarchy, q, triplets = figure.subplots(1, 3)
    draw_points(hierarchy, found, "hierarchy", "richness")
    draw_points(q, found, "q", "richness")
    draw_points(triplets, found, "richness", "triplet_accuracy")
    draw_hierarchy(hierarchy, found)
    draw_q(q, found)
    draw_triplets(triplets, found)
    handles = {
        label: one
        for ax in (triplets, hierarchy, q)
        for one, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def draw_points(ax: Any, found: Mapping[str, Any], across: str, up: str) -> None:
    """All models that have both metrics."""
    for name, (mark, colour, label) in MARKS.items():
        metrics = found["points"].get(name, {})
        if across not in metrics or up not in metrics:  # a file without Q: the seed that was trained here
            metrics = found["points"].get(f"{name}, one seed", {})
        if across in metrics and up in metrics:
            style = dict(s=90 if mark in "*PX" else 34, c=colour, edgecolors="white", linewidths=0.5, zorder=4)
            ax.scatter(metrics[across], metrics[up], marker=mark, label=label, **style)


def draw_hierarchy(ax: Any, found: Mapping[str, Any]) -> None:
    """The bound above all layouts, and the ceiling of hierarchy with that of bands on it."""
    lines = [bounds.Line(price, value, np.empty(0), 0) for price, value in found["bound"]["lines"]]
    best, h = -found["bound"]["hierarchy_ceiling"], np.linspace(-0.70, found["bound"]["hierarchy_ceiling"], 400)
    ax.plot(h, bounds.bound_on_richness(h, lines), color="black", lw=1.6, label="proven bound")
    ax.axvline(-best, color="#777777", lw=0.8, zorder=0)
    ax.plot([-best - 0.004, -best + 0.004], [found["bound"]["richness_of_bands"]] * 2, color="black", lw=3)
    ax.annotate(
        "bands without overlap\nend here (proven)",
        (-best + 0.003, found["bound"]["richness_of_bands"]),
        (-0.795, 0.045),
        fontsize=8.5,
        va="center",
        arrowprops=dict(arrowstyle="-", lw=0.6),
    )
    ax.text(-best - 0.004, 1.2e-6, "ceiling without ties", rotation=90, ha="right", va="bottom", fontsize=8.5)
    ax.set(xlim=(-0.845, -0.695), ylim=(3e-7, 0.5), yscale="log", xlabel="hierarchy (chance: 0)", ylabel="richness")
    ax.set_title("Richness against hierarchy", fontsize=11)


def draw_q(ax: Any, found: Mapping[str, Any]) -> None:
    """The proven bound, and the layouts that the search has found."""
    lines = [bounds.Line(price, value, np.empty(0), 0) for price, value in found["bound"]["lines"]]
    richness = np.geomspace(3e-7, 0.2, 400)
    of = bounds.trade()
    bound = bounds.bound_on_q(richness, lines, of, found["bound"]["dist_corr_ceiling"])
    ax.plot(bound, richness, color="black", lw=1.6, label="proven bound")
    for family, rows in lab_tree_rows.undominated(found["searched"]).items():
        pairs = [(row["q"], row["richness"]) for row in rows]
        ax.plot(*zip(*pairs, strict=True), LINES[family], color="#555555", lw=1.3, label=NAMES[family])
    ax.axvline(found["bound"]["q_ceiling"], color="#777777", lw=0.8, zorder=0)
    ax.text(found["bound"]["q_ceiling"] + 0.012, 3e-6, "ceiling", rotation=90, va="bottom", fontsize=8.5)
    ax.set(xlim=(1.2, 2.25), ylim=(3e-7, 0.5), yscale="log", xlabel="Q (chance: 0)", ylabel="richness")
    ax.set_title("Richness against Q", fontsize=11)


def draw_triplets(ax: Any, found: Mapping[str, Any]) -> None:
    """Ceiling, untrained value and chance of triplets; the greatest richness of bands."""
    known = references.levels()["triplet_accuracy"]
    for value, label in ((1.0, "ceiling"), (known.untrained, "untrained, one-hot digits"), (known.chance, "chance")):
        ax.axhline(value, color="#777777", lw=0.8, zorder=0)
        below = value == known.untrained  # above that line there are marks
        ax.text(4e-7, value + (-0.006 if below else 0.005), label, fontsize=8.5, va="top" if below else "bottom")
    most = found["bound"]["richness_of_bands"]
    ax.axvline(most, color="#777777", lw=0.8, zorder=0)
    ax.text(most * 1.12, 0.56, "bands end", rotation=90, fontsize=8.5, va="bottom")
    ax.set(xlim=(3e-7, 0.5), ylim=(0.47, 1.04), xscale="log", xlabel="richness", ylabel="triplets in the right order")
    ax.set_title("Triplets against richness", fontsize=11)


# --- the experiment ---------------------------------------------------------------------------------------------------


def main() -> None:
    """Prove, search, measure and read, or train; print, write, draw."""
    parser = lab.parser(__doc__, quick="a short search")
    parser.add_argument("--train", action="store_true", help="only add a seed of v5_12 and v5_12_rich, with Q")
    parser.add_argument("--draw", action="store_true", help="only draw the result on file")
    parser.add_argument("--generations", type=int, default=400, help="of each search")
    given = parser.parse_args()
    if given.draw:
        terminal.say(f"wrote {lab.save(draw(lab.read('frontier', given)), 'frontier', given)}")
        return
    if given.train:
        found = lab.read("frontier", given) or parser.error("--train adds to a result: run it without --train before")
        for name in ("v5_12", "v5_12_rich"):
            found["points"][f"{name}, one seed"] = trained(name)
    else:
        found = computed(30 if given.quick else given.generations)
    found = rounded(found)
    print(columns(lab_tree_rows.frontier(found)))
    lab.write("frontier", found, given)
    terminal.say(f"wrote {lab.save(draw(found), 'frontier', given)}")


def computed(generations: int) -> dict[str, Any]:
    """All of the result that needs no training."""
    samples, of = evaluate.draw_samples(), bounds.trade()
    levels = references.levels(samples=samples)
    lines, touching = proven(of, samples)
    on = on_file({name: json.loads((lab.RESULTS / f"{name}.json").read_text()) for name in READ})
    published = {"hierarchy": [h for h, _ in PUBLISHED], "richness": [r for _, r in PUBLISHED]}
    return {
        "radius": bounds.RADIUS,
        "bound": {
            "lines": [[one.price, one.value] for one in lines],
            "touching": [[row["hierarchy"], row["richness"]] for row in touching],
            "boxes": sum(one.boxes for one in lines),
            "richness_of_bands": bounds.bound_of_bands(),
            "hierarchy_ceiling": levels["hierarchy"].best,
            "dist_corr_ceiling": levels["dist_corr"].best,
            "q_ceiling": levels["q"].best,
        },
        "searched": searched(of, samples, lines, generations),
        "known_layouts": known_layouts(samples),
        "points": closed_forms(samples) | on | {"published": published},
    }


READ = ("seeds_v5_12", "seeds_v5_12_rich", "variants")


def rounded(value: Any) -> Any:
    """Numbers to eight digits: a file of the points is read by people too. Metrics are float32, with seven."""
    if isinstance(value, Mapping):
        return {key: rounded(x) for key, x in value.items()}
    if isinstance(value, list):
        return [rounded(x) for x in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
