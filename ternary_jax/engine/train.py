"""A run is one program: a pure step, scanned over the steps of a chunk, vmapped over runs; around it, one host loop.

    chunk(state, first, hypers) -> state, report

The host acts between chunks only, and reads the report of chunk n after it has dispatched chunk n + 1.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ternary_jax import config as configs
from ternary_jax import optimizer, terminal
from ternary_jax.control import schedules
from ternary_jax.control.chain import Control, chain
from ternary_jax.engine import checkpoint, session, stopping, watching
from ternary_jax.engine import report as reports
from ternary_jax.engine.report import Desk, Plan, Report, measured
from ternary_jax.engine.step import TrainState, first_bad, flat, keys, look_ahead, make_step, observables
from ternary_jax.engine.task import Metric, Task
from ternary_jax.grokking import emergence

# Levels of LLVM's optimisation: the first compiles a sixth sooner than the third, which is the usual one, and what it
# makes was as fast on CPU, to within the noise (a chunk of v5_12, in turns: median 1.47 s against 1.52 s).
ONCE, OFTEN = ({"xla_backend_optimization_level": level} for level in (0, 1))


class Chunk(NamedTuple):
    """chunk(state, first step, hypers) -> state, report.

    program: jitted, or compiled ahead of the first call; shared: what it takes beside these, the same in every call
    """

    program: Any
    shared: Any

    def __call__(self, state: TrainState, first: Any, hypers: Any) -> tuple[TrainState, Report]:
        return self.program(state, first, hypers, *self.shared)


def plan(static: Any, samples_per_epoch: int) -> Plan:
    """A chunk is the longest number of whole epochs that fits both `evaluate.cheap_every` and `train.epochs`.

    So all chunks are one program, also where the epochs are no multiple of the cadence. The costly metrics are no part
    of it where they are wanted at the end alone: that would hold the first step up by seconds of compiling.
    """
    epoch, epochs = math.ceil(samples_per_epoch / static.train.batch_size), static.train.epochs
    at_end = static.evaluate.costly_every >= epochs > static.evaluate.cheap_every and not static.stop.on_targets
    return Plan(
        epoch=epoch,
        total=epoch * epochs,
        chunk=epoch * math.gcd(static.evaluate.cheap_every, epochs),
        cheap=epoch * static.evaluate.cheap_every,
        costly=0 if at_end else epoch * static.evaluate.costly_every,
        checkpoint=epoch * static.checkpoint.every,
    )


def schedule_rows(task: Task, static: Any) -> dict[str, np.ndarray]:
    """All open-loop schedules, a row for each step of the run: that of the learning rate, and those of the task."""
    steps, t = plan(static, task.samples_per_epoch), static.train
    warmup, cycle = t.warmup_epochs * steps.epoch, t.cycle_epochs * steps.epoch
    phases = [schedules.Phase(t.schedule, steps.total, 1.0)]
    if t.schedule == "phases":
        lengths = [epochs * steps.epoch for epochs in t.phase_epochs]
        phases = [schedules.Phase(*phase) for phase in zip(t.phase_shapes, lengths, t.phase_rates, strict=True)]
    rate = schedules.in_phases(phases, warmup, t.final_rate, cycle, t.cycle_growth)
    for name, row in task.schedules.items():
        if len(row) != steps.total or name == "learning_rate":
            raise ValueError(f"schedule {name} has {len(row)} rows: it needs {steps.total}, and a name of its own")
    return {"learning_rate": rate, **task.schedules}


def make_train(task: Task, static: Any) -> tuple[Any, Chunk]:
    """(init, chunk), jitted and mapped over runs: hypers -> state, and (state, first step, hypers) -> (state, report).

    Every array of hypers, state and report has a leading axis of runs. The first step is a scalar, the same for all
    runs and a multiple of the chunk. A chunk gives up its state to the next: the arrays that were passed in are gone.
    """
    steps = plan(static, task.samples_per_epoch)
    metrics_of = {name: m for name, m in measured(task, static).items() if steps.costly or not m.costly}
    table = schedule_rows(task, static)
    shared = jax.device_put((table, task.data))
    task, control = controlled(task, static, metrics_of, table)
    tx = optimizer.adamw_by_group(static.train.clip_norm, differentiable=task.learner is not None)
    train_step = make_step(task, static, tx, control)
    if learner := task.learner:  # the state of its chain is the second of `control`
        get, put, descend = learner.get, learner.put, learner.descend
        learner = learner._replace(
            get=lambda state: get(state[1]),
            put=lambda state, phi: (state[0], put(state[1], phi), *state[2:]),
            descend=lambda state, slope: (state[0], descend(state[1], slope), *state[2:]),
        )
        train_step = look_ahead(train_step, task, learner)

    def train_chunk(state, first, hypers, table, data):
        rows = {name: _rows(row, first, steps.chunk, learner) for name, row in table.items()}
        xs = (first + jnp.arange(steps.chunk, dtype=jnp.int32), rows)
        key = keys(hypers)[1]
        shape: list[Any] = []

        def step(state, xs):  # one row of what is observed, as each of fifty arrays would be compiled by itself
            state, info = train_step(state, xs, key, hypers, data)
            row, back = ravel_pytree(info)
            shape[:] = [back]
            return state, row

        after, rows = jax.lax.scan(step, state, xs)
        infos = jax.vmap(shape[0])(rows)
        after = after._replace(stop=stopping.add(after.stop, infos.loss, steps.chunk))
        after = evaluate(after, first + steps.chunk, hypers, data)
        bad_step, bad_term = first_bad(infos, first)
        undone = state._replace(stop=stopping.went_bad(state.stop, bad_step, bad_term, static))
        # Held where they are: runs that have stopped, and those that are not where this chunk begins.
        moves = (state.stop.reason == stopping.RUNNING) & (state.stop.at == first)
        after = _select(moves, _select(bad_step >= 0, undone, after), state)
        info = jax.tree.map(lambda x: jnp.mean(x, 0), infos)
        return after, Report(info, after.metrics, after.stop, moves, moves & (bad_step < 0))

    def evaluate(state, end, hypers, data):
        """The state with the metrics that are due, and with what they say of stopping."""

        def cheap(state):
            metrics = state.metrics | _float32(task.cheap(state.params, state.knobs, hypers, data))
            if steps.costly:
                metrics = jax.lax.cond(steps.due(end, steps.costly), costly, lambda metrics: metrics, metrics)
            return state._replace(metrics=metrics, stop=stopping.evaluated(state.stop, metrics, metrics_of, static))

        def costly(metrics):
            return metrics | _float32(task.costly(state.params, state.knobs, hypers, data))

        return jax.lax.cond(steps.due(end, steps.cheap), cheap, lambda state: state, state)

    mapped = jax.jit(jax.vmap(train_chunk, in_axes=(0, None, 0, None, None)), donate_argnums=0)

    return jax.jit(jax.vmap(beginning(task, tx, control, metrics_of))), Chunk(mapped, shared)


def controlled(
    task: Task, static: Any, metrics: dict[str, Metric], schedule: dict[str, np.ndarray]
) -> tuple[Task, Control]:
    """The whole chain: the schedule of the rate, the task's own, the detector; and the task with what these see."""
    members = [schedules.follow("learning_rate"), task.control]
    if static.grokking.on:
        task = task._replace(signals=tuple(dict.fromkeys([*task.signals, watching.LOSS])))
        every = plan(static, task.samples_per_epoch).cheap
        members.append(watching.detector(task, static, chain(*members), metrics, schedule, every))
    return task, chain(*members)


def beginning(task: Task, tx: Any, control: Control, metrics: dict[str, Metric]) -> Callable[[Any], TrainState]:
    """hypers -> the state of a run before its first step. control: the whole chain; metrics: those that are carried."""

    def init(hypers):
        params = task.init(keys(hypers)[0], hypers)
        return TrainState(
            params=params,
            opt_state=tx.init(flat(params)),
            control=control.init(hypers),
            last={name: jnp.float32(jnp.inf) for name in task.signals},
            knobs={name: jnp.asarray(value, jnp.float32) for name, value in task.knobs(hypers).items()},
            metrics={name: jnp.float32(-jnp.inf * metric.better) for name, metric in metrics.items()},
            stop=stopping.init(),
        )

    return init


def _rows(row, first, n, learner):
    """Of n steps, (n,); where a controller looks k steps ahead, the k from each on, (n, k), the last repeated."""
    if learner is None:
        return jax.lax.dynamic_slice_in_dim(row, first, n)
    steps = first + jnp.arange(n)[:, None] + jnp.arange(learner.ahead)[None]
    return row[jnp.minimum(steps, len(row) - 1)]


def _select(condition, if_true, if_false):
    return jax.tree.map(functools.partial(jnp.where, condition), if_true, if_false)


def _float32(metrics):
    return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}


def prepare(config: Any) -> tuple[Task, Any, Any]:
    """(task, static, hypers) of a config: the pure functions, what is compiled into them, the arrays that they take."""
    static, hypers = configs.split(config)
    _, module = configs.keys_of(config.task)
    if not hasattr(module, "make_task"):
        raise configs.ConfigError(f"config.task={config.task} has no make_task(static), so nothing can be trained")
    task = emergence.watched(module.make_task(static), static, hypers)
    if static.grokking.on:
        watching.metrics_of(task, static)  # so that a mistake is found before anything is written
    return task, static, hypers


# --- the host ---------------------------------------------------------------------------------------------------------


def run(
    config: Any,
    workdir: str | Path,
    again: str = "the same command with the same --workdir",
    started: float | None = None,
) -> dict[str, Any]:
    """Train what the config describes in `workdir`, or go on with it there; -> the summary, as in summary.json.

    again: how this run is started once more, for the messages; started: unix seconds from which it counts, now if not
    given. Raises ConfigError before anything is written, RunError where a run can't go on. SIGINT and SIGTERM save, and
    give a summary with finished False.
    """
    workdir, started = Path(workdir), time.time() if started is None else started
    if done := session.finished(workdir, config):
        terminal.say(f"{workdir} is finished: nothing was changed; to train again, name another --workdir")
        return done
    if config.compilation_cache:
        session.keep_compiled_programs()
    task, static, hypers = prepare(config)
    steps, metrics = plan(static, task.samples_per_epoch), measured(task, static)
    desk = Desk(task, static, hypers, steps, metrics, workdir, configs.resolved(config), again, started)
    reports.refuse_unknown_metrics(desk)
    with session.claim(workdir, config), session.interruptible() as interrupted:
        return _train(desk, interrupted)


def _train(desk, interrupted):
    """From the newest checkpoint, or from the start, to the end; -> the summary."""
    init, chunk = make_train(desk.task, desk.static)
    hypers, steps = jax.device_put(desk.hypers), desk.steps
    store = checkpoint.open_store(desk.workdir / "checkpoints", reports.policy(desk), terminal.say)
    try:
        abstract = jax.eval_shape(init, hypers)
        found = checkpoint.restore(store, abstract)
        first = found[0] if found else 0
        doing = f"going on from step {first:,} of {steps.total:,}" if found else "compiling"
        terminal.say(f"{desk.task.name} in {desk.workdir}: {doing} ...")
        with ThreadPoolExecutor(1) as beside:  # init is compiled while the chunk is traced
            made = beside.submit(lambda: found[1] if found else init.lower(hypers).compile(ONCE)(hypers))
            begun = time.time()
            lowered = chunk.program.lower(abstract, jax.ShapeDtypeStruct((), jnp.int32), hypers, *chunk.shared)
            desk = desk._replace(names=list(observables(lowered.out_info[1].info)))
            chunk = chunk._replace(program=lowered.compile(OFTEN))
            clock = {"compile_s": time.time() - begun}
        end, state = first, made.result()
        stop, book, window = jax.device_get(state.stop), reports.open_book(desk, first), []
        with jax.transfer_guard("disallow"):
            for end, report, kept in _chunks(chunk, state, first, stop, hypers, steps, clock, interrupted):
                stop = report.stop
                reports.warn(desk, report)
                window.append((end, report))
                if steps.due(end, steps.cheap):
                    reports.record(desk, book, window, clock, kept)
                if kept is not None:
                    state = kept
                    reports.save(desk, store, report, end, state)
        return reports.conclude(desk, store, book, clock, state, stop, end)
    finally:
        checkpoint.wait(store)


def _chunks(chunk, state, begin, stop, hypers, steps, clock, interrupted):
    """(end, report, state or None) of every chunk, read when the next is under way; the last has its state.

    Where a rollback has put a run back, chunks are made again from there, in which the others are held. An interruption
    waits for the next evaluation, so that its row is what it would have been. A state that is due for a checkpoint is
    copied, because the next chunk takes its arrays over.
    """
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))  # leaf by leaf, it would wait for the chunk under way
    behind, abreast = None, True
    while True:
        halted = np.all(stop.reason != stopping.RUNNING) or (
            interrupted.is_set() and begin % steps.cheap == 0 and abreast
        )
        ahead = None
        if begin < steps.total and not halted:
            end = begin + steps.chunk
            with jax.profiler.StepTraceAnnotation("chunk", step_num=begin):
                state, report = chunk(state, jax.device_put(np.int32(begin)), hypers)
            if "stepped" not in clock:
                now = time.time()
                clock |= dict(stepped=now, since=now, samples=0, busy_s=0)
                threading.Thread(target=checkpoint.warm, daemon=True).start()  # earlier, it would slow the tracing
            ahead = end, report, copy(state) if steps.due(end, steps.checkpoint) else None
        if behind:
            end, report, kept = behind[0], jax.device_get(behind[1]), behind[2] if ahead else state
            stop = report.stop
            yield end, report, kept
            at = stop.at[stop.reason == stopping.RUNNING]
            abreast = bool(np.all(at == end))
            if np.any(at < end):
                if ahead:
                    report = jax.device_get(ahead[1])
                    stop = report.stop
                    yield ahead[0], report, copy(state)
                begin = int(np.min(stop.at[stop.reason == stopping.RUNNING], initial=steps.total))
                behind = None
                continue
        if ahead is None:
            return
        begin, behind = ahead[0], ahead
