"""The command python -m ternary_jax.report: the page, its mistakes, the end of a run, and the server."""

import base64
import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_analyze import edit, workdir

from ternary_jax import report
from ternary_jax.analysis.page import after_run, beside, content, drawn, server, single, verdicts, writing
from ternary_jax.config import documentation, load_config, resolved
from ternary_jax.config.keys import flat
from ternary_jax.engine.task import View
from ternary_jax.errors import WorkdirError
from ternary_jax.metric import Metric
from ternary_jax.workdir import run as runs

pytest.importorskip("bokeh", reason="the report needs bokeh, of the extra `report`")
NAN = float("nan")
VOID = ("meta", "link", "input", "br", "hr", "img")


class Read(HTMLParser):
    """The page as its elements: headings, texts of scripts, attributes that lead elsewhere, and unclosed elements."""

    def __init__(self, page):
        super().__init__()
        self.headings, self.scripts, self.leads, self.open, self.shown = [], [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.leads += [x for name, x in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.open += [] if tag in VOID else [tag]
        if tag == "script" and not dict(attrs).get("type"):
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts += [self.scripts.pop() + data] if self.scripts else []
        elif self.open[-1:] != ["style"]:
            self.shown.append(data)
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def answer(capsys, *args):
    """Status, stdout, stderr."""
    try:
        report.main([str(arg) for arg in args])
        status = 0
    except SystemExit as e:
        status = e.code
    return status, *capsys.readouterr()


def test_a_page_is_whole_requests_nothing_and_shows_names_as_they_are(tmp_path, capsys):
    folder = workdir(tmp_path / "run")
    edit(folder / "summary.json", task="<script>alert(1)</script> & <b>bold</b>")
    assert answer(capsys, folder)[::2] == (0, "")
    page = (folder / "report.html").read_text()
    read = Read(page)
    assert read.open == []
    assert read.headings == ["Verdict", "Training", "Over time", "Control"]
    assert all(x.startswith("#") for x in read.leads)
    assert "<script>alert" not in page
    assert "<script>alert(1)</script> & <b>bold</b>: run" in read.shown
    assert {"score over time (higher is better)", "loss over time"} <= {*read.shown}
    assert "✗ target missed" not in page
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    own = page.split("<script>")[1:]
    hashes = [base64.b64encode(hashlib.sha256(x.split("</script>")[0].encode()).digest()).decode() for x in own]
    assert policy.startswith("default-src 'none'; script-src " + " ".join(f"'sha256-{x}'" for x in hashes) + "; ")
    assert len(page) < 2e6
    assert answer(capsys, folder)[0] == 0  # a newer report replaces it


def test_a_training_under_way_says_so_first_and_one_without_summary_too(tmp_path, capsys):
    folder = workdir(tmp_path / "run", finished=False)
    assert answer(capsys, folder)[0] == 0
    page = (folder / "report.html").read_text()
    assert "This training is not finished: epoch 120 of 120." in page[page.index("<header>") : page.index("</header>")]
    assert "major event, run 0 at epoch" in page


def test_workdirs_are_compared_and_a_means_table_has_intervals(tmp_path, capsys):
    one, two = workdir(tmp_path / "one", "steady"), workdir(tmp_path / "two")
    status, out, err = answer(capsys, one, two, f"--out={tmp_path / 'both.html'}")
    assert (status, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'both.html'} (")
    read = Read((tmp_path / "both.html").read_text())
    assert read.headings == ["Settings", "Means over seeds", "Over time"]
    assert any(re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", cell) for cell in read.shown)
    assert answer(capsys, one, two)[2] == "a report of 2 workdirs belongs in none of them: give --out=FILE\n"


def test_a_mistake_is_one_sentence_and_status_2(tmp_path, capsys):
    folder, other = workdir(tmp_path / "run"), workdir(tmp_path / "other")
    edit(other / "config.json", task="ternary_jax.vae.task")
    (workdir(tmp_path / "damaged") / "metrics.jsonl").write_text('{"half\n{}\n')
    begun = workdir(tmp_path / "begun", finished=False)
    (begun / "metrics.jsonl").unlink()
    (tmp_path / "mine.html").write_text("mine")
    (workdir(tmp_path / "taken") / "report.html").write_text("<html>mine</html>")
    cases = [
        ([], "the following arguments are required: WORKDIR; the flags are --out=FILE, --run=N"),
        ([tmp_path / "nowhere"], "is no folder: give the --workdir of a training"),
        ([tmp_path / "damaged"], "metrics.jsonl is damaged"),
        ([begun], "has no evaluation yet"),
        ([folder, other, f"--out={tmp_path / 'x.html'}"], "only workdirs of one task can be compared"),
        ([folder, "--task=os"], "--task=os has to be the name of a task module"),
        ([folder, "--run=7"], "has no run 7: there are 2, numbered from 0"),
        ([folder, "--run=-1"], "--run=-1 is not allowed: give an int from 0 to"),
        ([folder, f"--out={tmp_path / 'mine.html'}"], "mine.html exists (a file): name a file that does not"),
        ([folder, f"--out={tmp_path / 'no/x.html'}"], "no is no folder: make it, or name a file in another"),
        ([tmp_path / "taken"], "report.html is a file and no report of this program: give --out=FILE"),
        ([folder, "--watch", "--out=x"], "--out=x and --watch are both given"),
        ([folder, other, "--watch"], "--watch serves the report of one workdir, and 2 are given: give one"),
    ]
    for args, words in cases:
        status, out, err = answer(capsys, *args)
        assert (status, out, err.count("\n")) == (2, "", 1), args
        assert words in err
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_a_view_without_data_and_one_that_cannot_be_read_leave_the_page_whole(tmp_path):
    def damaged(run, k):
        raise WorkdirError("runs/x has no checkpoint yet: try again when one is written")

    run = runs.open(workdir(tmp_path / "run"))
    views = {
        "some": View("some", lambda run, k: k, str, lambda found: f"model {found}", text=lambda found: f"of {found}"),
        "none": View("none", lambda run, k: None, str, str, needs="a StateNet"),
        "broken": View("broken", damaged, str, str),
        "picture": View("only a picture", damaged, str),
    }
    some, broken, table = cast(list[Any], drawn.panels(run, 1, views))
    assert (some.title, some.text, some.model) == ("Some", "of 1", "model 1")
    assert (broken.text, broken.model) == (
        "Not drawn: runs/x has no checkpoint yet: try again when one is written.",
        None,
    )
    assert table.rows == [("None", "a StateNet")]


def test_four_trainings_are_looked_at_each_by_its_own_views_until_the_page_is_large(monkeypatch):
    def training(n):
        def view(some, table=None):
            model: Any = SimpleNamespace(references=list)
            return View("seen", lambda run, k: (n, run, k) if some else None, str, lambda _: model, "x", str, table)

        views = {"all": view(True, lambda found: (f"of {found[0]}", "ab", ["cd"])), "two": view(n < 2)}
        views |= {"one": view(n == 3), "last": view(True)} | ({} if n == 2 else {"own": view(True)})
        return beside.Training(f"run {n}", cast(Any, SimpleNamespace(views=views, path=f"runs/{n}")), n)

    (made,), notices = beside.sections([training(n) for n in range(6)], "workdirs")
    assert (made.texts[0], notices) == ("The first 4 of 6 workdirs are looked at.", [])
    groups = {part.name: part.panels for part in made.parts if isinstance(part, content.Beside)}
    assert {name: [x.name for x in each] for name, each in groups.items()} == {
        name: [f"{name}-{n}" for n in range(4)] for name in ("all", "two", "last")
    }
    assert [x.text[:4] for x in groups["all"]] == ["(0, ", "(1, ", "(2, ", "(3, "]
    assert [x.text for x in groups["two"][2:]] == ["Not drawn: it needs x."] * 2
    tables = [part for part in made.parts if isinstance(part, content.Table)]
    assert [x.caption for x in tables[:4]] == [f"run {n}: of {n}" for n in range(4)]
    assert tables[4].rows == [("Seen", "x, in two of them at least")]
    monkeypatch.setattr(beside.style, "weight", lambda _: 1 + beside.MOST_BYTES // 4)
    (made,), _ = beside.sections([training(n) for n in range(6)], "workdirs")
    assert [part.name for part in made.parts if isinstance(part, content.Beside)] == ["all"]
    assert "this page would be too large" in cast(Any, made.parts[-1]).rows[0][1]


@pytest.mark.parametrize(
    ("metric", "value", "target", "said"),
    [
        (Metric("m", 1, 1.0, 0.0, NAN), 1.0, 0.99, "✓ target met, at the ceiling"),
        (Metric("m", 1, 1.0, 0.0, NAN), 0.995, 0.99, "✓ target met"),
        (Metric("m", 1, 1.0, 0.0, NAN), 0.9, 0.99, "✗ target missed by 0.09"),
        (Metric("m", -1, -0.8, 0.0, NAN), -0.4, None, "• 50 % of the way from chance to the ceiling"),
        (Metric("m", -1, -0.8, 0.0, NAN), 0.1, None, "• no better than chance"),
        (Metric("m", 1, 1.0, NAN, 0.2), 0.6, None, "• 50 % of the way from no training to the ceiling"),
        (Metric("m", 1, 1.0, 0.0, NAN), 1.2, 0.99, "✗ beyond the ceiling: a collapse, in which values tie, or an alt"),
        (Metric("m", 1, NAN, NAN, None), 3.0, None, "• no ceiling is known"),
        (Metric("m", 1, 1.0, 0.0, NAN), None, 0.99, "? not measured"),
    ],
)
def test_a_value_has_its_verdict(metric, value, target, said):
    assert verdicts.verdict(metric, value, target).startswith(said)


def test_the_base_of_a_task_is_the_config_from_which_others_start():
    assert documentation.base_of("ternary_jax.vae.task") == "vae"
    assert documentation.base_of("toy") == "defaults"
    stored = json.loads(json.dumps(resolved(load_config("v5_12", {"seed": 3}))))
    found = documentation.differences(stored)
    assert found["seed"] == (3, 0)
    mine, base = flat(load_config("v5_12")), flat(load_config("vae"))
    assert found.keys() == {key for key, x in mine.items() if x != base[key]} | {"seed"}


def test_the_end_of_a_run_writes_a_report_once_and_never_fails(tmp_path, capsys, monkeypatch):
    folder = workdir(tmp_path / "run")
    after_run.write(folder, "never", "")
    monkeypatch.setattr(writing, "installed", lambda: False)
    after_run.write(folder, "auto", "")
    assert capsys.readouterr().err == ""
    after_run.write(folder, "always", "")
    assert "no report was written (a report needs bokeh, which is not installed: pip" in capsys.readouterr().err
    monkeypatch.undo()
    file = folder / "report.html"
    assert after_run.write(folder, "auto", "") == file
    written = file.stat().st_mtime_ns
    assert after_run.write(folder, "auto", "") == file  # nothing was trained since
    assert (file.stat().st_mtime_ns, capsys.readouterr().err) == (written, "")
    (folder / "report.html").unlink()
    monkeypatch.setattr(single, "page", lambda *_: 1 / 0)
    after_run.write(folder, "auto", "")
    said = capsys.readouterr().err
    assert said.startswith("no report was written (division by zero); the training is complete; to try again: python")
    assert said.count("\n") == 1


def asked(port, path="/", **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return found.status, found.read().decode(), found.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


def test_a_run_under_way_is_served_to_this_machine_alone_and_anew_when_it_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REST_S", 0.0)
    folder = workdir(tmp_path / "run", finished=False)
    rows = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text("")
    made = server.make(server.Source(folder, lambda: writing.page([runs.open(folder)])), 0)
    assert made.server_address[0] == "127.0.0.1"
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    try:
        port = made.server_port
        status, page, headers = asked(port)
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert "has no evaluation yet" in page
        state = json.loads(asked(port, "/state")[1])
        assert f'data-stamp="{state["stamp"]}"' in page
        (folder / "metrics.jsonl").write_text(rows)
        assert json.loads(asked(port, "/state")[1]) != state
        assert "This training is not finished" in asked(port)[1]
        assert asked(port, Host=f"localhost:{port}")[0] == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", ""):
            assert asked(port, Host=host)[:2] == (403, "this server answers to 127.0.0.1 and localhost alone\n")
        assert asked(port, "/../config.json")[0] == 404
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def test_a_port_that_is_taken_is_one_sentence(tmp_path, capsys):
    with server.make(server.Source(tmp_path, lambda: pytest.fail("no page is asked for")), 0) as taken:
        status, out, err = answer(capsys, workdir(tmp_path / "run"), "--watch", f"--port={taken.server_port}")
    assert (status, out) == (2, "")
    assert err.startswith(f"--port={taken.server_port} cannot be used (")
