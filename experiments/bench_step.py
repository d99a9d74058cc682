# pyright: reportMissingImports=false
"""How fast is a step of training, beside a torch twin and the machine's GEMM peak? Writes results/bench_step.json.

    python experiments/bench_step.py [--quick] [--only REGEX] [--config FILE] [--out DIR]

check   that the torch twin (experiments/torch_twin.py) is the same program
rates   samples/s by batch size, and of 1 to 8 vmapped runs; of the twin, eager and compiled; and the best matmul.
        turns, round after round, and the best of each counts: the ratios are of one machine at one time
run     a whole default run of the config, against the bare scan of as many steps
parts   where the time of a step goes: the step without each of its parts, and a profile of its operations

Ours is the bare scan of `engine.step.make_step`, with nothing observed. Needs the `bench` extra, an idle machine, and
about fifteen minutes; compiling, most of that, is not timed.
"""

import argparse
import collections
import glob
import gzip
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import terminal
from ternary_jax.config import load_config
from ternary_jax.control.chain import Controls, chain
from ternary_jax.control.schedules import follow
from ternary_jax.engine import train
from ternary_jax.engine.step import flat, keys, make_step
from ternary_jax.engine.task import Context
from ternary_jax.optimizer import adamw_by_group
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns

ROOT = Path(__file__).resolve().parents[1]
BATCH = 512
BATCHES = (256, BATCH, 1024, 2048, 4096, 8192)
RUNS = (2, 4, 8)
SIDES = (512, 1024, 2048, 4096)
CORES = os.cpu_count() or 1
KINDS = ("eager", "one thread", "compiled")  # of the twin; one thread, as arrays this small may not be worth two
BARS = {"samples_per_s": 60_000, "ratio_to_eager": 3.0, "cost_of_8_runs": 8.0}

Timed = Callable[[], float]  # seconds of one unit: a step, or a matmul


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few sizes and rounds, no whole run: to see that it works")
    parser.add_argument("--only", default="", metavar="REGEX", help="the sections whose name matches")
    parser.add_argument("--config", default=str(ROOT / "configs" / "v5_12.py"), help="what is trained")
    parser.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="for bench_step.json")
    options = parser.parse_args()
    sections = {"check": check, "rates": rates, "run": whole_run, "parts": parts}
    if options.quick:
        del sections["run"]
    if not (chosen := {name: f for name, f in sections.items() if re.search(options.only, name)}):
        parser.error(f"--only={options.only} matches none of {', '.join(sections)}")
    found: dict[str, Any] = {
        "config": Path(options.config).stem,
        "cores": CORES,
        "load_before": os.getloadavg()[0],
        "quick": options.quick,
    }
    for name, section in chosen.items():
        terminal.say(f"== {name}")
        found[name] = section(options.config, options.quick)
        print(SHOWN[name](found[name]), end="\n\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "bench_step.json"
    file.write_text(json.dumps(found | {"bars": BARS} | provenance(), indent=1) + "\n")
    terminal.say(f"wrote {file}")


# --- check ------------------------------------------------------------------------------------------------------------


def check(path: str, quick: bool) -> dict[str, Any]:
    """That the twin is the same program; an exception where it is not."""
    return twin().check_twin(load_config(path))


def show_check(found: dict[str, Any]) -> str:
    worst = {name: f"{found[f'worst_{name}']:.0e}" for name in ("term", "gradient", "move")}
    share = f"{found['moves_compared']:.0%} of them are compared"
    return (
        f"the twin is the same program: terms agree to {worst['term']}, gradients to {worst['gradient']}, "
        f"moves to {worst['move']} of the rate ({share})"
    )


# --- rates ------------------------------------------------------------------------------------------------------------


def rates(path: str, quick: bool) -> dict[str, Any]:
    """Seconds of everything that is compared, in turns."""
    timed: dict[str, Timed] = {f"gemm {n}": matmul(n) for n in (SIDES[:2] if quick else SIDES)}
    flop, weights = flops(path)
    for batch in BATCHES[1:2] if quick else BATCHES:
        timed[f"ours {batch}"] = scan(path, {"train.batch_size": batch}).time
    for runs in RUNS[-1:] if quick else RUNS:
        timed[f"ours {BATCH} x {runs}"] = scan(path, {"train.batch_size": BATCH, "runs": runs}).time
    reasons = {}
    for batch in (BATCH,) if quick else (BATCH, BATCHES[-1]):
        for kind in KINDS[:2] if quick else KINDS:
            compiled, name = kind == "compiled", f"torch {kind} {batch}"
            try:
                timed[name] = torch_step(path, batch, compiled, 1 if kind == "one thread" else CORES)
            except Exception as e:  # whatever torch.compile raises where there is no compiler
                if not compiled:
                    raise
                reasons[name] = f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
                terminal.say(f"{name} is left out: {reasons[name]}")
    seconds = in_turns(timed, rounds=2 if quick else 8)
    peak = max(2 * n**3 / seconds[f"gemm {n}"] for n in SIDES if f"gemm {n}" in seconds)
    rows = {}
    for name, s in seconds.items():
        numbers = [int(word) for word in name.split() if word.isdigit()]
        if name.startswith("gemm"):
            continue
        batch, runs = numbers[0], numbers[1] if len(numbers) > 1 else 1
        rate = runs * batch / s
        rows[name] = {"ms": 1e3 * s, "samples_per_s": rate, "share_of_peak": rate * flop / peak}
    return {
        "gemm_peak_flops": peak,
        "flop_per_sample": flop,
        "weights": weights,
        "rows": rows,
        "seconds": seconds,
        "left_out": reasons,
        "bars": rate_bars(rows),
    }


def rate_bars(rows: dict[str, Any]) -> dict[str, float]:
    one, many = rows[f"ours {BATCH}"], rows[f"ours {BATCH} x {RUNS[-1]}"]
    eager = max(rows[f"torch {kind} {BATCH}"]["samples_per_s"] for kind in KINDS[:2])
    return {
        "samples_per_s": one["samples_per_s"],
        "ratio_to_eager": one["samples_per_s"] / eager,
        "cost_of_8_runs": many["ms"] / one["ms"],
    }


def show_rates(found: dict[str, Any]) -> str:
    rows, ours = found["rows"], found["rows"]
    lines = [["steps of", "ms", "samples/s", "of GEMM peak", "ours / it", "cost of one run"]]
    for name, row in rows.items():
        words = name.split()
        ratio = cost = ""
        if words[0] == "torch":
            ratio = f"{ours[f'ours {words[-1]}']['samples_per_s'] / row['samples_per_s']:.2f}"
        if "x" in words:
            cost = f"x {row['ms'] / ours[f'ours {BATCH}']['ms']:.2f}"
        rate, share = f"{row['samples_per_s']:,.0f}", f"{row['share_of_peak']:.0%}"
        lines.append([name, f"{row['ms']:.2f}", rate, share, ratio, cost])
    texts = {
        "samples_per_s": (f"samples/s at {BATCH}", "{:,.0f}", ">="),
        "ratio_to_eager": (f"times the eager twin at {BATCH}", "{:.2f}", ">="),
        "cost_of_8_runs": ("8 runs at once cost, in runs", "{:.2f}", "<="),
    }
    bars = [["bar", "measured", "wanted", ""]]
    for name, (text, form, sign) in texts.items():
        value, bar = found["bars"][name], BARS[name]
        met = value >= bar if sign == ">=" else value <= bar
        bars.append([text, form.format(value), f"{sign} {form.format(bar)}", "met" if met else "MISSED"])
    peak = (
        f"GEMM peak {found['gemm_peak_flops'] / 1e9:.0f} GFLOP/s, {found['flop_per_sample'] / 1e6:.3f} MFLOP a sample"
    )
    return "\n\n".join([peak, columns(lines), columns(bars)])


def matmul(n: int) -> Timed:
    """Of two n x n float32 matrices."""
    a = jnp.asarray(np.random.default_rng(0).normal(size=(n, n)), jnp.float32)
    f = jax.jit(jnp.matmul)
    f(a, a).block_until_ready()
    number = max(1, round(3e10 / (2 * n**3)))

    def timed():
        begun = time.perf_counter()
        for _ in range(number):
            f(a, a).block_until_ready()
        return (time.perf_counter() - begun) / number

    return timed


def twin() -> Any:
    """The module of the twin."""
    try:
        import torch_twin
    except ImportError as missing:
        sys.exit(f"{missing}: this comparison needs the bench extra, pip install -e '.[bench]'")
    return torch_twin


def torch_step(path: str, batch: int, compiled: bool, threads: int) -> Timed:
    """A step of the twin."""
    terminal.say(f"torch, {'compiled' if compiled else 'eager'}, batches of {batch:,}, threads {threads} ...")
    import torch

    trainer, number = twin().Trainer(load_config(path, {"train.batch_size": batch}), compiled), steps_of(batch)
    torch.set_num_threads(threads)
    for _ in range(3):
        trainer.step()

    def timed():
        torch.set_num_threads(threads)
        trainer.step()
        begun = time.perf_counter()
        for _ in range(number):
            trainer.step()
        return (time.perf_counter() - begun) / number

    return timed


def in_turns(timed: dict[str, Timed], rounds: int) -> dict[str, float]:
    """The best of each over the rounds."""
    best = dict.fromkeys(timed, math.inf)
    printed = -math.inf
    for n in range(rounds):
        for name, f in timed.items():
            best[name] = min(best[name], f())
            printed = terminal.progress(f"round {n + 1} of {rounds}: {name} {1e3 * best[name]:.2f} ms", 2.0, printed)
    return best


def flops(path: str) -> tuple[float, int]:
    """FLOP of the matrix products of a step, per sample, and the weights in them.

    Two for each weight and row forward, four backward, of which those into the features are not computed. A stochastic
    branch takes the radius of two rows a sample, its mean and a draw, but the direction of the draw alone, unless
    `bands` see the points of its mean.
    """
    config = load_config(path)
    task, _, hypers = train.prepare(config)
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


class Scan:
    """A compiled scan, called again and again on what it returns; `time` is seconds of one of its steps."""

    def __init__(self, f, carry, args, length: int):
        self.compiled = jax.jit(f, donate_argnums=0).lower(carry, *args).compile()
        self.carry, self.args, self.length = carry, args, length
        self.time()

    def time(self) -> float:
        begun = time.perf_counter()
        self.carry = jax.block_until_ready(self.compiled(self.carry, *self.args))
        return (time.perf_counter() - begun) / self.length


def steps_of(batch: int, runs: int = 1) -> int:
    """An epoch of batches of 512, or as many samples of others; no fewer than three steps."""
    return max(3, 39 * BATCH // (batch * runs))


def scan(path: str, overrides: dict[str, Any], part: str = "step", mapped: bool = True) -> Scan:
    """Of steps, or of a part of each: "sample", "forward", "gradient", "optimizer".

    mapped: over the runs of the config, as the engine does; else of run 0, for the names in its profile
    """
    config = load_config(path, overrides)
    changed = ", ".join(f"{k}={v}" for k, v in overrides.items())
    terminal.say(f"compiling {part}, {changed or 'the config as it is'} ...")
    task, static, hypers = train.prepare(config)
    tx = adamw_by_group(static.train.clip_norm)
    control = chain(follow("learning_rate"), task.control)
    train_step = make_step(task, static, tx, control)
    length = steps_of(static.train.batch_size, static.runs)
    table, data, hypers = jax.device_put((train.schedule_rows(task, static), task.data, hypers))
    init, _ = train.make_train(task, static)

    def one(state, xs, key, hypers, data):
        if part == "step":
            return train_step(state, xs, key, hypers, data)[0]
        return a_part(task, tx, part, state, xs[0], key, hypers, data)

    def steps(state, hypers, table, data):
        rows = {name: row[:length] for name, row in table.items()}
        key = keys(hypers)[1]
        xs = jnp.arange(length, dtype=jnp.int32), rows
        return jax.lax.scan(lambda state, xs: (one(state, xs, key, hypers, data), None), state, xs)[0]

    state = init(hypers)
    if not mapped:
        state, hypers = jax.tree.map(lambda a: a[0], (state, hypers))
        return Scan(steps, state, (hypers, table, data), length)
    return Scan(jax.vmap(steps, (0, 0, None, None)), state, (hypers, table, data), length)


def a_part(task, tx, part, state, number, key, hypers, data):
    """The state after a part of a step, in a way that leaves nothing of that part unused."""
    context = Context(number, jax.random.fold_in(key, number), Controls({}, None, {}), hypers, data)
    rates = dict.fromkeys(state.params, hypers.train.learning_rate)

    def moved(by):
        return state._replace(params=jax.tree.map(lambda p: p + by, state.params))

    if part == "optimizer":  # along the parameters, which are gradients as good as any
        params = flat(state.params)
        updates, opt = tx.update(params, state.opt_state, params, rates=rates, weight_decay=hypers.train.weight_decay)
        used = sum(map(jnp.sum, updates.values()))
        return state._replace(opt_state=opt, stop=state.stop._replace(rate=state.stop.rate + 1e-30 * used))
    key_batch, key_loss = jax.random.split(context.key)
    batch = task.sample(context._replace(key=key_batch))
    if part == "sample":
        return state._replace(stop=state.stop._replace(rate=state.stop.rate + 0 * sum(map(jnp.sum, batch.values()))))

    def total(params):
        return task.loss(params, batch, context._replace(key=key_loss)).total

    if part == "forward":
        return state._replace(stop=state.stop._replace(rate=state.stop.rate + 1e-30 * total(state.params)))
    gradients = jax.grad(total)(state.params)
    return state._replace(params=jax.tree.map(lambda p, g: p - 1e-9 * g, state.params, gradients))


# --- run --------------------------------------------------------------------------------------------------------------


def whole_run(path: str, quick: bool) -> dict[str, Any]:
    """`python -m ternary_jax.main` of the config as it is, between two halves of the bare scan of its steps."""
    config = load_config(path)
    task, static, _ = train.prepare(config)
    steps = train.plan(static, task.samples_per_epoch)
    bare = scan(path, {})
    calls = steps.total // bare.length // 2

    def half() -> float:
        terminal.say(f"a bare scan of {calls * bare.length:,} steps ...")
        return sum(bare.time() for _ in range(calls)) / calls

    before = half()
    with tempfile.TemporaryDirectory() as folder:
        terminal.say(f"a run of {steps.total:,} steps ...")
        command = [sys.executable, "-m", "ternary_jax.main", f"--config={path}", f"--workdir={folder}/run"]
        begun = time.perf_counter()
        subprocess.run([*command, "--config.compilation_cache=false"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        wall = time.perf_counter() - begun
        summary = json.loads(Path(folder, "run", "summary.json").read_text())
    bare_s = (before + half()) / 2 * steps.total
    loop_s = steps.total * static.train.batch_size / summary["samples_per_s"]
    return {
        "steps": steps.total,
        "wall_s": wall,
        "bare_s": bare_s,
        "overhead": wall / bare_s - 1,
        "first_step_s": summary["first_step_s"],
        "compile_s": summary["compile_s"],
        "loop_s": loop_s,
        "observing": loop_s / bare_s - 1,
    }


def show_run(found: dict[str, Any]) -> str:
    rows = [
        [f"a run of {found['steps']:,} steps", "s", "of the bare scan"],
        ["wall, the process", f"{found['wall_s']:.1f}", f"{found['wall_s'] / found['bare_s']:.0%}"],
        ["bare scan", f"{found['bare_s']:.1f}", "100%"],
        ["start to first step", f"{found['first_step_s']:.1f}", f"{found['first_step_s'] / found['bare_s']:.0%}"],
        ["of that, tracing and compiling", f"{found['compile_s']:.1f}", f"{found['compile_s'] / found['bare_s']:.0%}"],
        ["loop, with evaluations, log, checkpoints", f"{found['loop_s']:.1f}", f"{1 + found['observing']:.0%}"],
    ]
    return columns(rows)


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
    """Microseconds of a step, of its parts, and of a step without some; and of its operations, by a profile."""
    named = scan(path, {}, mapped=False)
    timed = {"whole step": scan(path, {}).time, "whole step, not mapped": named.time}
    for part in ("sample", "forward", "gradient", "optimizer"):
        timed[f"{part} alone"] = scan(path, {}, part).time
    for name, overrides in {} if quick else WITHOUT.items():
        timed[name] = scan(path, overrides).time
    seconds = in_turns(timed, rounds=3 if quick else 15)
    return {"us": {name: 1e6 * s for name, s in seconds.items()}, "profile": profile(named)}


def profile(program: Scan) -> dict[str, Any]:
    """Microseconds a step by kind of operation, by place in our code, and of the costliest operations.

    Of the thunks of the CPU backend, whose names are those of the program; loops are left out for what is in them.
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
        for totals, key in ((kinds, kind), (places, place)):
            totals[key][0] += us
            totals[key][1] += calls[name]
    return {
        "step_us": 1e6 * wall,
        "operations_us": sum(seconds.values()),
        "kinds": ordered(kinds),
        "places": ordered(places),
        "top": [[name, about[name][2], about[name][1], us] for name, us in seconds.most_common(25)],
    }


def operations(text: str) -> dict[str, tuple[str, str, str]]:
    """(kind, place in our code, shape) of the operations of a compiled program, by name.

    A fusion is placed by what is in it, and by a matrix product before anything else.
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
    """The named scope of an operation and the layer in it, with "back" where it is of the gradient."""
    names = [re.sub(r"^(?:\w+\()+|\)+$", "", part) for part in op_name.split("/")]
    own = [name for name in names if re.fullmatch(r"\w+_[AB]", name)]
    if not own:
        return "sampling, keys, optimizer, rest"
    layer = [n for n in names if re.fullmatch(r"layer_\d|block_\d|into|out|direct|mean|log_variance|turn|length", n)]
    within = [n for n in names if n in ("direction", "radius", "norm")]
    return " ".join([own[-1], *within[:1], *layer[:1], *["back"] * ("transpose(" in op_name)])


def ordered(totals: dict[str, list[float]]) -> dict[str, list[float]]:
    return dict(sorted(totals.items(), key=lambda item: -item[1][0]))


def show_parts(found: dict[str, Any]) -> str:
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


SHOWN = {"check": show_check, "rates": show_rates, "run": show_run, "parts": show_parts}

if __name__ == "__main__":
    main()
