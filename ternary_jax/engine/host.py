"""The host loop: it dispatches compiled chunks, reads their reports one chunk behind, and writes rows and checkpoints.

The host acts only between chunks, and reads the report of chunk n after it has dispatched chunk n + 1. A signal stops
the dispatch, so a run ends after the chunks under way, two at the most, or once all runs are at the same step.
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ternary_jax import terminal
from ternary_jax.config.checks import unit
from ternary_jax.config.validate import validated_again
from ternary_jax.engine import (
    compaction,
    compiling,
    endings,
    longer,
    results,
    resuming,
    rows,
    saving,
    session,
    stopping,
)
from ternary_jax.engine.assembly import assemble
from ternary_jax.engine.host_context import Clock, Training, Within
from ternary_jax.engine.plan import plan, traced_steps
from ternary_jax.engine.program import Chunk, make_train, measured_metrics
from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.tables import counted
from ternary_jax.workdir import checkpoint, claim, tensorboard
from ternary_jax.workdir import rows as log


def run(
    config: Any,
    workdir: str | Path,
    again: str = "the same command with the same --workdir",
    started: float | None = None,
    exit_at_once: bool = False,
    ahead: compiling.Compiled | None = None,
    within: Within | None = None,
) -> dict[str, Any]:
    """Train by the config in `workdir`, from its newest checkpoint if there is one; -> the content of summary.json.

    again: the command that resumes this run, for the messages
    started: unix seconds from which wall_s counts; None: now
    exit_at_once: a signal before the first step ends the process, also within XLA. Without it, as in a notebook, it
        raises a KeyboardInterrupt after the compiling
    ahead: the programs, where they are compiled already, for as many runs with the same static values
    within: the place in a sweep, for the progress line

    Raises ConfigError before it trains, and RunError where a run cannot go on. SIGINT and SIGTERM save a checkpoint;
    the summary then has finished=False.
    """
    workdir, started, config = Path(workdir), time.time() if started is None else started, validated_again(config)
    found = claim.look(workdir, config)
    if found.finished:
        _say_finished(workdir, config)
        return found.finished
    if found.damaged:
        terminal.say(f"{workdir / 'summary.json'} was damaged: it is written again at the end of the training")
    session.check_device()
    session.return_large_arrays()
    if config.compilation_cache:
        session.keep_compiled_programs()
    training = _assembled(workdir, config, found, again)._replace(started=started, within=within)
    programs = ahead or make_train(training.task, training.static)
    with (
        claim.claim(workdir, training.config, longer=bool(found.earlier)),
        session.interruptible(again, exit_at_once) as interrupts,
        terminal.bar(),
    ):
        interrupts.at_once.set()
        return _train(training, programs, interrupts, bool(found.earlier))


def _assembled(workdir: Path, config: Any, found: claim.Found, again: str) -> Training:
    """The context of a training that begins now, with its rules checked. found: what the workdir has of the config."""
    task, static, hypers = assemble(config)
    if found.earlier:
        longer.check(task, static, config, found.earlier, workdir)
    training = Training(
        task=task,
        static=static,
        hypers=hypers,
        plan=plan(static, task.samples_per_epoch),
        metrics=measured_metrics(task, static),
        workdir=workdir,
        config=claim.contents(config, found.lengths),
        again=again,
        started=time.time(),
    )
    stopping.check(static, training.metrics)
    traced_steps(static, training.plan)
    return training


def _say_finished(workdir: Path, config: Any) -> None:
    more = f"a greater config.train.{unit(config.train)} goes on if no schedule depends on it"
    terminal.say(f"{workdir} is finished: nothing was changed; {more}; to train again, name another --workdir")
    try:
        if not next(log.undamaged(workdir, config.runs), None):
            terminal.say(log.none_at_the_end(workdir))
    except WorkdirError as e:  # it is a link, for example
        terminal.say(str(e))


def _train(
    training: Training,
    programs: compiling.Compiled | tuple[Any, Chunk],
    interrupts: session.Interrupts,
    longer: bool,
) -> dict[str, Any]:
    """Train from the newest checkpoint, or from the start, to the end; -> the summary.

    programs: init and the chunk of `make_train`, or both compiled ahead
    """
    hypers, steps = jax.device_put(training.hypers), training.plan
    resuming.check_log(training)
    store = checkpoint.open_store(training.workdir / "checkpoints", saving.policy(training), terminal.say)
    try:
        ahead = isinstance(programs, compiling.Compiled)
        abstract = programs.abstract if ahead else jax.eval_shape(programs[0], hypers)
        saved = checkpoint.restore(store, abstract)
        if saved:
            resuming.check_config(training, saved[0], saved[2])
        first = saved[0] if saved else 0
        doing = f"going on from step {first:,} of {steps.total:,}" if saved else "training" if ahead else "compiling"
        terminal.say(f"{training.task.name} in {training.workdir}: {doing} ...")
        if ahead:
            made, initial = programs, None
        else:  # lowered here, so that few frames lie between main and the gradient
            (init, chunk), since = programs, time.time()
            terminal.doing(f"tracing {compiling.what(training.static.runs, steps)}")
            initial = None if saved else compiling.begun(init, hypers)
            lowered = chunk.program.lower(*chunk.inputs(abstract, hypers))
            terminal.doing(f"compiling {compiling.what(training.static.runs, steps)}")
            made = compiling.compiled(init, chunk, lowered, abstract, since)
        state = saved[1] if saved else initial.result()[1] if initial else made.begin(hypers)
        training = training._replace(observables=made.observables)
        clock, chunk = Clock(compile_s=made.compile_s, first=first), made.chunk
        stop = jax.device_get(state.stop)
        saving.check_restored(training, first, stop)
        window = rows.from_metadata(training, saved[2] if saved else {}, made.info)
        if longer:
            claim.lengthen(training.workdir, training.config)
        interrupts.at_once.clear()
        board = rows.open_log(training, first, made.info)
        # A trace is of one program, so the runs of a sweep that is traced are not compacted.
        compacts = training.within and training.static.runs > 1 and not training.static.profile.steps
        fit = compaction.fitting(made, hypers, steps) if compacts else None
        with jax.transfer_guard("disallow"), _traced(training, chunk) as chunk:
            chunks = _chunks(chunk, state, first, stop, hypers, steps, interrupts.asked, fit)
            clock, state, stop, end = _record(training, store, board, chunks, (window, clock, state, stop))
        return _conclude(training, store, board, clock, state, stop, end)
    finally:
        checkpoint.wait(store)


def _record(training, store, board, chunks, at_first):
    """Write the rows and checkpoints of the chunks as they end; -> (clock, state, stop, end) after the last.

    at_first: (window, clock, state, stop) before the first
    """
    (window, clock, state, stop), steps = at_first, training.plan
    end = clock.first
    for end, report, kept in chunks:
        if report is None:
            terminal.doing(f"the first {counted(steps.chunk, 'step')}")
            clock = clock._replace(stepped=time.time(), since=time.time())
            continue
        stop = report.stop
        endings.warn(training, report)
        window.append(rows.chunk_means(end, report))
        since = window
        if steps.due(end, steps.cheap):
            window, clock = rows.record(training, board, window, report, clock, kept)
        else:
            rows.advance(training, window[-1], clock)
        if kept is not None:
            state = kept
            saving.save(training, store, report, state, since)
    return clock, state, stop, end


def _traced(training: Training, chunk: Chunk) -> contextlib.AbstractContextManager[Any]:
    """The chunk, with a trace of profile.steps around its calls where the config names any."""
    given, steps = traced_steps(training.static, training.plan), training.plan
    if given is None:
        return contextlib.nullcontext(chunk)
    from ternary_jax.engine.profile.window import traced  # here, so that a run without a trace does not import it

    if f"{given[0]}:{given[1]}" != training.static.profile.steps:
        rounded = f"is rounded to whole chunks of {steps.chunk:,} steps: {given[0]}:{given[1]}"
        terminal.say(f"config.profile.steps={training.static.profile.steps} {rounded}")
    return traced(chunk, steps.chunk, given, training.workdir)


def _chunks(chunk, state, begin, stop, hypers, steps, interrupted, fit=None):
    """Yield (end, report, state or None) of every chunk, after the next one is dispatched; the last with its state.

    The first item is (begin, None, None), once the first chunk is dispatched. After a rollback, chunks start again at
    the step of the run that is furthest behind; runs at a later step are held until the chunks reach them. No chunk is
    dispatched once `interrupted` is set and all running runs are at the same step, of which a checkpoint can be made.
    A state that is due for a checkpoint is copied, because the next chunk donates its arrays.

    fit: as `compaction.fitting` returns it; None: every chunk trains all runs
    """
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))  # a copy leaf by leaf would wait for the running chunk
    behind, abreast, first = None, True, True
    while True:
        halted = np.all(stop.reason != stopping.RUNNING) or (interrupted.is_set() and abreast)
        ahead = None
        if begin < steps.total and not halted:
            end = begin + steps.chunk
            state, report = (fit(stop, begin) if fit else chunk)(state, begin, hypers)
            if first:
                first = False
                yield begin, None, None
                # After the tracing, which an earlier start would slow.
                threading.Thread(target=checkpoint.orbax_and_context, daemon=True).start()
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


def _conclude(training, store, board: tensorboard.Board, clock, state, stop, end) -> dict[str, Any]:
    """Export if all runs have ended, close the log, write the summary; -> it. RunError where all runs diverged."""
    terminal.progress()
    terminal.doing("saving the last checkpoint")
    checkpoint.wait(store)
    diverged = bool(np.all(np.isin(stop.reason, stopping.DIVERGED)))
    finished = not diverged and (end == training.plan.total or bool(np.all(stop.reason != stopping.RUNNING)))
    if finished:
        terminal.doing("measuring the costly metrics, and writing the results")
        results.measure_last(training, board, state, stop)
        results.export(training, state)
    tensorboard.close(board)
    summary = results.summarise(training, clock, stop, finished)
    if diverged:
        raise RunError(endings.diverged_message(training, [*store.metrics], stop))
    if not finished:
        where = f", and saved at step {end:,} of {training.plan.total:,}" if end else " before the first step"
        terminal.say(f"interrupted{where}; to go on: {training.again}")
    return summary
