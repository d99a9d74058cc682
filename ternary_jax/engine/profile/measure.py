"""The profile of a config: cold start by stage, time and work of a step by scope, memory. Nothing is trained.

A chunk of the config is compiled as a training does it and called three or four times: cold, for the first step; by the
clock, with an evaluation and, where a chunk need not end with one, without; and in a trace, with an evaluation. The
times by scope are those of the trace, without waiting between operations.
"""

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ternary_jax import terminal
from ternary_jax.engine import compiling, performance, session, stopping
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.plan import Plan, plan
from ternary_jax.engine.profile import hlo, rates, trace
from ternary_jax.engine.program import Chunk, make_train, measured_metrics
from ternary_jax.engine.results import RUN_ONCE_COMPILER_OPTIONS
from ternary_jax.tables import counted, span

SHORT = {"epochs": 1, "steps": 10}  # train.chunk of a profile, where the config leaves it 0: enough for a mean
LONG_S = 30  # seconds of all calls from which an estimate is printed before them


class Scope(NamedTuple):
    """The cost of a scope in a step of all runs together, a mean over the traced steps.

    The evaluation at the end of the chunk counts with its share of a step: divided by the steps between evaluations.

    ms: of its operations, each in full also where several run at once; calls: of operations
    flops, bytes: as in `hlo.Work`
    """

    name: str
    ms: float
    calls: float
    flops: float
    bytes: float


class Profile(NamedTuple):
    """Where the time and the memory of a training go.

    task, device: their names; runs, batch: of the config; steps: of the chunk; evaluation_every: in steps
    without_costly: whether the config has costly metrics, and measures them less often: none of the figures has them
    step_ms: milliseconds of a step by the clock, without a trace, with the share of an evaluation
    scopes: the greatest time first
    rates: of the products with the most FLOPs; matmul: of these together, FLOP/s; None without products of floats
    bandwidth: bytes per second of the memory
    program: XLA's figures of the compiled chunk
    host_peak, device_peak: bytes of this process and of the device, from the start of the process to the trace, which
        takes memory that a training does not; None if not counted
    stages: seconds of each stage of a cold start, in its order
    """

    task: str
    device: str
    runs: int
    batch: int
    steps: int
    evaluation_every: int
    without_costly: bool
    step_ms: float
    scopes: list[Scope]
    rates: list[rates.Rate]
    matmul: float | None
    bandwidth: float
    program: compiling.Program
    host_peak: float
    device_peak: float | None
    stages: dict[str, float]


def measure(config: Any, folder: Path, depth: int = 2, stages: Mapping[str, float] | None = None) -> Profile:
    """The profile of a config; a ConfigError where its config or task is refused.

    folder: where the trace goes; depth: scopes within scopes that are told apart
    stages: seconds of the stages before this call, in their order
    """
    stages = dict(stages or {})
    with _stage(stages, "device"):
        session.check_device()
    config = _short(config)
    with _stage(stages, "assembly"):
        task, static, hypers = assemble(config)
        stopping.check(static, measured_metrics(task, static))
        init, chunk = make_train(task, static)
        hypers = jax.device_put(hypers)
    steps = plan(static, task.samples_per_epoch)
    terminal.say(f"{task.name}: compiling a chunk of {counted(steps.chunk, 'step')} ...")
    with terminal.waiting("compiling it"):
        state, compiled = _compiled(init, chunk, hypers, stages)
    chunk, program = chunk._replace(program=compiled), hlo.instructions(compiled.as_text())
    work, most = hlo.work_of(program), hlo.executions_of(program)
    least = {name: times if math.isfinite(times) else steps.chunk for name, times in most.items()}
    _say_long(sum(one.flops * least.get(name, 0) for name, one in work.items()), steps)
    state, stages["first chunk"] = called(chunk, state, 0, hypers)
    state, seconds = step_seconds(chunk, state, hypers, steps)
    host_peak, device_peak = performance.host_peak(), performance.device_peak(jax.local_devices()[0])
    with trace.recorded(folder):
        jax.block_until_ready(chunk(state, _every(steps) - steps.chunk, hypers))
    times, scopes = trace.operation_times(folder), hlo.scopes_of(program, depth)
    # On a GPU an operation may be several kernels, each an event; the program tells how often it is called at most.
    ran = {name: min(one.events, most.get(name, one.events)) for name, one in times.items()}
    found = rates.matmul_rates(products(work, ran, scopes, steps))
    return Profile(
        task=task.name,
        device=jax.local_devices()[0].device_kind,
        runs=static.runs,
        batch=static.train.batch_size,
        steps=steps.chunk,
        evaluation_every=_every(steps),
        without_costly=_without_costly(static, steps),
        step_ms=1e3 * seconds,
        scopes=by_scope(times, ran, scopes, work, steps),
        rates=found,
        matmul=rates.together(found),
        bandwidth=rates.bandwidth(),
        program=compiling.figures(compiled),
        host_peak=host_peak,
        device_peak=device_peak,
        stages=stages,
    )


def by_scope(
    times: Mapping[str, trace.Times],
    ran: Mapping[str, float],
    scopes: Mapping[str, str],
    work: Mapping[str, hlo.Work],
    steps: Plan,
) -> list[Scope]:
    """The costs of the operations by scope, the greatest time first, without operations that only contain others.

    ran: how often each operation ran
    """
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for operation in times.keys() & scopes.keys():
        name, one = scopes[operation], work.get(operation, hlo.Work(0, 0, ()))
        share = _share(name, steps)
        values = (times[operation].ms, ran[operation], ran[operation] * one.flops, ran[operation] * one.bytes)
        found[name] = [total + share * value for total, value in zip(found[name], values, strict=True)]
    return sorted((Scope(name, *values) for name, values in found.items()), key=lambda one: -one.ms)


def products(
    work: Mapping[str, hlo.Work], ran: Mapping[str, float], scopes: Mapping[str, str], steps: Plan
) -> dict[hlo.Product, float]:
    """The FLOPs of each kind of product in a step. ran: how often each operation ran in the traced chunk."""
    found: dict[hlo.Product, float] = defaultdict(float)
    for operation in [name for name in work if name in ran and name in scopes]:
        for product in work[operation].products:
            found[product] += hlo.product_flops(product) * ran[operation] * _share(scopes[operation], steps)
    return dict(found)


def step_seconds(chunk: Any, state: Any, hypers: Any, steps: Plan) -> tuple[Any, float]:
    """(state, seconds of a step by the clock, with the share of an evaluation)."""
    state, evaluated = called(chunk, state, _every(steps) - steps.chunk, hypers)
    if steps.chunk == _every(steps):
        return state, evaluated / steps.chunk
    state, plain = called(chunk, state, 0, hypers)
    return state, plain / steps.chunk + max(evaluated - plain, 0.0) / _every(steps)


def called(chunk: Any, state: Any, first: int, hypers: Any) -> tuple[Any, float]:
    """(state, seconds) after a call of the chunk, which donates the given state.

    From the second call on, the runs are at another step than `first`, so they are held. The program computes the same
    operations for a run that is held, so the chunks up to an evaluation need not be trained.
    """
    begun = time.perf_counter()
    state = jax.block_until_ready(chunk(state, first, hypers)[0])
    return state, time.perf_counter() - begun


def data(found: Profile) -> dict[str, Any]:
    """The profile as JSON can hold it, with the names of all fields."""

    def plain(value: Any) -> Any:
        if hasattr(value, "_asdict"):
            return {name: plain(one) for name, one in value._asdict().items()}
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return plain(found)


# --- inside -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stage(stages: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    stages[name] = time.perf_counter() - begun


def _compiled(init: Any, chunk: Chunk, hypers: Any, stages: dict[str, float]) -> tuple[Any, Any]:
    """(state before the first step, the compiled program of a chunk), one after the other."""
    with _stage(stages, "init"):
        state = jax.block_until_ready(init.lower(hypers).compile(RUN_ONCE_COMPILER_OPTIONS)(hypers))
    with _stage(stages, "trace"):
        traced = chunk.program.trace(*chunk.inputs(state, hypers))
    with _stage(stages, "lower"):
        lowered = traced.lower()
    with _stage(stages, "compile"):
        return state, lowered.compile(compiling.CHUNK_COMPILER_OPTIONS)


def _short(config: Any) -> Any:
    """The config with a short chunk, unless it has train.chunk: a step costs the same in a chunk of any length."""
    if not config.train.chunk:
        config = config.copy_and_resolve_references()
        config.train.chunk = SHORT["steps" if config.train.steps else "epochs"]
    return config


def _every(steps: Plan) -> int:
    """Steps between evaluations; a chunk divides them."""
    return min(steps.cheap, steps.total)


def _without_costly(static: Any, steps: Plan) -> bool:
    traced = steps.costly and steps.due(_every(steps), steps.costly)
    return bool(static.evaluate.costly_every) and not traced


def _share(scope: str, steps: Plan) -> float:
    """The part of an operation of the traced chunk, which has an evaluation at its end, that counts for a step."""
    return 1 / (_every(steps) if "evaluate" in scope.split("/") else steps.chunk)


def _say_long(flops: float, steps: Plan) -> None:
    """Say how long the calls take at least, if that is long. flops: of a chunk, without the turns of unknown loops."""
    calls = 3 if steps.chunk == _every(steps) else 4
    seconds = calls * flops / rates.rough()
    if seconds > LONG_S:
        shorter = "; --config.train.chunk=1 makes it shorter" * (steps.chunk > steps.unit)
        terminal.say(f"{calls} calls of {counted(steps.chunk, 'step')} take at least {span(seconds)}{shorter}")
