"""A report in Chromium: no console error, no request, every panel drawn, tooltips, zoom by mouse and keys, barriers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small

from ternary_jax.analysis.page import writing
from ternary_jax.engine import host
from ternary_jax.workdir import run as runs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
pytest.importorskip("bokeh", reason="the report needs bokeh, of the extra `report`")
browsers = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright, of the extra `dev`")
axe = pytest.importorskip("axe_playwright_python", reason="barriers are found by axe-core, of the extra `dev`")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")]

VIEW = """const host = document.getElementById(id);
  const view = [...Bokeh.index].find(v => v.model.type === 'Figure' && host.contains(v.el)); const plot = view.model;"""
RANGES = f"id => {{ {VIEW} return [plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end]; }}"
# Where the operation of index 1 is on the screen.
PLACE = f"""id => {{ {VIEW} const box = view.el.getBoundingClientRect();
  const {{data}} = [...plot.document.all_models].find(m => m.tags?.includes('text:trits'));
  const k = [...data.index].indexOf(1);
  return [box.x + view.frame.x_scale.compute(data.x[k]), box.y + view.frame.y_scale.compute(data.y[k])]; }}"""
LEGEND = f"""id => {{ {VIEW} const legend = plot.above.find(x => x.type === 'Legend');
  return Math.ceil(legend.items.length / legend.ncols); }}"""
COLORS = """id => { const seen = new Set(); const walk = (e) => { if (e.tagName === 'CANVAS') {
  const {width, height} = e; if (width && height) { const d = e.getContext('2d').getImageData(0, 0, width, height).data;
  for (let i = 0; i < d.length; i += 4) seen.add(d[i] + ',' + d[i + 1] + ',' + d[i + 2] + ',' + d[i + 3]); } }
  for (const c of [...(e.shadowRoot?.children ?? []), ...e.children]) walk(c); };
  walk(document.getElementById(id)); return seen.size; }"""
TIP = """word => { const found = []; const walk = (e) => { if (`${e.className}`.includes('bk-tooltip-content'))
  found.push(e.textContent); for (const c of [...(e.shadowRoot?.children ?? []), ...e.children]) walk(c); };
  walk(document.body); return found.some(x => x.includes(word)); }"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    host.run(small.config(), folder)
    writing.write(writing.page([runs.open(folder)]), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium():
    with browsers.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(chromium, file, scheme, width=1280):
    """The page with all panels drawn; and what went wrong meanwhile."""
    page = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
    wrong = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.and_(page.locator("[data-drawn=yes]")).wait_for(timeout=60_000)
    page.wait_for_timeout(300)  # the canvases are painted in the next frames
    return page, wrong


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_every_panel_is_drawn_and_nothing_bars_a_reader(chromium, file, scheme, width):
    page, wrong = opened(chromium, file, scheme, width)
    assert not wrong
    plots = [plot.get_attribute("id") for plot in page.locator(".plot").all()]
    assert {"time-loss", "disc", "bands", "distances", "frontier", "controllers"} <= {*plots}
    assert not [name for name in plots if page.evaluate(COLORS, name) < 10]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 600) == (scheme == "light")
    assert not serious(page)


def test_views_of_two_trainings_stand_side_by_side_and_on_a_phone_below_each_other(chromium, file, tmp_path):
    both = tmp_path / "both.html"
    shutil.copytree(file.parent, tmp_path / "other")
    writing.write(writing.page([runs.open(file.parent), runs.open(tmp_path / "other")]), both)
    page, wrong = opened(chromium, both, "light")
    one, two = (page.locator(f"#disc-{k}").bounding_box() for k in range(2))
    assert one["y"] == two["y"]
    assert one["x"] + one["width"] < two["x"]
    assert not serious(page)
    page, more = opened(chromium, both, "dark", 390)
    one, two = (page.locator(f"#disc-{k}").bounding_box() for k in range(2))
    assert one["x"] == two["x"]
    assert one["y"] + one["height"] < two["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    plots = [plot.get_attribute("id") for plot in page.locator(".plot").all()]
    assert not [name for name in plots if page.evaluate(COLORS, name) < 10]
    assert page.evaluate(LEGEND, "frontier-0") == 5  # rows: of one row, most items would be cut off
    assert not wrong + more


def test_a_tooltip_names_the_operation_and_zoom_changes_the_ranges(chromium, file):
    page, wrong = opened(chromium, file, "light")
    disc = page.locator("#disc")
    disc.scroll_into_view_if_needed()
    x, y = page.evaluate(PLACE, "disc")
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=4)
    for word in ("0---", "valuation 0", "index 1"):
        page.wait_for_function(TIP, arg=word, timeout=30_000)
    before = np.array(page.evaluate(RANGES, "disc"))
    page.get_by_role("button", name="Zoom in: Every operation").click()
    zoomed = np.array(page.evaluate(RANGES, "disc"))
    np.testing.assert_allclose(np.ptp(zoomed[:2]), 0.8 * np.ptp(before[:2]), rtol=0.05)
    disc.focus()
    page.keyboard.press("ArrowRight")
    moved = np.array(page.evaluate(RANGES, "disc"))
    assert moved[0] > zoomed[0]
    page.keyboard.press("0")
    np.testing.assert_allclose(page.evaluate(RANGES, "disc"), before, atol=1e-6)
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    width = before[1] - before[0]
    page.wait_for_function(f"id => {{ const r = ({RANGES})(id); return r[1] - r[0] < 0.99 * {width}; }}", arg="disc")
    assert not wrong


def serious(page):
    """What bars a reader, by axe-core."""
    # The policy of the page would refuse the script of axe too, so it is given by the browser itself.
    script = Path(axe.__file__).with_name("axe.min.js").read_text()
    page.evaluate(f"document.querySelectorAll('details').forEach(x => x.open = true); {script}; null")
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return json.dumps([(one["id"], one["nodes"][0]["html"][:200]) for one in grave]) if grave else ""
