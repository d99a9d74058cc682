"""The page of one training, of one run or of several."""

from collections.abc import Mapping
from typing import Any

from ternary_jax.analysis import curves, data, settings, summary_table, text
from ternary_jax.analysis.page import drawn, facts, overlay, verdicts
from ternary_jax.analysis.page.content import Page, Section, Table
from ternary_jax.analysis.views import VIEWS
from ternary_jax.errors import ConfigError, WorkdirError
from ternary_jax.grokking import history
from ternary_jax.workdir import Run


def page(run: Run, k: int = 0) -> Page:
    """What there is to say of a training. k: the run of several whose model is looked at."""
    run.check_number(k)
    found, summary = data.analyse(run, short=False), run.summary
    about, views, notices = _of_task(run)
    sections = [
        Section("Verdict", _ending(found, summary), [*_tables(run, found, summary)]),
        Section("Training", [], [facts.training(run, found, summary), _checklist(found), *_config(run)]),
        Section("Over time", _about_time(found), _curves(run, found, k)),
    ]
    several = [f"Of run {k}: the report of another one is written with --run=N."] if len(found["runs"]) > 1 else []
    for name, offered in (("Control", VIEWS), ("What was learned", views)):
        if panels := drawn.panels(run, k, offered):
            sections.append(Section(name, several, panels))
    title = f"{found['task']}: {run.path.resolve().name}"
    return Page(title, about or f"A training of the task {run.config['task']}.", _notices(found) + notices, sections)


# --- inside -----------------------------------------------------------------------------------------------------------


def _of_task(run: Run) -> tuple[str, Mapping[str, Any], list[str]]:
    """(a sentence on the task, its views, notices): a task of one's own that is not named has none of them."""
    try:
        task = run.made_task()
    except (ConfigError, WorkdirError) as e:
        return "", {}, [f"What was learned is not drawn: {e}."]
    return task.about, task.views, []


def _notices(found: Mapping[str, Any]) -> list[str]:
    if found["finished"]:
        return []
    return [
        f"This training is not finished: {found['unit']} {found['now']:,.0f} of {found['length']:,}. What follows is "
        "of its log so far."
    ]


def _ending(found: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    texts = [_sentence(one) for one in [summary_table.ending(summary), *summary.get("notes", ())]] if summary else []
    reached = {name: one["reached"] for name, one in found["success"].items()}
    for name, levels in reached.items():
        each = ", ".join(f"{level} ({levels.count(level)} runs)" if len(levels) > 1 else level for level in {*levels})
        texts.append(f"Level of success of {name}: {each}.")
    return texts


def _tables(run: Run, found: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Table]:
    """The verdicts where all runs are of one setting; else a row for each setting."""
    metrics, targets = run.metrics, _targets(run)
    if len(found["settings"]) == 1:
        return [verdicts.table(metrics, found["settings"][0]["metrics"], targets, len(found["runs"]))]
    chosen = settings.chosen(found["settings"], metrics, data.watched_first(run.config))
    lines, hidden = settings.cells(found["settings"], chosen)
    more = f"; they also differ in {', '.join(hidden)}" if hidden else ""
    return [Table(f"Settings; {settings.CELL}{more}", lines[0], lines[1:])]


def _checklist(found: Mapping[str, Any]) -> Table:
    mark = {True: "✓ yes", False: "✗ no", None: "? not known"}
    rows = [(one["item"], mark[one["met"]], one["because"]) for one in found["checklist"]]
    return Table("Checklist of a complete training", ("item", "met", "because"), rows)


def _config(run: Run) -> list[Table]:
    try:
        return [facts.config_differences(run)]
    except ConfigError:  # of a base file that has been changed since
        return []


def _about_time(found: Mapping[str, Any]) -> list[str]:
    texts = [f"All {len(found['runs'])} runs."] if len(found["runs"]) > 1 else []
    return texts + [_sentence(line.strip()) for line in text.events(found).splitlines()[:3]]


def _curves(run: Run, found: Mapping[str, Any], k: int) -> list[Any]:
    """Metrics of all runs, with the phases, freezes and events; then the parts of the loss of run k."""
    logs = {one.run: one for one in history.histories(run.rows())}
    groups = [
        overlay.Setting(settings.label(hypers), [(f"run {one['run']}", logs[one["run"]]) for one in group])
        for hypers, group in settings.groups(found["runs"])
    ]
    chosen = overlay.drawn_metrics(run.metrics, data.watched_first(run.config), [*logs.values()])
    if (own := curves.data(run, k)) is None:
        return overlay.panels(groups, found["unit"], chosen, _targets(run))
    spans, marks = overlay.spans_of(own), overlay.marks_of(found, own)
    made = overlay.panels(groups, found["unit"], chosen, _targets(run), spans, marks)
    return made + overlay.terms(own, spans, marks)


def _targets(run: Run) -> dict[str, float]:
    prefix = "targets."
    given = {key.removeprefix(prefix): value for key, value in run.config.items() if key.startswith(prefix)}
    return {name: value for name, value in given.items() if isinstance(value, int | float)}


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."
