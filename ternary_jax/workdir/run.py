"""The reader of a workdir, also of a training that is under way: `run = open(path)`.

It writes nothing and caches nothing: every access reads from disk.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax.engine import performance
from ternary_jax.errors import ColumnError, ConfigError, WorkdirError
from ternary_jax.metric import Criteria, Metric
from ternary_jax.workdir import checkpoint_files, exports, files, forms, safe_files, summary
from ternary_jax.workdir import rows as log

# Old name of a column -> its new name.
RENAMED = {"gradient_ratio": "control/balance/ratio", "turned_tau": "turned_geodesic_share"}
SHOWN = 50  # names of columns in a message


class Checkpoint(NamedTuple):
    """A checkpoint of all runs; every array has a leading axis of runs.

    step: optimizer steps done
    state: the TrainState of the engine as nested dicts of numpy arrays
    metadata: config, metrics of the last evaluation, versions, commit
    """

    step: int
    state: dict[str, Any]
    metadata: dict[str, Any]


class Model(NamedTuple):
    """A trained model: `task.evaluate(params, context)` measures it.

    task: the engine's Task, without the extensions that its config enables
    params: of one run, on the device
    context: with the knobs, hypers, data and task state of that run
    """

    task: Any
    params: Any
    context: Any


class Columns(dict[str, np.ndarray]):
    """The columns of metrics.jsonl by name, one element a row; a name that no row has raises a ColumnError."""

    def __init__(self, path: Path, rows: list[dict[str, Any]]):
        names = dict.fromkeys(name for row in rows for name in row)
        super().__init__({name: np.array([row.get(name, np.nan) for row in rows]) for name in names})
        self.path = path

    def __missing__(self, name: str) -> np.ndarray:
        more = f" and {len(self) - SHOWN} more" * (len(self) > SHOWN)
        known = f"there are {', '.join([*self][:SHOWN])}{more}" if self else "there are no rows yet"
        if near := difflib.get_close_matches(str(name), self, 1):
            known = f"the nearest is {near[0]!r}"
        if name in performance.COLUMNS:
            known = f"rows have it with config.log.level=performance{performance.COLUMNS[name]}"
        if name in RENAMED:
            known = f"its name is {RENAMED[name]!r} now, where it is reported"
        if older := [old for old, new in RENAMED.items() if new == name and old in self]:
            known = f"this workdir was begun when its name was {older[0]!r}"
        raise ColumnError(f"{self.path / 'metrics.jsonl'} has no column {name!r}: {known}")


class Run(NamedTuple):
    """A workdir.

    config: the resolved config by dotted key, as in config.json
    task: the name of the task module, as the caller gave it; "": the one that config.json names, if it is packaged
    """

    path: Path
    config: forms.Content
    task: str = ""

    @property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json; {} while there is none."""
        return forms.read_summary(self.path, self.config["runs"])

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics by name, from summary.json; while there is none, from the task that the config makes."""
        if not (content := self.summary):
            return {metric.name: metric for metric in self._task()[0].metrics}
        try:
            return summary.metrics_of(content)
        except (KeyError, TypeError, AttributeError) as e:
            raise WorkdirError(
                f"{self.path / 'summary.json'} was written by an earlier version, and lacks fields of its "
                "metrics: read `.summary`, or train again in another workdir"
            ) from e

    @property
    def criteria(self) -> tuple[Criteria, ...]:
        """The task's criteria of success, from summary.json; where it has none, from the task that the config makes."""
        if "criteria" not in (content := self.summary):
            return self._task()[0].criteria
        return tuple(
            Criteria(**{name: one[name] for name in Criteria._fields if name in one}) for one in content["criteria"]
        )

    def rows(self, run: int | None = None) -> Columns:
        """The columns of metrics.jsonl, nan where a row lacks the value; those of one run, if given, sorted by step."""
        found = log.read(self.path, self.config["runs"], log.seeds_of(self.config))
        if run is not None:
            self.check_number(run)
            found = sorted((row for row in found if row["run"] == run), key=lambda row: row["step"])
        return Columns(self.path, found)

    def checkpoint(self, at: str | int = "latest") -> Checkpoint:
        """A checkpoint: at="latest", at="best" by `checkpoint.best_metric`, or at a step."""
        from ternary_jax.workdir import checkpoint  # imports jax, and orbax when it reads

        folder = self.path / "checkpoints"
        steps: list[Any] = checkpoint.steps(folder)
        if not steps:
            raise WorkdirError(f"{self.path} has no checkpoint yet: try again when one is written")
        step = steps[-1] if at == "latest" else at
        if at == "best":
            ranked = checkpoint.ranked(checkpoint.metrics_of(folder))
            step = next((step for step in ranked if step in steps), at)
        if step not in steps:
            names = "'latest'," if at == "best" else "'latest', 'best',"
            raise WorkdirError(f"{folder} has no checkpoint {at!r}: take {names} or one of the steps {steps}")
        try:
            found = Checkpoint(*checkpoint.load(folder, int(step)))
        except checkpoint.CheckpointError as e:
            if not safe_files.kind(folder / str(step)):  # the training deleted it after `steps` was read
                return self.checkpoint(at)
            raise WorkdirError(f"{folder}: {e}") from e
        if differing := self.unlike(found.metadata):
            raise WorkdirError(
                f"checkpoint {step} in {self.path} is of another config ({differing}): put back the checkpoints of "
                "this run"
            )
        return found

    def unlike(self, metadata: Mapping[str, Any] | None = None) -> str:
        """How the config in a checkpoint differs from config.json, in the keys of the engine; "" if it does not.

        metadata: of the checkpoint; None: of the newest. Keys of a task are not compared: only the module of the task
        tells which of them may differ between sessions, and it is not imported here. Nor are keys that an earlier
        version did not have.
        """
        from ternary_jax.config.table import KEYS  # imports ml_collections
        from ternary_jax.workdir import claim

        if metadata is None:
            metadata = checkpoint_files.newest_metadata(self.path / "checkpoints")
        there, here = metadata.get("config"), forms.read_config(self.path) or {}
        if not isinstance(there, dict):
            return ""
        return claim.unlike(there, here, {key: KEYS[key] for key in KEYS if key in there and key in here})

    @property
    def views(self) -> Mapping[str, Any]:
        """What can be looked at, by name: the `views` of the task that the config makes."""
        return self._task()[0].views

    def value(self, key: str, k: int = 0) -> Any:
        """The value of a traced config key in run k: the config has one, or one for each run."""
        value = self.config[key]
        return value[k] if isinstance(value, list | tuple) and len(value) == self.config["runs"] else value

    def embeddings(self, k: int = 0) -> dict[str, np.ndarray]:
        """The exported arrays of run k, by name."""
        self.check_number(k)
        return exports.read(self.path, k)

    def exported(self, k: int = 0) -> dict[str, np.ndarray] | None:
        """The arrays that the task exports of run k: of its end, or while it is under way of its newest checkpoint.

        None where the task exports nothing, and where there is no checkpoint yet.
        """
        self.check_number(k)
        if safe_files.kind(exports.path_of(self.path, k)):
            return exports.read(self.path, k)
        if not checkpoint_files.steps(self.path / "checkpoints"):
            return None
        import jax

        task, params, context = self.model(k)
        if task.export is None:
            return None
        return {name: np.asarray(x) for name, x in jax.jit(task.export)(params, context).items()}

    def model(self, k: int = 0, at: str | int = "latest") -> Model:
        """The task of the config with the parameters of run k from a checkpoint."""
        import jax

        from ternary_jax.control.chain import Controls
        from ternary_jax.engine.task import Context

        self.check_number(k)
        task, hypers = self._task()
        saved = self.checkpoint(at).state
        self._check_state(saved)
        state = {name: saved.get(name, {}) for name in ("params", "knobs", "stop", "task")}
        hypers, state = jax.tree.map(lambda x: jax.device_put(x[k]), (hypers, state))
        key, own = jax.random.key(0), task.state.init if task.state else lambda *_: ()
        params = self._as(jax.eval_shape(task.init, key, hypers), state["params"])
        carried = self._as(jax.eval_shape(own, key, hypers), state["task"])
        controls = Controls({}, None, state["knobs"])
        context = Context(state["stop"]["at"], None, controls, hypers, jax.device_put(task.data), carried)
        return Model(task, params, context)

    def made_task(self) -> Any:
        """The task that the config makes, without the extensions that it enables."""
        return self._task()[0]

    def check_number(self, k: int) -> None:
        """Raise a WorkdirError if there is no run k."""
        runs = self.config["runs"]
        if not isinstance(k, int | np.integer):
            raise WorkdirError(f"{self.path} has no run {k!r}: it has to be an int from 0 to {runs - 1}")
        if k not in range(runs):
            raise WorkdirError(f"{self.path} has no run {k}: there are {runs}, numbered from 0")

    def _check_state(self, state: dict[str, Any]) -> None:
        """The state is that of a training of these runs: it has parameters and steps, and every leaf a row per run."""
        import jax

        runs = self.config["runs"]
        shapes = [np.shape(leaf) for leaf in jax.tree.leaves(state)]
        whole = isinstance(state.get("params"), dict) and "at" in dict(state.get("stop") or {})
        if not whole or any(shape[:1] != (runs,) for shape in shapes):
            raise WorkdirError(
                f"the checkpoint in {self.path} is not that of a training of {runs} runs, as config.json says: take "
                "`.checkpoint()` instead"
            )

    def _task(self) -> tuple[Any, Any]:
        """(task, hypers of all runs) of the config."""
        from ternary_jax.config import split, stored

        cannot = f"the task of {self.path} cannot be made"
        try:
            table, module = stored.keys_of(self.config, self.task)
            if other := sorted(table.keys() ^ self.config.keys()):
                names = ", ".join(other[:5])
                raise WorkdirError(
                    f"{cannot}: configs have other keys now ({names}): read `.checkpoint()`, or check out the commit "
                    "that its metadata names"
                )
            static, hypers = split(stored.config_of(self.config, table, module))
            return module.make_task(static), hypers
        except ConfigError as e:
            raise WorkdirError(f"{cannot}: {e}") from e

    def _as(self, like: Any, saved: dict[str, Any]) -> Any:
        """The nested dicts of a checkpoint as a pytree with the structure of `like`."""
        import jax

        from ternary_jax.workdir.checkpoint import fingerprint, mismatches

        there, here = fingerprint(saved), fingerprint(like)
        if differing := mismatches(there, here):
            raise WorkdirError(
                f"the checkpoint in {self.path} is of another model than its task makes now ({differing[0]}): take "
                "`.checkpoint` instead"
            )
        leaves = dict(zip(there, jax.tree.leaves(saved), strict=True))
        return jax.tree.structure(like).unflatten([leaves[name] for name in here])


def open(path: str | Path, task: str = "") -> Run:
    """The workdir at `path`, of a training that is finished, interrupted or under way.

    task: the name of its task module, if it is not one of this package. A workdir may be anyone's, so a module that
    only its config.json names is never imported.
    """
    path = Path(path)
    if safe_files.kind(path, follow=True) != "a folder":
        raise WorkdirError(f"{path} is no folder: give the --workdir of a training")
    config = forms.read_config(path)
    if config is None or not config.keys() >= {"task", "runs"}:
        raise WorkdirError(f"{path} has no config.json of a training, so it is no workdir: give the --workdir of one")
    forms.check(config.file, config, forms.CONFIG)
    for entry in files.CONFIG_ENTRIES:
        config.pop(entry, None)
    return Run(path, config, task)
