# pyright: reportMissingImports=false
"""How fast is a step of training, beside a torch twin and the machine's GEMM peak?

    python experiments/bench_step.py [--quick] [--only REGEX] [--config FILE] [--out DIR]

check   checks that the torch twin (experiments/lab_torch_twin.py) is the same program
rates   samples/s by batch size, and of 1 to 8 vmapped runs; of the twin, eager and compiled; and the best matmul.
        All are measured in turns. The best time counts; ratios are taken in each round and have 95 % intervals
run     a whole default run of the config, against the bare scan of as many steps
parts   the time of each part of a step: the step without each of its parts, and a profile of its operations

Our side is a bare scan of steps without logging. Needs the `bench` extra, an idle machine, and about fifteen
minutes; compiling, most of that, is not timed. Writes results/bench_step.json.
"""

import collections
import glob
import gzip
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lab
import lab_process
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.tables import columns

BATCH = 512
BATCHES = (256, BATCH, 1024, 2048, 4096, 8192)
RUNS = (2, 4, 8)
SIDES = (512, 1024, 2048, 4096)
CORES = os.cpu_count() or 1
KINDS = ("eager", "one thread", "compiled")  # of the twin; one thread, as arrays this small may not be worth two
BARS = {
    "samples_per_s": lab.Bar(f"samples/s at {BATCH}", ",.0f", ">=", 60_000),
    "ratio_to_eager": lab.Bar(f"times the eager twin at {BATCH}", ".2f", ">=", 3.0),
    "cost_of_8_runs": lab.Bar("8 runs at once cost, in runs", ".2f", "<=", 8.0),
}

Timed = Callable[[], float]  # seconds of one unit: a step, or a matmul


def main() -> None:
    """Measure, print and write the results."""
    parser = lab.parser(__doc__, quick="few sizes and rounds, no whole run")
    parser.add_argument("--only", default="", metavar="REGEX", help="the sections whose name matches")
    parser.add_argument("--config", default=str(lab.CONFIGS / "v5_12.py"), help="what is trained")
    given = parser.parse_args()
    sections = {name: pair for name, pair in SECTIONS.items() if not (given.quick and name == "run")}
    if not (chosen := {name: pair for name, pair in sections.items() if re.search(given.only, name)}):
        parser.error(f"--only={given.only} matches none of {', '.join(sections)}")
    found: dict[str, Any] = {"config": Path(given.config).stem, "quick": given.quick}
    for name, (section, show) in chosen.items():
        terminal.say(f"== {name}")
        found[name] = section(given.config, given.quick)
        print(show(found[name]), end="\n\n", flush=True)
    lab.write("bench_step", found | {"bars": {name: bar.wanted for name, bar in BARS.items()}}, given)


# --- check ------------------------------------------------------------------------------------------------------------


def check(path: str, quick: bool) -> dict[str, Any]:
    """Check that the twin is the same program; raises a RuntimeError where it is not."""
    return twin().check_twin(load_config(path))


def show_check(found: dict[str, Any]) -> str:
    """Print the largest differences between the two programs."""
    term, gradient, move = (f"{found[f'worst_{name}']:.0e}" for name in ("term", "gradient", "move"))
    return (
        f"the twin is the same program: terms agree to {term}, gradients to {gradient}, moves to {move} of the rate "
        f"({found['moves_compared']:.0%} of them are compared)"
    )


# --- rates ------------------------------------------------------------------------------------------------------------


def rates(path: str, quick: bool) -> dict[str, Any]:
    """Seconds of every program that is compared, measured in turns."""
    timed: dict[str, Timed] = {f"gemm {n}": matmul(n) for n in (SIDES[:2] if quick else SIDES)}
    flop, weights = flops(path)
    for batch in BATCHES[1:2] if quick else BATCHES:
        timed[f"ours {batch}"] = scan(path, {"train.batch_size": batch}).time
    for runs in RUNS[-1:] if quick else RUNS:
        timed[f"ours {BATCH} x {runs}"] = scan(path, {"train.batch_size": BATCH, "runs": runs}).time
    twins, left_out = twins_of(path, quick)
    rounds = lab.in_turns(timed | twins, rounds=2 if quick else 8)
    seconds = {name: float(x.min()) for name, x in rounds.items()}
    peak = max(2 * n**3 / seconds[f"gemm {n}"] for n in SIDES if f"gemm {n}" in seconds)
    rows = {}
    for name, s in seconds.items():
        if not name.startswith("gemm"):
            batch, runs = ([int(word) for word in name.split() if word.isdigit()] + [1])[:2]
            rate = runs * batch / s
            rows[name] = {"ms": 1e3 * s, "samples_per_s": rate, "share_of_peak": rate * flop / peak}
            if name in twins:
                rows[name]["theirs_to_ours"] = lab.paired_ratio(rounds[name], rounds[f"ours {batch}"])
    one, many = rows[f"ours {BATCH}"], rows[f"ours {BATCH} x {RUNS[-1]}"]
    eager = max(rows[f"torch {kind} {BATCH}"]["samples_per_s"] for kind in KINDS[:2])
    cost = many["ms"] / one["ms"]
    bars = {"samples_per_s": one["samples_per_s"], "ratio_to_eager": one["samples_per_s"] / eager}
    found = {"gemm_peak_flops": peak, "flop_per_sample": flop, "weights": weights, "rows": rows, "seconds": seconds}
    return found | {"left_out": left_out, "bars": bars | {"cost_of_8_runs": cost}}


def twins_of(path: str, quick: bool) -> tuple[dict[str, Timed], dict[str, str]]:
    """The steps of the twin by name, and the reasons why compiled ones are left out."""
    timed, reasons = {}, {}
    for batch in (BATCH,) if quick else (BATCH, BATCHES[-1]):
        for kind in KINDS[:2] if quick else KINDS:
            name = f"torch {kind} {batch}"
            try:
                timed[name] = torch_step(path, batch, kind == "compiled", 1 if kind == "one thread" else CORES)
            except Exception as e:  # torch.compile raises many kinds of errors where there is no compiler
                if kind != "compiled":
                    raise
                reasons[name] = f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
                terminal.say(f"{name} is left out: {reasons[name]}")
    return timed, reasons


def show_rates(found: dict[str, Any]) -> str:
    """Print a line for each kind of step, and the bars."""
    rows = found["rows"]
    lines = [["steps of", "ms", "samples/s", "of GEMM peak", "ours / it", "95 %", "cost of one run"]]
    for name, row in rows.items():
        ratio = spread = cost = ""
        if "theirs_to_ours" in row:
            ratio = f"{rows[f'ours {name.split()[-1]}']['samples_per_s'] / row['samples_per_s']:.2f}"
            spread = "{:.2f} to {:.2f}".format(*row["theirs_to_ours"][1:])
        if " x " in name:
            cost = f"x {row['ms'] / rows[f'ours {BATCH}']['ms']:.2f}"
        rate, share = f"{row['samples_per_s']:,.0f}", f"{row['share_of_peak']:.0%}"
        lines.append([name, f"{row['ms']:.2f}", rate, share, ratio, spread, cost])
    flop = f"{found['flop_per_sample'] / 1e6:.3f} MFLOP a sample"
    peak = f"GEMM peak {found['gemm_peak_flops'] / 1e9:.0f} GFLOP/s, {flop}"
    return "\n\n".join([peak, columns(lines), lab.show_bars(BARS, found["bars"])])


def averaged(f: Callable[[], Any], number: int) -> Timed:
    """A function that returns the mean seconds of a call over so many calls."""

    def timed():
        begun = time.perf_counter()
        for _ in range(number):
            f()
        return (time.perf_counter() - begun) / number

    return timed


def matmul(n: int) -> Timed:
    """The product of two n x n float32 matrices."""
    a, f = jnp.asarray(np.random.default_rng(0).normal(size=(n, n)), jnp.float32), jax.jit(jnp.matmul)
    f(a, a).block_until_ready()
    return averaged(lambda: f(a, a).block_until_ready(), max(1, round(3e10 / (2 * n**3))))


def twin() -> Any:
    """The module of the twin."""
    try:
        import lab_torch_twin
    except ImportError as missing:
        sys.exit(f"{missing}: this comparison needs the bench extra, pip install -e '.[bench]'")
    return lab_torch_twin


def torch_step(path: str, batch: int, compiled: bool, threads: int) -> Timed:
    """A step of the twin."""
    terminal.say(f"torch, {'compiled' if compiled else 'eager'}, batches of {batch:,}, threads {threads} ...")
    import torch

    trainer = twin().Trainer(load_config(path, {"train.batch_size": batch}), compiled)
    torch.set_num_threads(threads)
    for _ in range(3):
        trainer.step()
    steps = averaged(trainer.step, steps_of(batch))

    def timed():
        torch.set_num_threads(threads)
        trainer.step()
        return steps()

    return timed


def flops(path: str) -> tuple[float, int]:
    """FLOP of the matrix products of a step, per sample, and the weights in them.

    2 for each weight and row forward, 4 backward, without the gradient with respect to the features. A stochastic
    branch has the radius of two rows a sample, of the mean and of the draw, but the direction only of the draw, unless
    `bands` read the points of the mean.
    """
    config = load_config(path)
    task, _, hypers = lab.assemble(config)
    shapes = jax.eval_shape(task.init, jax.random.key(0), jax.tree.map(lambda a: a[0], hypers))
    total = weights = 0
    for place, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        group, *names = [str(entry.key) for entry in place]
        if leaf.ndim == 2:
            part, _, branch = group.rpartition("_")
            twice = part == "projection" and config.model[branch].posterior == "gaussian"
            rows = 2 if twice and (branch in config.losses.bands.on or not {"direction", "turn"} & {*names}) else 1
            total += rows * (4 if part == "encoder" and "layer_0" in names else 6) * leaf.size
            weights += leaf.size
    return float(total), weights


# --- ours -------------------------------------------------------------------------------------------------------------


def steps_of(batch: int, runs: int = 1) -> int:
    """Steps of an epoch at batch 512, or as many samples at other batch sizes; at least three."""
    return max(3, 39 * BATCH // (batch * runs))


def scan(path: str, overrides: dict[str, Any], part: str = "step", mapped: bool = True) -> lab.Scan:
    """A scan of steps, or of one part of each: "sample", "forward", "gradient", "optimizer"."""
    changed = ", ".join(f"{k}={v}" for k, v in overrides.items())
    terminal.say(f"compiling {part}, {changed or 'the config as it is'} ...")
    config = load_config(path, overrides)
    length = steps_of(config.train.batch_size, config.runs)
    if part == "step":
        return lab.Scan(config, length, mapped=mapped)
    return lab.Scan(config, length, lambda task, static: a_part(task, lab.make_optimizer(static), part), mapped)


def a_part(task, tx, part):
    """(state, step, key, hypers, data) -> the state after a part of a step; all outputs of the part are used."""

    def with_use(state, scale, leaves):
        used = scale * sum(map(jnp.sum, leaves))
        return state._replace(stop=state.stop._replace(rate=state.stop.rate + used))

    def optimizer(state, hypers):  # the parameters take the place of gradients
        params, decay = lab.flat(state.params), hypers.train.weight_decay
        rates = dict.fromkeys(state.params, hypers.train.learning_rate)
        updates, opt = tx.update(params, state.opt_state, params, rates=rates, weight_decay=decay)
        return with_use(state._replace(opt_state=opt), 1e-30, updates.values())

    def one(state, number, key, hypers, data):
        if part == "optimizer":
            return optimizer(state, hypers)
        key_batch, key_loss = jax.random.split(jax.random.fold_in(key, number))
        batch = task.sample(lab.context(number, key_batch, hypers, data))
        if part == "sample":
            return with_use(state, 0, jax.tree.leaves(batch))

        def total(params):
            return task.loss(params, batch, lab.context(number, key_loss, hypers, data)).total

        if part == "forward":
            return with_use(state, 1e-30, [total(state.params)])
        gradients = jax.grad(total)(state.params)
        return state._replace(params=jax.tree.map(lambda p, g: p - 1e-9 * g, state.params, gradients))

    return one


# --- run --------------------------------------------------------------------------------------------------------------


def whole_run(path: str, quick: bool) -> dict[str, Any]:
    """`python -m ternary_jax.main` of the config as it is, between two halves of the bare scan of its steps."""
    config, bare = load_config(path), scan(path, {})
    total = lab.plan(*lab.assemble(config)[:2]).total
    calls = total // bare.length // 2

    def half() -> float:
        terminal.say(f"a bare scan of {calls * bare.length:,} steps ...")
        return sum(bare.time() for _ in range(calls)) / calls

    before = half()
    terminal.say(f"a run of {total:,} steps ...")
    wall, summary = lab_process.timed_run(path)
    bare_s = (before + half()) / 2 * total
    loop_s = total * config.train.batch_size / summary["samples_per_s"]
    return {
        "steps": total,
        "wall_s": wall,
        "bare_s": bare_s,
        "overhead": wall / bare_s - 1,
        "first_step_s": summary["first_step_s"],
        "compile_s": summary["compile_s"],
        "loop_s": loop_s,
        "observing": loop_s / bare_s - 1,
    }


def show_run(found: dict[str, Any]) -> str:
    """Print the seconds, and their ratio to the bare scan."""
    names = {
        "wall_s": "wall, the process",
        "bare_s": "bare scan",
        "first_step_s": "start to first step",
        "compile_s": "of that, tracing and compiling",
        "loop_s": "loop, with evaluations, log, checkpoints",
    }
    rows = [[text, f"{found[key]:.1f}", f"{found[key] / found['bare_s']:.0%}"] for key, text in names.items()]
    return columns([[f"a run of {found['steps']:,} steps", "s", "of the bare scan"], *rows])


# --- parts ------------------------------------------------------------------------------------------------------------

WITHOUT = {
    "only branch A": {"losses.reconstruction.on": "A", "losses.bands.on": "none"},
    "only branch B": {"losses.reconstruction.on": "B", "losses.kl.on": "none", "losses.radial.on": "none"},
    "no reconstruction": {"losses.reconstruction.on": "none"},
    "no kl": {"losses.kl.on": "none"},
    "no radial": {"losses.radial.on": "none"},
    "no bands": {"losses.bands.on": "none"},
    "no clipping": {"train.clip_norm": 0.0},
}


def parts(path: str, quick: bool) -> dict[str, Any]:
    """Microseconds of a step, of each part, and of a step without some parts; of its operations, from a profile."""
    named = scan(path, {}, mapped=False)
    timed = {"whole step": scan(path, {}).time, "whole step, not mapped": named.time}
    for part in ("sample", "forward", "gradient", "optimizer"):
        timed[f"{part} alone"] = scan(path, {}, part).time
    for name, overrides in {} if quick else WITHOUT.items():
        timed[name] = scan(path, overrides).time
    seconds = lab.in_turns(timed, rounds=3 if quick else 15)
    return {"us": {name: 1e6 * float(s.min()) for name, s in seconds.items()}, "profile": profile(named)}


def profile(program: lab.Scan) -> dict[str, Any]:
    """Microseconds a step by kind of operation, by place in our code, and of the costliest operations.

    From the thunks of the CPU backend, named as in the program; a loop is not counted, only the operations in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            wall = min(program.time(), program.time())
        file = glob.glob(f"{folder}/**/*.trace.json.gz", recursive=True)[0]
        events = json.loads(gzip.decompress(Path(file).read_bytes()))["traceEvents"]
    about, seconds = operations(program.compiled.as_text() or ""), collections.Counter()
    calls: dict[str, float] = collections.defaultdict(float)
    for event in events:
        if event.get("ph") == "X" and about.get(event["name"], ("while",))[0] != "while":
            seconds[event["name"]] += event["dur"] / 2 / program.length
            calls[event["name"]] += 1 / 2 / program.length
    kinds, places = collections.defaultdict(lambda: [0.0, 0.0]), collections.defaultdict(lambda: [0.0, 0.0])
    for name, us in seconds.items():
        kind, place, _ = about[name]
        for total in (kinds[kind], places[place]):
            total[0] += us
            total[1] += calls[name]
    top = [[name, about[name][2], about[name][1], us] for name, us in seconds.most_common(25)]
    kinds, places = (dict(sorted(totals.items(), key=lambda item: -item[1][0])) for totals in (kinds, places))
    sums = {"step_us": 1e6 * wall, "operations_us": sum(seconds.values())}
    return sums | {"kinds": kinds, "places": places, "top": top}


def operations(text: str) -> dict[str, tuple[str, str, str]]:
    """(kind, place in our code, shape) of the operations of a compiled program, by name.

    A fusion has the place of an operation inside it, that of a matrix product first.
    """
    about, inside, current = {}, collections.defaultdict(list), ""
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{", line):
            current = head[1]
        if not (found := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?)\s([\w\-]+)\(", line)):
            continue
        name, shape, kind = found.groups()
        place = re.search(r'op_name="([^"]*)"', line)
        where = place_of(place[1]) if place else ""
        called = inside[calls[1]] if (calls := re.search(r"calls=%?([\w.\-]+)", line)) else []
        if products := [w for k, w in called if k == "dot"]:
            kind, where = "dot", products[0] or where
        elif kind == "fusion" and not where:
            where = next((w for _, w in reversed(called) if w), "")
        inside[current].append((kind, where))
        about[name] = kind, where or "elsewhere", shape.split("{")[0]
    return about


def place_of(op_name: str) -> str:
    """The named scope and layer of an operation, with "back" for the backward pass."""
    names = [re.sub(r"^(?:\w+\()+|\)+$", "", part) for part in op_name.split("/")]
    own = [name for name in names if re.fullmatch(r"\w+_[AB]", name)]
    if not own:
        return "sampling, keys, optimizer, rest"
    layer = [n for n in names if re.fullmatch(r"layer_\d|block_\d|into|out|direct|mean|log_variance|turn|length", n)]
    within = [n for n in names if n in ("direction", "radius", "norm")]
    return " ".join([own[-1], *within[:1], *layer[:1], *["back"] * ("transpose(" in op_name)])


def show_parts(found: dict[str, Any]) -> str:
    """Print the timed parts, then the profile by kind, by place and by operation."""
    us, seen = found["us"], found["profile"]
    whole = us["whole step"]
    lines = [["timed", "us a step", "share", "difference"]]
    lines += [[name, f"{v:,.0f}", f"{v / whole:.0%}", f"{whole - v:,.0f}"] for name, v in us.items()]
    tables = [columns(lines)]
    for title, rows in (("kind of operation", seen["kinds"]), ("place", dict([*seen["places"].items()][:40]))):
        sums = [[k, f"{v:,.0f}", f"{v / seen['operations_us']:.0%}", f"{n:.0f}"] for k, (v, n) in rows.items()]
        tables.append(columns([[title, "us a step", "share", "calls"], *sums]))
    top = [[name, shape, place, f"{v:,.0f}"] for name, shape, place, v in seen["top"]]
    tables.append(columns([["operation", "shape", "place", "us a step"], *top]))
    tables.append(f"profiled: a step took {seen['step_us']:,.0f} us, its operations {seen['operations_us']:,.0f} us")
    return "\n\n".join(tables)


SECTIONS = {
    "check": (check, show_check),
    "rates": (rates, show_rates),
    "run": (whole_run, show_run),
    "parts": (parts, show_parts),
}

if __name__ == "__main__":
    main()
