"""config.json and summary.json as they are read: each value is checked first, as a workdir may be anyone's.

A form is a function that describes a value in its docstring and returns whether the value is one; or `Fields`, `Each`
or `Items` of forms. JSON Schema was rejected: it is a dependency, for two files.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ternary_jax.errors import WorkdirError
from ternary_jax.workdir import files
from ternary_jax.workdir.rows import MOST_RUNS, MOST_STEPS, is_name, is_number

NAME = re.compile(r"[A-Za-z_]\w{0,99}(\.[A-Za-z_]\w{0,99}){0,9}", re.ASCII)  # of a key or a module
SHOWN = 120  # characters of a name or a value that a message shows


class Fields(NamedTuple):
    """An object with these fields. needed: they have to be there; perhaps: earlier versions lack them."""

    needed: Mapping[str, Any] = {}
    perhaps: Mapping[str, Any] = {}


class Each(NamedTuple):
    """An object with any names, all values of one form."""

    form: Any


class Items(NamedTuple):
    """A list, all items of one form."""

    form: Any


def check(file: Path, value: Any, form: Any) -> None:
    """Raise a WorkdirError if the value that a file holds has another form."""
    if wrong := misfit(value, form):
        raise WorkdirError(f"{file} is damaged ({wrong}): put back a copy, or train again in another workdir")


def misfit(value: Any, form: Any, at: str = "it") -> str:
    """What keeps a value from being of a form, with its place; "" if it is of that form."""
    if isinstance(form, Fields | Each):
        return _object_misfit(value, form, at)
    if isinstance(form, Items):
        if not isinstance(value, list):
            return f"{at} is no list"
        return next(filter(None, (misfit(x, form.form, f"{at}[{k}]") for k, x in enumerate(value))), "")
    return "" if form(value) else f"{at} is not {form.__doc__}"


def _object_misfit(value: Any, form: Fields | Each, at: str) -> str:
    if not isinstance(value, dict):
        return f"{at} is no object"
    if bad := [name for name in value if not is_name(name)]:
        return f"{at} has {bad[0]!r:.{SHOWN}}, which is no name"
    forms: Mapping[str, Any] = dict.fromkeys(value, form.form) if isinstance(form, Each) else {}
    if isinstance(form, Fields):
        if missing := [name for name in form.needed if name not in value]:
            return f"{at} has no {missing[0]}"
        forms = {name: one for name, one in {**form.needed, **form.perhaps}.items() if name in value}
    inside = "" if at == "it" else f"{at}."
    return next(filter(None, (misfit(value[name], one, f"{inside}{name}"[:SHOWN]) for name, one in forms.items())), "")


# --- forms of single values -------------------------------------------------------------------------------------------


def text(x: Any) -> bool:
    """a printable text"""
    return isinstance(x, str) and x.isprintable()  # an end of line in it would forge a line of the output


def flag(x: Any) -> bool:
    """true or false"""
    return isinstance(x, bool)


def number(x: Any) -> bool:
    """a number"""
    return is_number(x)


def maybe(x: Any) -> bool:
    """a number or null"""
    return x is None or is_number(x)


def step(x: Any) -> bool:
    """a step"""
    return type(x) is int and 0 <= x <= MOST_STEPS


def run(x: Any) -> bool:
    """the number of a run"""
    return type(x) is int and 0 <= x < MOST_RUNS


def version(x: Any) -> bool:
    """a version"""
    return type(x) is int and 1 <= x < 1000


def runs(x: Any) -> bool:
    """a number of runs"""
    return type(x) is int and 1 <= x <= MOST_RUNS


def direction(x: Any) -> bool:
    """higher or lower"""
    return x in ("higher", "lower")


def name_of_module(x: Any) -> bool:
    """the name of a module"""
    return isinstance(x, str) and bool(NAME.fullmatch(x))


def scalar(x: Any) -> bool:
    """a printable text, a number, true or false"""
    return text(x) or isinstance(x, bool) or is_number(x)


def setting(x: Any) -> bool:
    """the value of a key, or a list of values"""
    return all(map(scalar, x)) if isinstance(x, list) else scalar(x)


def numbers(x: Any) -> bool:
    """a number or null, or a list of them"""
    return all(map(maybe, x)) if isinstance(x, list) else maybe(x)


def texts(x: Any) -> bool:
    """a printable text, or a list of such texts"""
    return all(map(text, x)) if isinstance(x, list) else text(x)


# --- forms of the files -----------------------------------------------------------------------------------------------

_BEST = Fields({"value": maybe, "step": step})
_STOP = Fields({"reason": text, "step": step, "detail": text})
_RUN = {"run": run, "seed": number, "hypers": Each(number), "stop": _STOP, "final": Each(maybe), "best": Each(_BEST)}
_FURTHER = {"costly": flag, "tolerance": number, "held_out_of": text, "gap": text}
_METRIC = Fields({"ceiling": maybe, "chance": maybe, "untrained": maybe, "better": direction}, _FURTHER)
_CRITERIA = Fields({"name": text, "levels": Each(Each(number)), "checklist": Each(number)}, {"samples_per_s": number})
CONFIG = Fields({"task": name_of_module, "runs": runs}, {"format": version, "earlier_lengths": Items(step)})
SUMMARY = Fields(
    perhaps={
        **{"task": text, "steps": maybe, "epochs": maybe, "wall_s": maybe, "stop": texts, "time_to_ceiling_s": numbers},
        **{"targets": Each(number), "metrics": Each(_METRIC), "runs": Items(Fields(_RUN)), "finished": flag},
        **{"compile_s": maybe, "first_step_s": maybe, "samples_per_s": maybe, "notes": Items(text)},
        **{"criteria": Items(_CRITERIA), "device": text, "describes": flag},
    }
)


class Content(dict[str, Any]):
    """The object in a JSON file of a workdir; a field that is not there raises a WorkdirError."""

    def __init__(self, file: Path, values: Mapping[str, Any]):
        super().__init__(values)
        self.file = file

    def __missing__(self, name: str) -> Any:
        raise WorkdirError(
            f"{self.file} has no {name!r}: it is of an earlier version, or damaged; train again in another workdir"
        )


def read_config(workdir: Path) -> Content | None:
    """The content of config.json; None where there is none. A WorkdirError for anything but values by dotted key.

    Which values a key allows is checked where the values are used, by the table of keys: see `config.stored`.
    """
    file = workdir / "config.json"
    if (found := files.read_json(file)) is None:
        return None
    check(file, found, Each(setting))
    if bad := [name for name in found if not NAME.fullmatch(name)]:
        raise WorkdirError(f"{file} is damaged ({bad[0][:SHOWN]!r} is no key): put back a copy")
    return Content(file, found)


def read_summary(workdir: Path, number_of_runs: int) -> Content:
    """The content of summary.json, empty while there is none. A WorkdirError for one of another form or other runs."""
    file = workdir / "summary.json"
    found = Content(file, files.read_json(file) or {})
    check(file, found, SUMMARY)
    if "runs" in found and [run["run"] for run in found["runs"]] != list(range(number_of_runs)):
        raise WorkdirError(f"{file} is damaged (its runs are not the {number_of_runs} of config.json): put back a copy")
    return found
