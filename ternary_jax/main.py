"""Run what a config describes.

    python -m ternary_jax.main --config=configs/v5_12.py
    python -m ternary_jax.main --config=v5_12 --config.runs=4 --config.losses.bands.outer=0.9
    ternary-jax --config v5_12 --workdir runs/first

--config=FILE        a Python file with get_config(); those in configs/ say what values mean; FILE:ARG for a variant
--config=NAME        a config that comes with the package, such as v5_12 or v5_10:all, from any folder
--config.KEY=VALUE   another value for one key of it; keys inside a group are written with a dot
--workdir=DIR        where a training keeps all it writes; runs/CONFIG/TIME if it is not given
--sweep              train the runs that sweep(add) of the file adds, as `python -m ternary_jax.sweep` does
--yes                with --sweep: train more than 64 runs, or more than an hour, without being asked at a terminal
--keys[=PATTERN]     list the keys of --config with their values, ranges and meanings; --keys=learning, --keys='train.*'
--dry-run            print what would be trained: changed values, steps, chunks, evaluations, parameters; write nothing
--dry-run=compile    print also the memory and the FLOPs of the compiled program

Several values of a key that may differ between runs give as many runs: --config.train.learning_rate=1e-3,2e-3.
A value follows its flag after = or after a space: --config=FILE or --config FILE. `ternary-jax` and
`python -m ternary_jax.main` are the same command. config.task may name a module beside FILE or in the current folder.

v5_12.py is the main job: the dual hyperbolic model, at the ceiling in seconds; v5_12_rich.py has the most richness,
v5_12_4.py the values of the documents, smoke.py small networks, grok_addition.py learns to add and generalises late,
and closed_form.py scores what needs no training.
Given the same workdir again, a training that is not finished goes on, and a finished one is left alone, unless
train.epochs is greater now. Ctrl-C saves.
Exit status: 0 when it ran, was finished already, or was interrupted and saved; 1 when the run failed (it diverged, the
disk is full ...); 2 when the config is not valid; 130 when it was interrupted before it trained.
"""

import sys
from collections.abc import Sequence

from ternary_jax import command_line, terminal


def main(argv: Sequence[str]) -> None:
    """Run the task of the config that these arguments give."""
    given = command_line.parse(argv, __doc__ or "")
    from ternary_jax import config  # below the signals and --help: from here on it takes time
    from ternary_jax.config import checks, listing

    try:
        if given.yes and not given.sweep:
            command_line.fail("--yes confirms a large sweep, and --sweep is not given: leave it out, or add --sweep")
        if given.sweep and given.keys is None:
            _sweep(argv, given)
            return
        settings = config.load_config(given.config_path, given.overrides)
        if given.keys is not None:
            command_line.show(listing.keys(given.config_path, settings, given.keys))
            return
    except config.ConfigError as e:
        command_line.fail(str(e))
    table, task = config.keys_of(settings.task)
    if hasattr(task, "report"):
        if given.workdir:
            command_line.fail(f"--workdir={given.workdir}: {task.__name__} writes nothing; leave --workdir out")
        if given.dry_run is not None:
            command_line.fail(f"--dry-run: {task.__name__} trains nothing; leave --dry-run out")
        command_line.show(task.report(settings))
        return
    from ternary_jax import query
    from ternary_jax.analysis import summary_table
    from ternary_jax.engine import dry_run, host
    from ternary_jax.errors import RunError, WorkdirError
    from ternary_jax.provenance import process_start

    workdir, again = command_line.workdir_and_again(argv, given.config_path, given.workdir, command_line.MAIN)
    if about_runs := checks.about_runs(settings, table):
        terminal.say(about_runs)
    try:
        if given.dry_run is not None:
            found = dry_run.measure(settings, compiled=given.dry_run == "compile")
            command_line.show(f"{listing.differences(given.config_path, settings)}\n\n{dry_run.text(found)}")
            return
        summary = host.run(settings, workdir, again, process_start(), exit_at_once=True)
        command_line.show(f"{summary_table.text(summary)}\n\n{summary_table.places(workdir)}")
    except (config.ConfigError, RunError, WorkdirError) as e:
        command_line.fail(str(e), 2 if isinstance(e, config.ConfigError) else 1)
    report = _report(summary, workdir, settings)
    command_line.show(summary_table.next_steps(summary, workdir, again, report, query.example(workdir)))


def _report(summary, workdir, settings):
    """Write the report of a finished training where its config asks for it, -> its file; "" where there is none."""
    if not summary.get("finished", False) or settings.report.on == "never":
        return ""
    from ternary_jax.analysis.page import after_run

    with command_line.answering("no report was written; the training is complete", 0):
        return str(after_run.write(workdir, settings.report.on, settings.task) or "")


def _sweep(argv: Sequence[str], given: command_line.Given) -> None:
    """Train the runs that sweep(add) of the config file adds, one for each: a list has the seeds that are meant."""
    from ternary_jax import config, sweep
    from ternary_jax.sweeps.plan import plan

    rows = config.listed_runs(given.config_path)
    found = plan(given.config_path, {}, given.overrides, rows=rows)
    workdir, again = command_line.workdir_and_again(argv, given.config_path, given.workdir, command_line.MAIN)
    sweep.train(found, workdir, again, None, given.yes, given.dry_run)


def command() -> None:
    """`ternary-jax` and `python -m ternary_jax.main`: answer signals from the first moment, then run."""
    command_line.begin("nothing is under way, so there is nothing to save")
    main(sys.argv[1:])


if __name__ == "__main__":
    command()
