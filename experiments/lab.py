"""Shared parts of the experiments: arguments, results and their provenance, timing, intervals, figures, the engine.

An experiment parses with `parser`, measures, prints a table and calls `write`. It imports this file and the lab_*.py
libraries, never another experiment. All names of the engine stand in the first block, so that renaming one of them
changes this file alone.
"""

import argparse
import json
import math
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from lab_intervals import between as between
from lab_intervals import interval as interval

from ternary_jax import terminal, workdir
from ternary_jax.config import keys_of, load_config
from ternary_jax.control.chain import Control, Controls
from ternary_jax.engine import compiling, host, program, saving, session, step
from ternary_jax.engine import plan as plan_module
from ternary_jax.engine.assembly import assemble as assemble
from ternary_jax.engine.optimizer import adamw_by_group
from ternary_jax.engine.plan import schedule_rows as schedule_rows
from ternary_jax.engine.task import Context
from ternary_jax.errors import ConfigError
from ternary_jax.grokking import definitions, history
from ternary_jax.grokking.generalisation import median_interval
from ternary_jax.metric import Metric
from ternary_jax.provenance import provenance
from ternary_jax.tables import columns
from ternary_jax.workdir.files import plain

ROOT = Path(__file__).resolve().parents[1]
CONFIGS, RESULTS = ROOT / "configs", ROOT / "results"
LOAD_BEFORE = os.getloadavg()[0]

# --- the engine -------------------------------------------------------------------------------------------------------

keep_compiled_programs = session.keep_compiled_programs
prng_keys, flat = step.prng_keys, step.flat


def plan(task: Any, static: Any) -> plan_module.Plan:
    """The plan of a run: its length, chunks and cadences, in steps."""
    return plan_module.plan(static, task.samples_per_epoch)


def context(number: Any, key: Any, hypers: Any, data: Any, knobs: Mapping[str, Any] | None = None) -> Context:
    """The context of a step whose controllers have set only these knobs."""
    return Context(number, key, Controls({}, None, dict(knobs or {})), hypers, data)


def whole_chain(task: Any) -> Control:
    """The chain of the learning-rate schedule and the controllers of the task."""
    return program.control_chain(task)


def make_optimizer(static: Any, differentiable: bool = False) -> Any:
    """AdamW with a learning rate for each group, as in a training."""
    return adamw_by_group(static.train.clip_norm, differentiable=differentiable)


def beginning(task: Any, static: Any, tx: Any = None) -> Callable[[Any], Any]:
    """hypers -> the state of one run before its first step, without metrics. tx: as in `many_steps`."""
    return program.make_init(task, tx or make_optimizer(static), whole_chain(task), {})


def many_steps(
    task: Any,
    static: Any,
    differentiable: bool = False,
    tx: Any = None,
    after: Callable[[Any, Any], Any] | None = None,
    looks_ahead: bool = False,
) -> Callable[..., Any]:
    """(state, (numbers, schedule rows), hypers, data) -> the state of one run after these steps; nothing is observed.

    differentiable: use an optimizer with finite gradients through its steps
    tx: an optimizer of one's own; after: state, number of the step -> state, at the end of each step
    looks_ahead: the controller that looks ahead does so, and the rows are windows; else none does
    """
    if task.stream:
        raise ConfigError(f"{task.name} streams its data, and these steps have none: give its data on the device")
    tx = tx or make_optimizer(static, differentiable)
    one = step.make_step(task if looks_ahead else task._replace(look_ahead=None), static, tx, whole_chain(task))

    def scan(state, xs, hypers, data):
        key = prng_keys(hypers)[1]

        def body(state, x):
            state = one(state, x, key, hypers, data)[0]
            return state if after is None else after(state, x[0]), None

        return jax.lax.scan(body, state, xs)[0]

    return scan


def measure(task: Any, state: Any, hypers: Any, data: Any, costly: bool = False) -> dict[str, Any]:
    """The cheap metrics of one run, or the costly ones."""
    of = task.costly if costly else task.evaluate
    return of(state.params, program.evaluation_context(state, None, hypers, data))


class Trained(NamedTuple):
    """A finished run of a config: summary.json, the rows of each run as columns by step, and the metrics by name."""

    summary: dict[str, Any]
    histories: list[history.History]
    metrics: dict[str, Metric]


def trained(config: Any, path: Path | None = None) -> Trained:
    """Train a config, in a temporary workdir if no path is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = path or Path(folder, "run")
        summary, run = host.run(config, path), workdir.open(path)
        return Trained(summary, history.histories(run.rows()), run.metrics)


def watched(metrics: Mapping[str, Metric], names: Sequence[str]) -> tuple[definitions.Watched, ...]:
    """The named metrics that have a scale, as the grokking detector reads them."""
    return tuple(one for name in names if (one := definitions.scaled(metrics[name])))


class Chunk:
    """The chunk of a config, lowered as the engine does it: the state after k chunks, and the time of one."""

    def __init__(self, config: Any):
        task, static, hypers = assemble(config)
        self.length = plan(task, static).chunk
        self.init, self.chunk = program.make_train(task, static)
        self.hypers = jax.device_put(hypers)
        inputs = self.chunk.inputs(jax.eval_shape(self.init, self.hypers), self.hypers)
        self.lowered, self.compiled = self.chunk.program.lower(*inputs), None

    def compile(self) -> Any:
        """The compiled program."""
        self.compiled = self.compiled or self.lowered.compile(compiling.CHUNK_COMPILER_OPTIONS)
        return self.compiled

    def advance(self, state: Any, k: int) -> tuple[Any, program.Report]:
        """The state after chunk k, and its report; the given state is donated."""
        return self.chunk._replace(program=self.compile())(state, k * self.length, self.hypers)

    def step(self, state: Any, k: int) -> Any:
        """The state after chunk k; the given state is donated."""
        return self.advance(state, k)[0]

    def timed(self, k: int = 0) -> Callable[[], float]:
        """A function that returns the seconds of chunk k, each time from the same state."""
        state = self.init(self.hypers)
        for before in range(k):
            state = self.step(state, before)

        def seconds():
            own = jax.block_until_ready(jax.tree.map(jnp.copy, state))  # a chunk donates its state
            begun = time.perf_counter()
            jax.block_until_ready(self.step(own, k))
            return time.perf_counter() - begun

        seconds()
        return seconds


class Scan:
    """A compiled scan of `length` steps of a config; each call continues from the state of the last. Nothing is logged.

    part: task, static -> function of (state, number, key, hypers, data), in place of a whole step
    mapped: over the runs of the config, as in the engine; else run 0 alone, so that a profile shows the named scopes
    """

    def __init__(self, config: Any, length: int, part: Callable[[Any, Any], Any] | None = None, mapped: bool = True):
        task, static, hypers = assemble(config)
        rows = {name: row[:length] for name, row in schedule_rows(task, static).items()}
        hypers, rows, data = jax.device_put((hypers, rows, task.data))
        self.carry, self.length = program.make_train(task, static)[0](hypers), length
        whole = many_steps(task, static)
        one = part(task, static) if part else None

        def steps(state, hypers, rows, data):
            numbers = jnp.arange(length, dtype=jnp.int32)
            if one is None:
                return whole(state, (numbers, rows), hypers, data)
            f, key = one, prng_keys(hypers)[1]
            return jax.lax.scan(lambda state, n: (f(state, n, key, hypers, data), None), state, numbers)[0]

        if not mapped:
            self.carry, hypers = jax.tree.map(lambda a: a[0], (self.carry, hypers))
        f = jax.vmap(steps, (0, 0, None, None)) if mapped else steps
        self.args = (hypers, rows, data)
        lowered: Any = jax.jit(f, donate_argnums=0).lower(self.carry, *self.args)
        self.compiled = lowered.compile(compiling.CHUNK_COMPILER_OPTIONS)
        self.time()

    def time(self) -> float:
        """Seconds of one of its steps."""
        begun = time.perf_counter()
        self.carry = jax.block_until_ready(self.compiled(self.carry, *self.args))
        return (time.perf_counter() - begun) / self.length


@contextmanager
def timed_saves() -> Iterator[list[float]]:
    """Milliseconds for which each save of a run inside this block blocks the host loop."""
    held, save = [], saving.save

    def timed(*args):
        begun = time.perf_counter()
        save(*args)
        held.append(1e3 * (time.perf_counter() - begun))

    saving.save = timed
    try:
        yield held
    finally:
        saving.save = save


# --- arguments and results --------------------------------------------------------------------------------------------


def parser(doc: str | None, quick: str = "", seeds: int = 0, runs: int = 0) -> argparse.ArgumentParser:
    """A parser with the docstring as help, --out, and those of --quick, --seeds and --runs that are given here."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the result; default: results/")
    if quick:
        made.add_argument("--quick", action="store_true", help=f"{quick}; the result goes to runs/quick/ without --out")
    for name, default in (("seeds", seeds), ("runs", runs)):
        if default:
            made.add_argument(f"--{name}", type=int, default=default, help=f"trained at once; default: {default}")
    return made


def folder(given: argparse.Namespace) -> Path:
    """Where results go: --out, or runs/quick/ of a quick run, or results/."""
    return given.out or (ROOT / "runs" / "quick" if getattr(given, "quick", False) else RESULTS)


def about() -> dict[str, Any]:
    """Provenance of a result: commit, versions, command, machine."""
    file = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", file.read_text()) if file.exists() else None
    cpu = named[1] if named else platform.processor()
    machine = {"cores": os.cpu_count(), "cpu": cpu, "load_before": LOAD_BEFORE}
    return {**provenance(), "command": as_typed(sys.argv), "machine": machine}


def as_typed(argv: Sequence[str]) -> str:
    """The command line. An absolute path becomes relative to the checkout, or its last part if it is outside."""

    def shortened(found):
        path = Path(found[0])
        return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name

    return "python " + shlex.join(re.sub(r"(?<![^=,:])/[^,:]+", shortened, arg) for arg in argv)


def made_of_config(parser: argparse.ArgumentParser, argv: Sequence[str], make: Any) -> tuple[argparse.Namespace, Any]:
    """(arguments, what `make` makes of the config that --config and --config.KEY=VALUE give); or a usage error."""
    given, rest = parser.parse_known_args(argv)
    if wrong := [arg for arg in rest if not arg.startswith("--config.")]:
        parser.error(f"{wrong[0]!r} is no flag; values of the config are given as --config.KEY=VALUE")
    try:
        config = load_config(given.config, [arg.removeprefix("--config.") for arg in rest])
        if hasattr(keys_of(config.task)[1], "report"):
            parser.error(f"--config={given.config} trains nothing: name a config that trains")
        return given, make(config)
    except ConfigError as e:
        parser.error(str(e))


def write(name: str, found: Mapping[str, Any], given: argparse.Namespace, raw: Any = None) -> None:
    """Write OUT/NAME.json: summary and provenance. raw: rows and curves, for OUT/raw/NAME.json, which git ignores."""
    if raw is not None:
        write(f"raw/{name}", raw, given)
    file = folder(given) / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dumps(plain({**found, **about()}, infinite="inf")) + "\n")
    terminal.say(f"wrote {file}")


def read(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """The content that `write` wrote under this name, such as "raw/NAME"; {} without the file."""
    file = folder(given) / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def dumps(value: Any, indent: str = "") -> str:
    """JSON in which a value that fits on a line, or holds only numbers and strings, is one line, as a row is."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if len(indent + line) <= 120 or not any(isinstance(x, dict | list) for x in inner):
        return line
    deeper = indent + " "
    items = [dumps(x, deeper) for x in inner]
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {item}" for key, item in zip(value, items, strict=True)]
    return line[0] + "\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}" + line[-1]


# --- timing and intervals ---------------------------------------------------------------------------------------------


def in_turns(timed: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each in every round, (rounds,). They take turns, so that other load affects all alike."""
    seconds, printed = {name: np.zeros(rounds) for name in timed}, -math.inf
    for n in range(rounds):
        for name, f in timed.items():
            seconds[name][n] = f()
            line = f"round {n + 1} of {rounds}: {name} {1e3 * seconds[name][: n + 1].min():.2f} ms"
            printed = terminal.progress(line, 2.0, printed)
    return seconds


def paired_ratio(one: Any, other: Any) -> tuple[float, float, float]:
    """(median, low, high) of one / other, round by round, with its 95 % interval; nan below 6 rounds."""
    return median_interval((np.asarray(one) / np.asarray(other)).tolist())


class Bar(NamedTuple):
    """A bar on a figure: its name, the format of its value, ">=" or "<=", the bar."""

    text: str
    form: str
    sign: str
    wanted: float


def show_bars(bars: Mapping[str, Bar], measured: Mapping[str, float]) -> str:
    """Print a line for each bar: measured value, bar, met or missed."""
    lines = [["bar", "measured", "wanted", ""]]
    for name, bar in bars.items():
        met = measured[name] >= bar.wanted if bar.sign == ">=" else measured[name] <= bar.wanted
        value, wanted = (format(x, bar.form) for x in (measured[name], bar.wanted))
        lines.append([bar.text, value, f"{bar.sign} {wanted}", "met" if met else "MISSED"])
    return columns(lines)


# --- figures ----------------------------------------------------------------------------------------------------------

BLUE, RED, GREEN, GREY = "#2e86ab", "#c8553d", "#3a9278", "#8d99a3"


def figure(width: float, height: float) -> Any:
    """An empty matplotlib figure in the style of all experiments; it needs no display."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    return Figure((width, height), layout="constrained")


def save(figure: Any, name: str, given: argparse.Namespace) -> Path:
    """Write OUT/NAME.png."""
    file = folder(given) / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130, facecolor="white")
    return file


def main() -> None:
    """`python experiments/lab.py results` writes docs/results.md and the table of README.md from results/*.json."""
    made = argparse.ArgumentParser(description=main.__doc__)
    made.add_argument("command", choices=["results"])
    made.parse_args()
    import lab_results

    try:
        for file in lab_results.write():
            terminal.say(f"wrote {file.relative_to(ROOT)}")
    except lab_results.ResultError as e:
        raise SystemExit(str(e)) from e


if __name__ == "__main__":
    main()
