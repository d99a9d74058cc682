"""The training of a sweep: group by group, each batch of runs in a workdir of its own, until all runs have ended.

What is done stands in the workdirs and in index.json. A sweep that is started again reads both, so a kill at any moment
loses no run and repeats none: a batch that was under way goes on from its checkpoint.
"""

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax

from ternary_jax import config as configs
from ternary_jax import terminal
from ternary_jax.engine import compiling, host, performance, session
from ternary_jax.engine.host_context import Within
from ternary_jax.errors import ConfigError, RunError, WorkdirError
from ternary_jax.sweeps.plan import Group, SweepPlan, config_of, label, most_at_once, values_of
from ternary_jax.tables import size
from ternary_jax.workdir import claim, files, forms, safe_files, sweep, sweep_table

# Share of the free memory that a program may take: beside it there are the copy of a state for a checkpoint, the
# compiler at work on the next group, and other processes.
SHARE = 0.6
Programs = dict[int, compiling.Compiled]  # by the number of runs

SHOWN = 5  # values of a key that a message names


class Sweeping(NamedTuple):
    """Read-only context of the training of a sweep.

    again: the command that goes on with it, for the messages
    at_once: most runs of a batch; None: as many as the memory has room for
    exit_at_once: as in `host.run`
    """

    plan: SweepPlan
    workdir: Path
    again: str
    at_once: int | None
    exit_at_once: bool


def run(
    plan: SweepPlan,
    workdir: str | Path,
    again: str = "the same command with the same --workdir",
    at_once: int | None = None,
    exit_at_once: bool = False,
) -> bool:
    """Train what is not trained yet; -> whether all runs have ended. False: it was interrupted, and saved.

    Raises ConfigError for the workdir of another sweep, and RunError where a training cannot go on.
    """
    about = Sweeping(plan, Path(workdir), again, at_once, exit_at_once)
    begun(about.workdir, plan)
    session.check_device()
    if any(group.config.compilation_cache for group in plan.groups):
        session.keep_compiled_programs()
    with claim.lock(about.workdir), terminal.bar():
        # Read again: another process may have trained a part between the first look and the lock.
        return _trained(about, _written(about.workdir, begun(about.workdir, plan)))


def begun(workdir: Path, plan: SweepPlan) -> dict[str, Any]:
    """The content of index.json of this sweep: as it is in the workdir, or as it is at the start.

    Raises a ConfigError for the folder of another sweep, of a single training, or of anything else, and for a workdir
    in it that is of other settings.
    """
    if safe_files.kind(workdir, follow=True) not in ("", "a folder"):
        raise ConfigError(f"--workdir={workdir} is no folder: name another")
    there, here = sweep.read(workdir), new_index(plan)
    if there is None:
        names = [name for name in safe_files.names(workdir.resolve()) if not name.startswith(".")]
        if "config.json" in names:
            raise ConfigError(f"--workdir={workdir} is that of a single training, and no sweep: name another")
        if foreign := [name for name in names if name != f"{sweep.FILE}.part"]:
            raise ConfigError(
                f"--workdir={workdir} holds {foreign[0]!r} and no {sweep.FILE}, so it is no sweep: name another"
            )
        return here
    if differing := differences(there, here):
        raise ConfigError(f"--workdir={workdir} is of another sweep: {differing}; name another, or give that sweep")
    for g, group in enumerate(plan.groups):
        _check_batches(workdir, g, group, there["groups"][g]["batches"])
    return there


def new_index(plan: SweepPlan) -> dict[str, Any]:
    """The content of index.json before the first run."""
    groups = [
        {"static": group.static, "config": configs.resolved(group.config), "batches": []} for group in plan.groups
    ]
    runs = [{"run": run.run, "settings": run.settings, "seed": run.seed} for run in plan.runs]
    about = {"format": sweep.FORMAT, "name": plan.name, "keys": [*plan.keys], "seeds": plan.seeds}
    return files.plain({**about, "groups": groups, "runs": runs})


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """How two sweeps differ, in the first of: version, swept keys, their values, other keys; "" if they do not."""
    if there["format"] != here["format"]:
        return f"its {sweep.FILE} is of version {there['format']}, and this program writes {here['format']}"
    if there["keys"] != here["keys"]:
        return (
            f"it sweeps {', '.join(there['keys']) or 'seeds alone'} there and {', '.join(here['keys']) or 'seeds'} here"
        )
    one, other = _values(there), _values(here)
    for key in one:
        if one[key] != other[key]:
            return f"config.{key} is {_shown(one[key])} there and {_shown(other[key])} here"
    if [_place(run) for run in there["runs"]] != [_place(run) for run in here["runs"]]:
        return "its runs have the same values in other combinations"
    if [group["static"] for group in there["groups"]] != [group["static"] for group in here["groups"]]:
        return "its runs are grouped by other keys, as by an earlier version of this program"
    for old, new in zip(there["groups"], here["groups"], strict=True):
        if differing := configs.differences(old["config"], new["config"]):
            return differing[0]
    return ""


# --- inside -----------------------------------------------------------------------------------------------------------


def _check_batches(workdir: Path, g: int, group: Group, batches: Sequence[Mapping[str, Any]]) -> None:
    """Check that the batches have all runs of their group, and that each workdir has the config of its runs.

    The seeds of a summary do not tell: all settings have the same. A copied or renamed folder would be taken for done.
    """
    runs = [run.run for run in group.runs]
    if batches and [run for batch in batches for run in batch["runs"]] != runs:
        raise WorkdirError(
            f"{workdir / sweep.FILE} is damaged (the batches of {folder_of(g)} do not have its runs, {runs[0]} to "
            f"{runs[-1]}): put back a copy"
        )
    for batch in batches:
        folder = workdir / batch["folder"]
        again = f"delete {folder}, and its runs are trained again"
        try:
            found = forms.read_config(folder)
        except WorkdirError as e:
            raise type(e)(f"{e}; or {again}") from e
        wanted = files.plain(values_of(group, [run - runs[0] for run in batch["runs"]]))
        if found is not None and (differing := claim.unlike(found, wanted)):
            raise ConfigError(f"{folder} has other settings than this sweep's {batch['folder']}: {differing}; {again}")


def _values(index: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The different values of each swept key and of the seed, in the order of the runs."""
    found: dict[str, list[Any]] = {key: [] for key in [*index["keys"], "seed"]}
    for run in index["runs"]:
        for key, value in {**run["settings"], "seed": run["seed"]}.items():
            if value not in found[key]:
                found[key].append(value)
    return found


def _shown(values: Sequence[Any]) -> str:
    more = f" and {len(values) - SHOWN} more" * (len(values) > SHOWN)
    return ",".join(map(str, values[:SHOWN])) + more


def _place(run: Mapping[str, Any]) -> tuple:
    return run["settings"], run["seed"]


def _written(workdir: Path, index: Mapping[str, Any]) -> dict[str, Any]:
    """Write index.json and the table with what the runs have reached; -> the index."""
    found = sweep.write(workdir, index)
    sweep_table.write(workdir, sweep.table(workdir, found))
    return found


def has_ended(workdir: Path, plan: SweepPlan) -> bool:
    """Whether all runs of a sweep have ended."""
    index = begun(workdir, plan)
    return not any(_waiting(workdir, index, g) for g in range(len(plan.groups)))


def _waiting(workdir: Path, index: Mapping[str, Any], g: int) -> bool:
    """Whether a group has runs that have not ended."""
    batches = index["groups"][g]["batches"]
    return not batches or not all(sweep.has_ended(workdir, batch) for batch in batches)


def _trained(about: Sweeping, index: dict[str, Any]) -> bool:
    """Train the groups one after the other; a thread compiles the next one meanwhile. -> False: it was interrupted.

    The compiler takes a part of the processors from the training. It is done long before the training, in most cases.
    """
    waiting = [g for g in range(len(about.plan.groups)) if _waiting(about.workdir, index, g)]
    with ThreadPoolExecutor(1) as thread:
        ahead = [thread.submit(_ahead, about, index, g) for g in waiting[:1]]
        for g, following in itertools.zip_longest(waiting, waiting[1:]):
            if not ahead[0].done():
                place = _place_of(about, index, folder_of(g))
                terminal.say(f"compiling {place} ...")
                terminal.doing(f"compiling {place}")
            programs = ahead[0].result()
            if not index["groups"][g]["batches"]:
                programs, most = _fitting(about.plan.groups[g], about.at_once, programs)
                index["groups"][g]["batches"] = batches_of(g, index, most)
                index = _written(about.workdir, index)
            ahead = [thread.submit(_ahead, about, index, following)] if following is not None else []
            if (reached := _train_group(about, index, g, programs)) is None:
                if ahead and not ahead[0].done():
                    terminal.say("waiting for the compiler, which is at work on the next group; Ctrl-C ends it at once")
                    terminal.doing("waiting for the compiler")
                return False
            index = reached
    return True


def _train_group(about: Sweeping, index: dict[str, Any], g: int, programs: Programs) -> dict[str, Any] | None:
    """Train the batches of a group that have not ended; -> the index, None where it was interrupted."""
    group = about.plan.groups[g]
    for batch in _not_ended(about.workdir, index, g):
        config = _config(group, batch["runs"])
        if config.runs not in programs:  # the last batch of a group may be smaller
            programs = {config.runs: compiling.ahead(config)}
        _say(about, index, g, batch, programs[config.runs])
        within = Within(_place_of(about, index, batch["folder"]), _later(about, index, batch))
        finished = _train_batch(about, config, batch, programs[config.runs], within)
        index = _written(about.workdir, index)
        if not finished:
            return None
    return index


def _ahead(about: Sweeping, index: Mapping[str, Any], g: int) -> Programs:
    """The programs of the first batch of a group that has not ended; of all its runs, while it has no batches yet."""
    group = about.plan.groups[g]
    batches = _not_ended(about.workdir, index, g) or batches_of(g, index, about.at_once or len(group.runs))
    config = _config(group, batches[0]["runs"])
    return {config.runs: compiling.ahead(config)}


def _not_ended(workdir: Path, index: Mapping[str, Any], g: int) -> list[dict[str, Any]]:
    return [batch for batch in index["groups"][g]["batches"] if not sweep.has_ended(workdir, batch)]


def _config(group: Group, runs: Sequence[int]) -> Any:
    """The config of some runs of a group, by their numbers in the sweep."""
    return config_of(group, [run - group.runs[0].run for run in runs])


def _train_batch(
    about: Sweeping, config: Any, batch: Mapping[str, Any], programs: compiling.Compiled, within: Within
) -> bool:
    """Train a batch to its end; -> False where it was interrupted. That all of its runs diverged is an end too."""
    folder = about.workdir / batch["folder"]
    try:
        summary = host.run(config, folder, about.again, None, about.exit_at_once, programs, within)
    except (ConfigError, WorkdirError) as e:  # the folder is damaged
        raise type(e)(f"{e}; or delete {folder}, and its runs are trained again") from e
    except RunError:
        if not sweep.has_ended(about.workdir, batch):
            raise
        n = len(batch["runs"])
        terminal.say(f"{folder}: {'the run' if n == 1 else f'all {n} runs'} diverged; the sweep goes on")
        return True
    return summary["finished"]


def batches_of(g: int, index: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """The batches of a group of at most `most` runs each, in workdirs of their own."""
    runs = runs_of(g, index)
    if most >= len(runs):
        return [{"folder": folder_of(g), "runs": runs}]
    of_batch = most_at_once(len(runs), most)
    parts = [runs[k : k + of_batch] for k in range(0, len(runs), of_batch)]
    return [{"folder": f"{folder_of(g)}_part_{k:02d}", "runs": part} for k, part in enumerate(parts)]


def folder_of(g: int) -> str:
    """The name of a group: of its workdir, where its runs are one batch. The lines of a sweep count from 0 too."""
    return f"group_{g:03d}"


def runs_of(g: int, index: Mapping[str, Any]) -> list[int]:
    """The numbers of the runs of a group: those that follow the runs of the groups before it."""
    counts = [group["config"]["runs"] for group in index["groups"]]
    return list(range(sum(counts[:g]), sum(counts[: g + 1])))


def _fitting(group: Group, at_once: int | None, made: Programs) -> tuple[Programs, int]:
    """(programs, most runs of a batch): those that are compiled, unless they need more memory than is free.

    Where --at-once says the size, its word is taken.
    """
    ((n, one),) = made.items()
    needed, free = compiling.peak(compiling.figures(one.chunk.program)), performance.free_bytes(jax.local_devices()[0])
    if at_once is not None or needed is None or free is None or needed <= SHARE * free:
        return made, at_once or len(group.runs)
    fits = max(1, int(n * SHARE * free / needed))
    terminal.say(f"{n} runs at once need {size(needed)}, and {size(free)} are free: {fits} at once")
    return {}, fits


def _place_of(about: Sweeping, index: Mapping[str, Any], folder: str) -> str:
    """A group or a batch, and how many groups are done: "group_001, 1/4 groups done"."""
    groups = range(len(about.plan.groups))
    return f"{folder}, {sum(not _waiting(about.workdir, index, g) for g in groups)}/{len(groups)} groups done"


def _say(about: Sweeping, index: Mapping[str, Any], g: int, batch: Mapping[str, Any], made: compiling.Compiled) -> None:
    """Say which runs are trained next, and the memory that they need."""
    group, runs = about.plan.groups[g], batch["runs"]
    which = f"run {runs[0]}" if len(runs) == 1 else f"runs {runs[0]} to {runs[-1]}"
    settings = f", {label(group.static)}" if group.static else ""
    needed, free = compiling.peak(compiling.figures(made.chunk.program)), performance.free_bytes(jax.local_devices()[0])
    memory = f", {size(needed)} of {size(free)} free" if needed is not None and free is not None else ""
    total = len(about.plan.runs)
    terminal.say(f"{_place_of(about, index, batch['folder'])}{settings}: {which} of {total}{memory}")


def _later(about: Sweeping, index: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    """Samples that the batches after this one have still to train."""
    samples = 0
    for g, group in enumerate(about.plan.groups):
        batches = index["groups"][g]["batches"] or batches_of(g, index, len(group.runs))
        for batch in batches:
            if batch["folder"] != now["folder"] and not sweep.has_ended(about.workdir, batch):
                samples += len(batch["runs"]) * group.steps * group.config.train.batch_size
    return samples
