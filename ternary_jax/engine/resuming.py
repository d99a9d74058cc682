"""Whether the parts of a workdir belong together, and are all there, before a run goes on from them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ternary_jax import terminal
from ternary_jax.engine.host_context import Training
from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.workdir import checkpoint, claim, forms, safe_files
from ternary_jax.workdir import rows as log


def check_log(training: Training) -> None:
    """Raise a RunError for rows of another run, and for a log whose checkpoints are gone.

    Rows without a checkpoint are replaced, and this is said, where a run may have been killed before its first save.
    """
    workdir, runs = training.workdir, training.static.runs
    seeds, number_of_rows, last = training.hypers.seed, 0, 0
    for number, row in log.undamaged(workdir, runs):
        if of_another := log.foreign(workdir, number, row, seeds.tolist()):
            raise RunError(of_another)
        number_of_rows, last = number_of_rows + 1, max(last, row["step"])
    if checkpoint.steps(workdir / "checkpoints"):
        return
    if _checkpoints_are_lost(training, last):
        has = f"metrics.jsonl has rows up to step {last:,}" if last else "summary.json says that it has trained"
        raise RunError(
            f"{workdir} has no checkpoint to go on from, and its {has}: put back a copy of checkpoints/, or name "
            "another --workdir"
        )
    if number_of_rows:
        rows = f"{number_of_rows:,} row{'s' * (number_of_rows > 1)}"
        terminal.say(f"{workdir} has no checkpoint yet: the run begins again at step 0, and replaces {rows}")


def check_config(training: Training, step: int, metadata: Mapping[str, Any]) -> None:
    """Raise a RunError if a checkpoint is not of this config. metadata: of the checkpoint."""
    there = metadata.get("config")
    if not isinstance(there, dict):
        raise RunError(f"checkpoint {step} in {training.workdir} is damaged (it has no config): put back a copy")
    if differing := claim.unlike(there, training.config):
        raise RunError(
            f"checkpoint {step} in {training.workdir} is of another config ({differing}): put back the checkpoints and "
            "the config.json of this run, or name another --workdir"
        )


def _checkpoints_are_lost(training: Training, last: int) -> bool:
    """Whether a workdir without a checkpoint had one. last: the step of its last row.

    A run that is killed, or finds the disk full, may have rows up to the second checkpoint that is due, and none on the
    disk: the first is written in the background, and waited for when the second is due. It has the empty folder. A
    summary is written after the last save, so it tells of one, unless all runs diverged.
    """
    workdir, due, told = training.workdir, training.plan.checkpoint, {}
    with suppress(WorkdirError):
        told = forms.read_summary(workdir, training.static.runs)
    stops = [run["stop"] for run in told.get("runs", ())]
    saved = told.get("finished", False) or any(one["reason"] != "diverged" and one["step"] for one in stops)
    folder_is_gone = not safe_files.kind(workdir / "checkpoints")
    return bool(saved or last > 2 * due or (folder_is_gone and last >= due))
