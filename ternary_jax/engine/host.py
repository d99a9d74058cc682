"""The one Python loop: compiled chunks are dispatched, their reports read one chunk behind, and written down.

The host acts between chunks alone, and reads the report of chunk n after it has dispatched chunk n + 1.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import terminal
from ternary_jax.engine import endings, results, rows, saving, session, stopping
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.host_context import Clock, Training
from ternary_jax.engine.plan import plan
from ternary_jax.engine.program import make_train, measured
from ternary_jax.engine.step import observables
from ternary_jax.errors import RunError
from ternary_jax.workdir import checkpoint, claim, tensorboard

# LLVM's optimisation: level 1 compiles a sixth sooner than level 3, the usual one, and what it makes was as fast on
# CPU, to within the noise (a chunk of v5_12, in turns: median 1.47 s against 1.52 s).
OFTEN = {"xla_backend_optimization_level": 1}


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
    if done := claim.finished(workdir, config):
        terminal.say(f"{workdir} is finished: nothing was changed; to train again, name another --workdir")
        return done
    if config.compilation_cache:
        session.keep_compiled_programs()
    task, static, hypers = assemble(config)
    training = Training(
        task=task,
        static=static,
        hypers=hypers,
        plan=plan(static, task.samples_per_epoch),
        metrics=measured(task, static),
        workdir=workdir,
        config=claim.contents(config),
        again=again,
        started=started,
    )
    stopping.check(static, training.metrics)
    with claim.claim(workdir, config), session.interruptible() as interrupted:
        return _train(training, interrupted)


def _train(training: Training, interrupted: threading.Event) -> dict[str, Any]:
    """From the newest checkpoint, or from the start, to the end; -> the summary."""
    init, chunk = make_train(training.task, training.static)
    hypers, steps = jax.device_put(training.hypers), training.plan
    store = checkpoint.open_store(training.workdir / "checkpoints", saving.policy(training), terminal.say)
    try:
        abstract = jax.eval_shape(init, hypers)
        found = checkpoint.restore(store, abstract)
        first = found[0] if found else 0
        doing = f"going on from step {first:,} of {steps.total:,}" if found else "compiling"
        terminal.say(f"{training.task.name} in {training.workdir}: {doing} ...")
        with ThreadPoolExecutor(1) as beside:  # init is compiled while the chunk is traced
            made = beside.submit(lambda: found[1] if found else init.lower(hypers).compile(results.ONCE)(hypers))
            begun = time.time()
            lowered = chunk.program.lower(abstract, jax.ShapeDtypeStruct((), jnp.int32), hypers, *chunk.shared)
            training = training._replace(observables=[*observables(lowered.out_info[1].info)])
            chunk = chunk._replace(program=lowered.compile(OFTEN))
            clock = Clock(compile_s=time.time() - begun)
        end, state = first, made.result()
        stop, book, window = jax.device_get(state.stop), rows.open_log(training, first), []
        with jax.transfer_guard("disallow"):
            for end, report, kept in _chunks(chunk, state, first, stop, hypers, steps, interrupted):
                if report is None:
                    clock = clock._replace(stepped=time.time(), since=time.time())
                    continue
                stop = report.stop
                endings.warn(training, report)
                window.append((end, report))
                if steps.due(end, steps.cheap):
                    window, clock = rows.record(training, book, window, clock, kept)
                if kept is not None:
                    state = kept
                    saving.save(training, store, report, end, state)
        return _conclude(training, store, book, clock, state, stop, end)
    finally:
        checkpoint.wait(store)


def _chunks(chunk, state, begin, stop, hypers, steps, interrupted):
    """(end, report, state or None) of every chunk, read when the next is under way; the last has its state.

    Before them (begin, None, None), once the first is under way. After a rollback, chunks begin again at the step of
    that run; runs that are further on are held in them. An interruption waits for the next evaluation, so that its row
    is what it would have been. A state that is due for a checkpoint is copied: the next chunk takes its arrays over.
    """
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))  # a copy of each leaf would wait for the chunk under way
    behind, abreast, first = None, True, True
    while True:
        halted = np.all(stop.reason != stopping.RUNNING) or (
            interrupted.is_set() and begin % steps.cheap == 0 and abreast
        )
        ahead = None
        if begin < steps.total and not halted:
            end = begin + steps.chunk
            with jax.profiler.StepTraceAnnotation("chunk", step_num=begin):
                state, report = chunk(state, jax.device_put(np.int32(begin)), hypers)
            if first:
                first = False
                yield begin, None, None
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


def _conclude(training, store, book: tensorboard.Board, clock, state, stop, end) -> dict[str, Any]:
    """Close the books; where all runs have ended, export; write the summary; -> it. RunError where all diverged."""
    terminal.progress()
    checkpoint.wait(store)
    diverged = bool(np.all(np.isin(stop.reason, stopping.DIVERGED)))
    finished = not diverged and (end == training.plan.total or bool(np.all(stop.reason != stopping.RUNNING)))
    if finished:
        results.measure_last(training, book, state, stop)
        results.export(training, state)
    tensorboard.close(book)
    summary = results.summarise(training, clock, stop, finished)
    if diverged:
        raise RunError(endings.what_to_do(training, [*store.metrics], stop))
    if not finished:
        where = f", and saved at step {end:,} of {training.plan.total:,}" if end else " before the first step"
        terminal.say(f"interrupted{where}; to go on: {training.again}")
    return summary
