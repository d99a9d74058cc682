"""What does a cube hold, heal and use? Probes of cubes that all cells update, each a table of a few curves.

    python experiments/cube_probes.py                     the names of all probes
    python experiments/cube_probes.py PROBE... [--seeds=5] [--of=CUBE]...

`attractor`: r2 by update, up to 1,000. `noise`: r2 after noise on all states. `damage`: r2 after a block of cells has
lost its states, by its size and place, and the updates until it is back. `lesion`: r2 without a share of the cells,
beside straight columns. `layers`: r2 without a layer. `swap`: r2 where two cells have each other's weights. `rule`: the
share of the updates that one rule for all cells explains. `speed`: how far a slope of 1 % is after t updates, and the
greatest slope outside of the light cone. `asynchronous`: r2 where each cell is updated in half of the updates.
`larger`: r2 of shared rules in larger cubes. `picture` draws the curves.

The cubes of 5 x 5 x 4 cells learn a mirror, and to recall a face: asked for one moment (`end`), for a window, and with
a pool of states, also with damage. Cells have weights of their own, or share them (`shared`). A row of an untrained
cube is beside each, or beside one row of each cube. A probe trains all seeds of a cube in one program, and prints the
median over the seeds and in brackets the worst, on fresh faces. Writes these to results/cube_probes.json, and those of
cells and layers to results/cube_probes_cells.json; probes that are not named keep their values, as do with --of the
rows of other cubes. All seeds and curves go to results/raw/, and `picture` needs them. Nothing else may run beside it.
"""

import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lab
import lab_faces
import numpy as np
from lab_lattice import Probes, rounded, run_probes, shown, train

from ternary_jax.config import load_config
from ternary_jax.config.keys import typed
from ternary_jax.lattice import targets
from ternary_jax.lattice.cube import probes
from ternary_jax.tables import columns

CONFIG = lab.CONFIGS / "cube.py"
BASE: dict[str, Any] = {
    "model.schedule": "all",
    "train.steps": 300,
    "data.evaluated": 128,  # 1,000 updates of more faces would take longer than a training
    "evaluate.cheap_every": 100,
    "checkpoint.every": 300,
}
LONGER = {"train.steps": 1200, "checkpoint.every": 600}  # what recall needs; the variant itself has 2,000
WINDOW = {"losses.window": "mean"}
POOL = WINDOW | {"pool.on": True}
DAMAGE = POOL | {"pool.damage": 0.5}
SHARED = {"model.weights": "shared", "model.readout": "shared"}  # a rule for cubes of any size
CUBES: dict[str, tuple[str, dict[str, Any]]] = {  # variant of the config, changes to it
    "end": ("mirror", {}),
    "window": ("mirror", WINDOW),
    "pool": ("mirror", POOL),
    "pool, damage": ("mirror", DAMAGE),
    "recall": ("recall", LONGER),
    "recall, damage": ("recall", LONGER | DAMAGE),
    "recall, shared": ("recall", LONGER | {"model.weights": "shared"}),
    "recall, shared, damage": ("recall", LONGER | DAMAGE | {"model.weights": "shared"}),
    **{f"{target}, pool": (target, POOL) for target in ("identity", "blur", "shift")},
    "shared": ("identity", SHARED | POOL),
}
MIRROR = ("end", "window", "pool", "pool, damage")
RECALLS = ("recall", "recall, damage", "recall, shared", "recall, shared, damage")
HELD = ("pool", "pool, damage", *RECALLS)
OF_STATES = ("attractor", "noise", "damage", "asynchronous")  # probes; the others are of cells and layers
LONG, AFTER = 1000, 40  # updates
SIDE, DEPTH = 5, 4  # of the config
PLACES = {"front": 0, "middle": 1, "back": 2}  # the least z of a block of 2 x 2 x 2 cells
LARGER = ((5, 5, 4), (8, 8, 4), (5, 5, 8), (10, 10, 6))
COLORS = {"end": lab.GREY, "window": lab.BLUE, "pool": lab.GREEN, "pool, damage": lab.RED}
COLORS |= {"recall": "black", "recall, damage": "#9467bd"}
COLORS |= {"recall, shared": "#8c564b", "recall, shared, damage": "#e377c2"}

Row = dict[str, Any]
Rows = dict[str, Row]


def main() -> None:
    """Run the named probes, print them and write the results."""
    run_probes(
        __doc__,
        "cube_probes",
        Probes(
            lambda name, given: PROBES[name](lambda of: chosen(of, given)),
            table,
            picture,
            {name: "cube_probes" if name in OF_STATES else "cube_probes_cells" for name in PROBES},
            summary,
            [*CUBES],
        ),
    )


# --- the cubes --------------------------------------------------------------------------------------------------------


class Cube(NamedTuple):
    """The runs of a config, trained and not, with a leading axis of the seeds; and what they are measured on.

    given, wanted: faces (B, height, width), and what should be shown
    """

    static: Any
    params: Any
    untrained: Any
    given: Any
    wanted: Any


Make = Callable[[str], Cube | None]
Measure = Callable[[Cube, Any], Rows]


def configured(name: str, more: Mapping[str, Any]) -> Any:
    """The config of one of CUBES, with further changes."""
    variant, changes = CUBES[name]
    return load_config(f"{CONFIG}:{variant}", BASE | changes | dict(more))


@functools.cache
def cube(name: str, seeds: int, changes: tuple[str, ...]) -> Cube:
    """Trained once for all probes of a call."""
    config = configured(name, {"runs": seeds} | typed(changes))
    task, static, hypers = lab.assemble(config)
    untrained = jax.vmap(lambda h: task.init(lab.prng_keys(h)[0], h))(jax.device_put(hypers))
    given = jnp.asarray(task.data["evaluated"])
    return Cube(static, train(config, name).params, untrained, given, lab_faces.wanted(static, given))


def chosen(name: str, given: Any) -> Cube | None:
    """The cube of this name; None where the command asks for others alone."""
    return cube(name, given.seeds, tuple(given.set)) if name in (given.of or CUBES) else None


def over(f: Callable[[Any], Any], params: Any) -> Any:
    """The values of a function of the parameters of one run, as numpy, with a leading axis of the seeds."""
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(f))(params))


def each(make: Make, names: Iterable[str], measure: Measure, null: Measure | None = None) -> Rows:
    """The rows of these cubes, trained and not.

    measure: a cube, parameters of its runs -> rows by the end of their names
    null: the same for untrained cubes, with fewer rows; None: all
    """
    rows = {}
    for name in names:
        if (of := make(name)) is None:
            continue
        rows |= {f"{name}{end}": row for end, row in measure(of, of.params).items()}
        rows |= {f"{name}, untrained{end}": row for end, row in (null or measure)(of, of.untrained).items()}
    return rows


def curve(values: Any) -> list[float]:
    """The median over the seeds, axis 0."""
    return rounded(np.median(values, 0))


# --- held and healed --------------------------------------------------------------------------------------------------


def attractor(make: Make) -> Rows:
    """r2 by update from the start."""

    def measure(of, params):
        t = of.static.model.updates
        r2 = over(lambda p: probes.r2_by_update(p, of.given, of.wanted, of.static, LONG)[0], params)
        at = {f"{k} T": rounded(r2[:, k * t - 1]) for k in (1, 2, 10)}
        return {"": at | {f"{LONG:,}": rounded(r2[:, -1]), "curve": curve(r2)}}

    return each(make, CUBES, measure)


def noise(make: Make) -> Rows:
    """r2 of the updates after noise on all states at 2 T."""
    shares = (0.0, *probes.NOISES)

    def measure(of, params, shown=shares):
        key = jax.random.key(0)
        r2 = over(lambda p: probes.after_noise(p, of.given, of.wanted, of.static, key, AFTER), params)
        rows = {}
        for share in shown:
            of_share = r2[:, shares.index(share)]
            figures = {f"+{n}": rounded(of_share[:, n]) for n in (0, 10, AFTER)}
            rows[f", {share:.0%}"] = figures | {"curve": curve(of_share)}
        return rows

    return each(make, HELD, measure, functools.partial(measure, shown=(1.0,)))


def damage(make: Make) -> Rows:
    """r2 of the updates after a block in the middle of x and y has lost its states at 2 T, or got random ones.

    `updates`: until 99 % of the former r2 are back; AFTER + 1 where they are not after AFTER, or there was none.
    """
    middle = (2, "middle", False)
    blocks = (middle, (2, "front", False), (2, "back", False), (2, "middle", True), (3, "middle", False))

    def measure(of, params, blocks=(*blocks, (4, "front", False))):
        rows = {}
        for side, place, random in blocks:
            corner = jnp.array([side < 4, side < 4, PLACES[place]], int)
            key = jax.random.key(1) if random else None
            f = functools.partial(
                probes.after_damage, static=of.static, corner=corner, side=side, updates=AFTER, key=key
            )
            r2 = over(lambda p, f=f: f(p, of.given, of.wanted), params)
            rows[f", {side}^3 {place}{', random' * random}"] = {
                "before": rounded(r2[:, 0]),
                "lowest": rounded(r2[:, 1:].min(1)),
                "at the end": rounded(r2[:, -1]),
                "updates": [int(n) if n >= 0 else AFTER + 1 for n in map(probes.updates_to_regrow, jnp.asarray(r2))],
                "curve": curve(r2),
            }
        return rows

    return each(make, ("window", *HELD), measure, functools.partial(measure, blocks=(middle,)))


def asynchronous(make: Make) -> Rows:
    """r2 where a cell is updated with the chance .5, at 2 T and 4 T, beside all cells at T and 2 T."""

    def measure(of, params):
        t, key = of.static.model.updates, jax.random.key(2)
        half = over(lambda p: probes.asynchronous(p, of.given, of.wanted, of.static, key, 4 * t), params)
        whole = over(lambda p: probes.r2_by_update(p, of.given, of.wanted, of.static, 2 * t)[0], params)
        found = {f"half, {k} T": rounded(half[:, k * t - 1]) for k in (2, 4)}
        return {"": found | {f"all, {k} T": rounded(whole[:, k * t - 1]) for k in (1, 2)}}

    return each(make, MIRROR, measure)


# --- cells and layers -------------------------------------------------------------------------------------------------


def lesion(make: Make) -> Rows:
    """r2 without a share of the cells, others for each seed, and that of straight columns."""

    def measure(of, params):
        keys = jax.random.split(jax.random.key(3), len(params["start"]["state"]))
        r2 = over(lambda x: probes.lesion(x[0], of.given, of.wanted, of.static, x[1]), (params, keys))
        return {"": {f"{share:.0%}": rounded(r2[:, k]) for k, share in enumerate(probes.SHARES)}}

    columns = probes.r2_of_columns(SIDE, SIDE, DEPTH)
    expected = {f"{share:.0%}": rounded([r2]) for share, r2 in zip(probes.SHARES, columns, strict=True)}
    return each(make, MIRROR, measure) | {"straight columns": expected}


def layers(make: Make) -> Rows:
    """r2 without each layer."""

    def measure(of, params):
        r2 = over(lambda p: probes.without_layer(p, of.given, of.wanted, of.static), params)
        return {"": {f"layer {z}": rounded(r2[:, z]) for z in range(r2.shape[1])}}

    return each(make, MIRROR, measure)


def swap(make: Make) -> Rows:
    """r2 where two cells have each other's weights: the median and the worst of 16 pairs, of three kinds."""
    rng, layer = np.random.default_rng(0), SIDE * SIDE
    left = np.stack([SIDE * rng.integers(SIDE * DEPTH) + rng.integers(SIDE - 1) for _ in range(16)])
    kinds = {
        "neighbours": np.stack([left, left + 1], 1),
        "one layer": np.stack([rng.permutation(layer)[:2] + layer * rng.integers(DEPTH) for _ in range(16)]),
        "any two": np.stack([rng.permutation(layer * DEPTH)[:2] for _ in range(16)]),
    }

    def measure(of, params):
        t = of.static.model.updates
        r2 = over(lambda p: probes.r2_by_update(p, of.given, of.wanted, of.static, 2 * t)[0], params)
        found = {"none": rounded(r2[:, -1])}
        for kind, pairs in kinds.items():
            at = jnp.asarray(pairs)
            r2 = over(lambda p, at=at: probes.swapped(p, of.given, of.wanted, of.static, at), params)
            found |= {kind: rounded(np.median(r2, 1)), f"{kind}, worst": rounded(r2.min(1))}
        return {"": found}

    return each(make, MIRROR, measure)


def rule(make: Make) -> Rows:
    """The share of the variance of the updates that one rule for all cells explains; of unrelated ones, 1 / cells."""

    def measure(of, params):
        key = jax.random.key(4)
        return {"": {"share": rounded(over(lambda p: probes.shared_rule(p, of.given, of.static, key), params))}}

    return each(make, (*MIRROR, "shared"), measure)


def speed(make: Make) -> Rows:
    """The front of the slopes after t updates, and the greatest slope outside of the light cone, which is 0."""

    def measure(of, params):
        t = of.static.model.updates
        cone = jnp.asarray(probes.cone(of.static, t))

        def of_run(p):
            found = probes.slopes(p, of.given[0], of.static, t)
            return probes.front(found, of.static), jnp.max(jnp.where(cone, 0, found))

        front, outside = over(of_run, params)
        fronts = {f"t = {n}": rounded(front[:, n - 1]) for n in (2, 4, 6, 8, t)}
        return {"": fronts | {"outside": [float(x) for x in outside]}}  # all digits, as it has to be 0

    return each(make, MIRROR, measure)


def larger(make: Make) -> Rows:
    """r2 of a shared rule in cubes of other sizes, with T in proportion to the depth."""

    def measure(of, params):
        rows, data = {}, of.static.data
        for width, height, depth in LARGER:
            t = of.static.model.updates * depth // DEPTH
            static = probes.enlarged(of.static, width, height, depth, t)
            given = jnp.asarray(targets.evaluated(data.evaluated, width, height, data.amplitude))
            f = functools.partial(
                probes.r2_by_update, given=given, wanted=lab_faces.wanted(static, given), static=static
            )
            r2 = over(lambda p, f=f, t=t: f(p, updates=2 * t)[0], params)
            rows[f", {width} x {height} x {depth}"] = {f"{k} T": rounded(r2[:, k * t - 1]) for k in (1, 2)}
        return rows

    return each(make, ("shared",), measure)


PROBES: dict[str, Callable[[Make], Rows]] = {
    "attractor": attractor,
    "noise": noise,
    "damage": damage,
    "asynchronous": asynchronous,
    "lesion": lesion,
    "layers": layers,
    "swap": swap,
    "rule": rule,
    "speed": speed,
    "larger": larger,
}


# --- shown ------------------------------------------------------------------------------------------------------------


def table(rows: Rows) -> str:
    """A line for each row, and a column for each figure of any of them; curves are drawn by `picture`."""
    keys = list(dict.fromkeys(key for one in rows.values() for key in one if key != "curve"))
    return columns([["", *keys], *([name, *(value(one.get(key), key) for key in keys)] for name, one in rows.items())])


def value(figures: Sequence[float] | None, key: str) -> str:
    """The median and the worst of the seeds."""
    return shown(figures, worst(key))


def worst(key: str) -> Callable[..., Any]:
    """Of updates and slopes, the most are the worst."""
    return max if key in ("updates", "outside") else min


def summary(rows: Rows) -> Rows:
    """[median, worst] of each figure, without the curves, as all of it would be too much for a file on record."""
    return {
        name: {
            key: [float(f"{x:.4g}") for x in (statistics.median(figures), worst(key)(figures))]
            for key, figures in row.items()
            if key != "curve"
        }
        for name, row in rows.items()
    }


def picture(found: dict[str, Rows]) -> Any:
    """r2 by update; after damage; after noise; without a share of the cells."""
    figure = lab.figure(11, 7)
    panels = figure.subplots(2, 2).ravel()
    for name, color in COLORS.items():
        for panel, probe, row in (
            (panels[0], "attractor", name),
            (panels[1], "damage", f"{name}, 2^3 middle"),
            (panels[2], "noise", f"{name}, 100%"),
        ):
            r2 = found.get(probe, {}).get(row, {}).get("curve")
            if r2:
                panel.plot(np.arange(len(r2)) + (probe == "attractor"), np.maximum(r2, 0), color=color, label=name)
    for name in RECALLS:  # a memory fades also where nothing is lost
        if r2 := found.get("noise", {}).get(f"{name}, 0%", {}).get("curve"):
            label = f"{name}: nothing lost"
            panels[1].plot(np.arange(len(r2)) + 1, np.maximum(r2, 0), "--", color=COLORS[name], label=label)
    panels[0].set(xlabel="updates from the start", xscale="log")
    panels[1].set(xlabel="updates, after a block of 2 x 2 x 2 cells is lost at 1")
    panels[2].set(xlabel="updates after noise as large as the states")
    if "lesion" in found:
        for name, color in (COLORS | {"straight columns": "black"}).items():
            if name not in found["lesion"]:
                continue
            r2 = [statistics.median(figures) for figures in found["lesion"][name].values()]
            panels[3].plot(probes.SHARES, np.maximum(r2, 0), color=color, label=name)
    panels[3].set(xlabel="share of removed cells")
    for panel in panels:
        panel.set(ylabel="r2, 0 where it is less", ylim=(-0.03, 1.03))
        if panel.get_lines():
            panel.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
