"""A trained model that can be asked: `model = load(workdir)`, then `model.VERB(...)`.

What a model can be asked is up to its family, which registers `Task.verbs`; nothing here knows a family.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ternary_jax import terminal, workdir
from ternary_jax.engine import session
from ternary_jax.engine.task import Verbs
from ternary_jax.errors import ConfigError, QuestionError, VerbError, WorkdirError

NEWEST = ("newest", "latest")  # values of `at`; the second is that of `workdir.Run.model`


class About(NamedTuple):
    """Where a loaded model is from.

    path: its workdir
    task: the name of its task
    run: its number in the workdir
    step: optimizer steps that it has done
    branch: the part of it that is asked; "" where it is one
    finished: whether its training has ended
    """

    path: Path
    task: str
    run: int
    step: int
    branch: str
    finished: bool


@dataclass(frozen=True, repr=False, eq=False)
class Model:
    """A trained model. Its verbs, which its family registers, are its attributes; its repr lists them.

    about: where it is from
    source: the reader of its workdir
    trained: task, parameters and context, for what no verb does: `task.evaluate(params, context)`
    verbs: by name
    notes: sentences on what was loaded
    """

    about: About
    source: workdir.Run
    trained: workdir.Model
    verbs: Mapping[str, Callable[..., Any]]
    notes: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The verb of this name; a VerbError, which lists the verbs, where there is none."""
        if name.startswith("_") or "verbs" not in self.__dict__:  # asked by copy, pickle and notebooks
            raise AttributeError(name)
        if name in self.verbs:
            return self.verbs[name]
        raise VerbError(_missing(self, name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.verbs})

    def __repr__(self) -> str:
        """Where it is from, and a line for each verb."""
        width = max(map(len, self.verbs), default=0)
        lines = [f"  {name:{width}}  {_first_line(verb)}" for name, verb in self.verbs.items()]
        return "\n".join([title(self.about), *lines])

    def table(self) -> dict[str, np.ndarray] | None:
        """{column: an array (n,) or (n, d)}, a row for each thing that has a place in the model; None without."""
        task, params, context = self.trained
        if task.verbs is None or task.verbs.table is None:
            return None
        return {name: np.asarray(x) for name, x in task.verbs.table(params, context, self.about.branch).items()}


def load(path: str | Path, run: int = 0, branch: str = "", at: str | int = "best", task: str = "") -> Model:
    """The trained model of a workdir, ready to be asked: `print(model)` lists what it answers.

    path: the --workdir of a training
    run: its number, of a workdir of several runs
    branch: the part of the model that is asked, where its family has several; "": the main one, B of the dual model
    at: the checkpoint: "best" by checkpoint.best_metric, over all runs; "newest"; or a step. Of a training that is not
        finished, "best" is the newest one, and a sentence on stderr says so
    task: the name of its task module, if it is your own: a module that only the workdir names is not imported
    """
    opened = workdir.open(path, task)
    if isinstance(opened, workdir.Sweep):
        raise WorkdirError(f"{path} is the folder of a sweep: give the workdir of one of its groups, {path}/group_000")
    if task and task != (there := opened.config["task"]):
        raise ConfigError(f"task={task} is not the task of {path}, whose config has {there}: give that, or none")
    if opened.config.get("compilation_cache"):
        session.keep_compiled_programs()
    finished, notes = bool(opened.summary.get("finished", False)), ()
    newest = at in NEWEST or (at == "best" and not finished)
    trained = opened.model(run, NEWEST[1] if newest else at)
    step = int(trained.context.step)
    if not finished:
        notes = (f"{path} is not finished: this is its model of step {step:,}; at=STEP gives that of another",)
        terminal.say(notes[0])
    offered = trained.task.verbs
    part = _part(offered, branch, trained.task.name)
    about = About(Path(path), trained.task.name, int(run), step, part, finished)
    verbs = {} if offered is None else offered.make(trained.params, trained.context, part)
    return Model(about, opened, trained, verbs, notes)


def title(about: About) -> str:
    """One line on where a model is from."""
    branch = f", branch {about.branch}" if about.branch else ""
    return f"{about.task}: run {about.run} of {about.path}{branch}, step {about.step:,}"


# --- inside -----------------------------------------------------------------------------------------------------------


def _part(offered: Verbs | None, branch: str, name: str) -> str:
    """The part that is asked; a QuestionError if there is none of this name."""
    parts = () if offered is None else offered.parts
    if not branch:
        return parts[0] if parts else ""
    if branch not in parts:
        there = f"it has {', '.join(parts)}: give one of these" if parts else "it has no branches: leave branch out"
        raise QuestionError(f"branch={branch} is no branch of {name!r}: {there}")
    return branch


def _missing(model: Model, name: str) -> str:
    """The sentence on a verb that a model lacks."""
    task = model.about.task
    if not model.verbs:
        return f"a model of {task!r} has no {name!r}, as its task registers no verbs: give its Task `verbs`"
    near = difflib.get_close_matches(name, model.verbs, 1)
    fix = f"did you mean {near[0]}?" if near else "ask one of these"
    return f"a model of {task!r} has no {name!r}; it can {', '.join(model.verbs)}: {fix}"


def _first_line(verb: Callable[..., Any]) -> str:
    return (verb.__doc__ or "").strip().partition("\n")[0]
