"""The page in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import browsers
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import chromium
from playwright.sync_api import Browser, Page, Route
from report_helpers import EVIL, NOW, many_runs, sweep_config

from lightsweep.controller import SweepRun, SweepState
from lightsweep.report import all_details, page, report_data
from lightsweep.schema import SweepConfig

pytestmark = pytest.mark.slow

RUNS = 60
RANGES = "name => document.querySelector('#figure-parallel').parallel.axes.find(axis => axis.name === name).ranges"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


class Visit(browsers.Visit):
    """A page that is a file and asks nothing of another machine."""

    def __init__(self, browser: Browser, path: Path, **settings: Any) -> None:
        self.requests: list[str] = []
        super().__init__(browser, path.as_uri(), **settings)

    def begin(self) -> None:
        self.context.route("**/*", self._route)

    def _route(self, route: Route) -> None:
        self.requests.append(route.request.url)
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            route.abort()

    def draw_all(self) -> None:
        """Bring every figure near the window."""
        figures = self.page.locator("[id^=figure-]")
        for place in range(figures.count()):
            figures.nth(place).scroll_into_view_if_needed()
            figures.nth(place).locator(".main-svg, .axes").first.wait_for(state="attached")

    def axis(self, name: str) -> tuple[float, float, float]:
        """The place of an axis of the parallel coordinates across, its top, and its length."""
        self.page.locator("#figure-parallel").scroll_into_view_if_needed()
        self.page.locator("#figure-parallel .hit").first.wait_for(state="attached")
        names = self.page.locator("#figure-parallel .axes button").evaluate_all("all => all.map(e => e.dataset.axis)")
        box = self.page.locator("#figure-parallel .hit").nth(names.index(name)).bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + 10, box["height"] - 20

    def brush(self, name: str, first: float, last: float) -> None:
        """Drag along an axis of the parallel coordinates, between two shares of its length from the top."""
        x, top, length = self.axis(name)
        self.page.mouse.move(x, top + first * length)
        self.page.mouse.down()
        for share in (first + (last - first) / 2, last):
            self.page.mouse.move(x, top + share * length, steps=3)
        self.page.mouse.up()

    def settle(self) -> None:
        """Wait until the table and the figures have followed the last choice, bringing each figure near the window."""
        self.page.wait_for_function("settling === null")
        self.draw_all()
        self.page.wait_for_function("waiting.size === 0")

    def column(self, place: int) -> list[str]:
        """The shown cells of a column of the table."""
        return self.page.locator(f"#runs tbody tr > :nth-child({place + 1})").all_inner_texts()

    def close(self) -> None:
        """Nothing went wrong, and nothing was asked of another machine."""
        super().close()
        assert len(self.requests) == 1
        assert self.requests[0].startswith("file:")


@pytest.fixture(scope="module")
def sweep() -> tuple[SweepConfig, list[SweepRun]]:
    config = sweep_config()
    return config, many_runs(config, RUNS)


@pytest.fixture(scope="module")
def written(sweep: tuple[SweepConfig, list[SweepRun]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page("k3v9x2ab", SweepState("finished", f"run_cap {RUNS}"), report_data(*sweep, now=NOW)), "utf-8")
    return path


def test_figures_brushes_sorting_and_filter(
    browser: Browser, written: Path, sweep: tuple[SweepConfig, list[SweepRun]]
) -> None:
    _, runs = sweep
    visit = Visit(browser, written)
    visit.draw_all()
    names = {"importance", "history", "curves", "timeline", *(f"slice-0{n}" for n in range(1, 6))}
    drawn = visit.page.locator(".js-plotly-plot")
    assert {drawn.nth(place).get_attribute("id") for place in range(drawn.count())} == {f"figure-{n}" for n in names}
    assert visit.page.locator("#figure-parallel canvas").count() == 3

    # The table begins with the best run, and sorts by any column, in both directions.
    best = [run.id for run in sorted(runs, key=lambda run: run.best or 9)]
    assert visit.column(0) == best
    visit.page.locator("#runs").get_by_role("button", name="batch_size").click()
    sizes = [int(text) for text in visit.column(4)]
    assert sizes == sorted(sizes)
    visit.page.locator("#runs").get_by_role("button", name="batch_size").click()
    assert [int(text) for text in visit.column(4)] == sorted(sizes, reverse=True)
    assert visit.page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"

    # The filter takes words.
    visit.page.locator("#filter").fill("PRUNED adamw")
    chosen = {run.id for run in runs if run.state == "pruned" and run.values["optimizer"] == "adamw"}
    assert set(visit.column(0)) == chosen
    visit.page.locator("#filter").fill("")

    # A filter that leaves nothing says so, and how to get back.
    visit.page.locator("#filter").fill("adamw nowhere")
    assert visit.page.locator("#runs tbody").inner_text().startswith("No run has “adamw” and “nowhere”.")
    visit.page.locator("#runs tbody").get_by_role("button", name="Show all runs").click()
    assert len(visit.column(0)) == RUNS
    assert visit.page.evaluate("document.activeElement.id") == "filter"

    # A brush over the upper part of the first axis leaves the largest batch size, in the table and in the figures.
    visit.brush("batch_size", 0.2, -0.05)
    large = {run.id for run in runs if run.values["batch_size"] == 128}
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()
    assert set(visit.column(0)) == large
    assert visit.page.locator("#chosen span").inner_text() == f"{len(large)} of {RUNS} runs"
    shown = "name => document.querySelector('#figure-' + name).data.filter(t => t.meta).flatMap(t => t.customdata)"
    assert set(visit.page.evaluate(shown, "history")) == large
    assert set(visit.page.evaluate(shown, "slice-02")) == large
    assert set(visit.page.evaluate(shown, "curves")) <= large

    # On an axis in log scale a brush chooses by value, wherever it ends.
    visit.page.locator("#chosen button").click()
    visit.page.locator("#chosen").wait_for(state="hidden")
    visit.settle()
    visit.brush("learning_rate", 0.75, 0.3)
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()
    ((low, high),) = visit.page.evaluate(RANGES, "learning_rate")
    assert high - low > 0.5
    between = {run.id for run in runs if low - 1e-6 <= math.log10(run.values["learning_rate"]) <= high + 1e-6}
    assert 0 < len(between) < RUNS
    assert set(visit.column(0)) == between
    visit.page.locator("#chosen button").click()
    visit.page.locator("#chosen").wait_for(state="hidden")
    visit.settle()
    visit.brush("batch_size", 0.2, -0.05)
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()

    # A second brush narrows it further, and the button lets go of both.
    visit.brush("optimizer", 0.2, -0.05)
    both = {run.id for run in runs if run.values["batch_size"] == 128 and run.values["optimizer"] == "sgd"}
    visit.page.wait_for_function("count => table.order().length === count", arg=len(both))
    assert set(visit.column(0)) == both
    visit.page.locator("#chosen button").click()
    visit.page.locator("#chosen").wait_for(state="hidden")
    visit.settle()
    assert set(visit.column(0)) == {run.id for run in runs}
    assert len(visit.page.evaluate(shown, "history")) == RUNS

    # The config of the best run can be copied.
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.locator("#copy").click()
    visit.page.get_by_text("Copied").wait_for()
    assert f"batch_size: {min(runs, key=lambda run: run.best or 9).values['batch_size']}" in visit.page.evaluate(
        "navigator.clipboard.readText()"
    )
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, written: Path, scheme: Any) -> None:
    visit = Visit(browser, written, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    visit.draw_all()
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    paper = visit.page.evaluate("document.querySelector('#figure-history')._fullLayout.paper_bgcolor")
    card = visit.page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    rgb = tuple(int(paper[place : place + 2], 16) for place in (1, 3, 5))
    assert card == f"rgb{rgb}"
    assert (sum(rgb) > 600) == (scheme == "light")
    visit.close()


def test_the_page_follows_the_system_from_light_to_dark_and_keeps_its_brush(browser: Browser, written: Path) -> None:
    visit = Visit(browser, written, color_scheme="light")
    visit.brush("batch_size", 0.2, -0.05)
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()
    before = visit.column(0)
    visit.page.emulate_media(color_scheme="dark")
    visit.page.locator("#figure-importance").scroll_into_view_if_needed()
    visit.page.wait_for_function("document.querySelector('#figure-importance')._fullLayout.paper_bgcolor === '#1d2026'")
    assert visit.page.evaluate(RANGES, "batch_size") != []
    assert visit.column(0) == before
    visit.close()


def test_a_click_on_a_point_finds_its_run_and_no_other(
    browser: Browser, written: Path, sweep: tuple[SweepConfig, list[SweepRun]]
) -> None:
    _, runs = sweep
    visit = Visit(browser, written)
    visit.draw_all()
    visit.page.locator("#filter").fill("nothing has this")
    # The best run is a corner of the line of the best so far, which takes neither the pointer nor the click.
    best = min((run for run in runs if run.best is not None), key=lambda run: run.best or 9)
    place = """id => {
        const figure = document.querySelector("#figure-history");
        const trace = figure.data.find(each => each.customdata && each.customdata.includes(id));
        const index = trace.customdata.indexOf(id);
        const { xaxis, yaxis } = figure._fullLayout;
        const box = figure.getBoundingClientRect();
        return [box.x + xaxis._offset + xaxis.d2p(trace.x[index]), box.y + yaxis._offset + yaxis.d2p(trace.y[index])];
    }"""
    visit.page.locator("#figure-history").scroll_into_view_if_needed()
    x, y = visit.page.evaluate(place, best.id)
    visit.page.mouse.move(x, y)
    visit.page.locator("#tip").wait_for()
    said = visit.page.locator("#tip").inner_text()
    assert said.startswith(f"run {best.id}, finished")
    assert f"batch_size\n{best.values['batch_size']}" in said  # its parameters
    visit.page.mouse.click(x, y)
    found = visit.page.locator("#runs tbody tr.found")
    found.wait_for()
    assert found.count() == 1
    assert found.locator("th").inner_text() == best.id
    assert visit.page.locator("#filter").input_value() == ""  # which left the run out
    assert len(visit.column(0)) == RUNS
    inside = "(({top, bottom}) => top >= 0 && bottom <= innerHeight)"
    visit.page.wait_for_function(f"{inside}(document.querySelector('tr.found').getBoundingClientRect())")

    # The details of the run are open; behind them the page is where the run is.
    assert visit.page.locator("#details h2").inner_text() == f"Run {best.id}"
    visit.page.keyboard.press("Escape")

    # A curve below the pointer is lifted above the others.
    visit.page.locator("#figure-curves").scroll_into_view_if_needed()
    place = place.replace("history", "curves").replace("indexOf(id)", "indexOf(id) + 12")
    visit.page.mouse.move(*visit.page.evaluate(place, best.id))
    visit.page.locator("#figure-curves path.lifted.line").wait_for(state="attached")
    assert "\niteration\n13\n" in visit.page.locator("#tip").inner_text()
    visit.page.mouse.move(5, 5)
    visit.page.locator("#figure-curves path.lifted").first.wait_for(state="detached")
    assert not visit.page.locator("#tip").is_visible()
    visit.close()


def test_the_axes_are_brushed_and_moved_by_keyboard(
    browser: Browser, written: Path, sweep: tuple[SweepConfig, list[SweepRun]]
) -> None:
    _, runs = sweep
    visit = Visit(browser, written)
    visit.axis("batch_size")
    names = visit.page.locator("#figure-parallel .axes button")
    batch = visit.page.locator('#figure-parallel [data-axis="batch_size"]')
    assert batch.get_attribute("aria-label") == "batch_size: all values"
    batch.focus()
    for key in ("ArrowUp", "ArrowUp", "Shift+ArrowDown"):
        visit.page.keyboard.press(key)
    assert batch.get_attribute("aria-label") == "batch_size: 64 to 64"
    visit.settle()
    assert set(visit.column(0)) == {run.id for run in runs if run.values["batch_size"] == 64}
    visit.page.keyboard.press("Delete")
    assert batch.get_attribute("aria-label") == "batch_size: all values"
    visit.settle()
    assert len(visit.column(0)) == RUNS
    before = names.evaluate_all("all => all.map(e => e.dataset.axis)")
    visit.page.keyboard.press("Alt+ArrowLeft")
    after = names.evaluate_all("all => all.map(e => e.dataset.axis)")
    assert after.index("batch_size") == before.index("batch_size") - 1
    assert visit.page.evaluate("document.activeElement.dataset.axis") == "batch_size"
    # The text that describes them.
    text = visit.page.locator(f"#{batch.get_attribute('aria-describedby')}").text_content()
    assert text is not None
    assert "arrow keys move the lower end" in text
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_hard_to_use_for_anybody_by_the_rules_of_axe(
    browser: Browser, sweep: tuple[SweepConfig, list[SweepRun]], tmp_path: Path, scheme: Any
) -> None:
    config, runs = sweep
    runs = [replace(run, unread=("model.width",)) for run in runs]
    path = tmp_path / "report.html"
    data = replace(report_data(config, runs, now=NOW), arguments="--batch_size=32")
    details = all_details("k3v9x2ab", data)
    path.write_text(page("k3v9x2ab", SweepState("finished"), data, details=details), "utf-8")
    visit = Visit(browser, path, color_scheme=scheme, bypass_csp=True)
    visit.draw_all()
    for each in visit.page.locator("details > summary").all():
        each.click()
    assert faults(visit.page) == []
    visit.page.locator("#runs .opener").first.click()
    visit.page.locator("#details h3").first.wait_for()
    assert faults(visit.page) == []
    visit.close()


def faults(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary')}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_every_control_is_reached_and_used_by_keyboard(
    browser: Browser, sweep: tuple[SweepConfig, list[SweepRun]], tmp_path: Path
) -> None:
    config, runs = sweep
    path = tmp_path / "report.html"
    data = replace(report_data(config, runs, now=NOW), arguments="--batch_size=32")
    path.write_text(page("k3v9x2ab", SweepState("finished"), data, details=all_details("k3v9x2ab", data)), "utf-8")
    visit = Visit(browser, path)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.draw_all()
    visit.page.evaluate("document.body.focus(); scrollTo(0, 0)")
    name = """() => {
        const it = document.activeElement;
        const text = it.getAttribute("aria-label") || it.textContent.trim();
        return it === document.body ? "" : `${it.tagName.toLowerCase()} ${it.id || text || it.type}`;
    }"""
    reached = []
    while len(reached) < 400:
        visit.page.keyboard.press("Tab")
        now = visit.page.evaluate(name)
        if not now or now in reached[:3]:
            break
        reached.append(now)
    every = visit.page.evaluate(
        "[...document.querySelectorAll('button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(each => each.checkVisibility() && !each.disabled).length"
    )
    assert len(reached) == every

    def focus(what: str) -> None:
        visit.page.locator(what).first.focus()

    focus("#theme")
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit.page.keyboard.press("Enter")
    for button, text in (("#copy-arguments", "--batch_size=32"), ("#copy", "learning_rate: ")):
        focus(button)
        visit.page.keyboard.press("Enter")
        visit.page.locator(button).get_by_text("Copied").wait_for()
        assert text in visit.page.evaluate("navigator.clipboard.readText()")
    focus("#best summary")
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("#yaml").is_visible()
    focus("#figures summary")
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("#parallel-help").is_visible()
    focus("#runs thead button")
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("th[aria-sort]").get_attribute("data-name") == "run"
    focus("#filter")
    visit.page.keyboard.type("pruned")
    assert set(visit.column(1)) == {"pruned"}
    focus("#runs tbody .opener")
    visit.page.keyboard.press("Enter")
    visit.page.locator("#details h2").wait_for()
    visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("document.activeElement.className") == "opener"
    focus("#runs tbody input")
    visit.page.keyboard.press("Space")
    assert visit.page.locator("#runs tbody input:checked").count() == 1
    visit.close()


def test_the_printer_gets_all_of_it(browser: Browser, written: Path) -> None:
    visit = Visit(browser, written, color_scheme="dark")
    visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    width = visit.page.evaluate("document.body.clientWidth")
    assert width == 690
    beyond = """() => [...document.querySelectorAll("[id^=figure-] .main-svg, #figure-parallel svg, table, pre")]
        .map(each => each.getBoundingClientRect().right)
        .filter(right => right > document.body.getBoundingClientRect().right)"""
    assert visit.page.evaluate(beyond) == []
    # Every figure, also those that nobody has scrolled to; lines are no canvas, which printers leave out.
    assert visit.page.locator(".js-plotly-plot").count() == 9
    lines = visit.page.evaluate("document.querySelector('#figure-parallel').parallel.rows.length")
    assert visit.page.locator("#figure-parallel svg path").count() == lines + 1
    paper = "document.querySelector('#figure-history')._fullLayout.paper_bgcolor"
    assert visit.page.evaluate(paper) == "#ffffff"
    assert visit.page.pdf(format="A4").startswith(b"%PDF")
    visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert visit.page.evaluate("document.body.clientWidth") > 1000
    assert visit.page.evaluate(paper) == "#1d2026"
    visit.close()


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    config = sweep_config(
        {EVIL: {"values": [EVIL, "b", None, [EVIL]]}, "x<b>y": {"min": 0.0, "max": 1.0}},
        name=EVIL,
        description=EVIL,
        metric={"name": EVIL},
    )
    runs = [replace(run, agent=EVIL, reason=EVIL, metrics={EVIL + "!": {"last": 1.0}}) for run in many_runs(config, 30)]
    path = tmp_path / "report.html"
    path.write_text(page("k3v9x2ab", SweepState("finished", EVIL), report_data(config, runs, now=NOW)), "utf-8")
    visit = Visit(browser, path)
    visit.draw_all()
    assert visit.page.locator("h1").inner_text() == EVIL
    assert visit.page.locator("img").count() == 0
    assert EVIL in visit.page.locator("#figure-parallel .axes button span").all_inner_texts()
    point = visit.page.locator("#figure-history .points path").first
    point.hover(force=True)
    visit.page.locator("#tip").wait_for()
    assert EVIL in visit.page.locator("#tip").inner_text()
    assert visit.page.locator("img").count() == 0
    visit.close()


def test_thousands_of_runs_open_and_a_long_table_is_shown_in_parts(browser: Browser, tmp_path: Path) -> None:
    config = sweep_config()
    view = report_data(config, many_runs(config, 2500))
    path = tmp_path / "report.html"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lightsweep.report.data.importance_or_reason", lambda *_: "Not asked.")
        path.write_text(page("k3v9x2ab", SweepState("running"), view), "utf-8")
    visit = Visit(browser, path)
    visit.draw_all()
    assert len(visit.column(0)) == 100
    assert visit.page.locator("#count").inner_text() == "2,500 runs, the first 100 shown"
    visit.page.locator("#more").click()
    assert len(visit.column(0)) == 600

    # Of so many lines some are drawn, the best among them; a brush chooses among all runs.
    values = "(({everything, line}) => everything.map(place => line.color[place]))"
    drawn = visit.page.evaluate(f"{values}(document.querySelector('#figure-parallel').parallel)")
    best = sorted(run.best for run in view.runs if run.best is not None)
    assert len(drawn) == 1500
    assert sorted(drawn)[:500] == pytest.approx(best[:500], rel=1e-6)
    assert sorted(drawn)[-1] > best[-20]
    assert visit.page.get_by_text(
        "1,500 of 2,500 lines are drawn, the best 500 and a sample of the others"
    ).is_visible()

    # While an axis is dragged, the lines follow; the table and the figures do once it rests, and only those in sight.
    visit.page.evaluate("scrollTo(0, 0)")
    visit.page.evaluate(
        """() => {
            window.counts = { react: [], choose: 0 };
            const [react, choose] = [Plotly.react, table.choose.bind(table)];
            Plotly.react = (element, ...more) => { counts.react.push(element.id); return react(element, ...more); };
            table.choose = (...all) => { counts.choose += 1; return choose(...all); };
        }"""
    )
    visit.page.evaluate("for (const row of Array(20).keys()) choose(new Set([row]))")
    visit.page.wait_for_function("settling === null")
    counts = visit.page.evaluate("counts")
    assert counts["choose"] == 1
    assert not {name for name in counts["react"] if name.startswith(("figure-slice", "figure-timeline"))}
    visit.settle()
    assert "figure-slice-01" in visit.page.evaluate("counts.react")
    assert len(visit.column(0)) == 1
    visit.brush("batch_size", 0.2, -0.05)
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()
    large = sum(run.values["batch_size"] == 128 for run in view.runs)
    assert visit.page.locator("#chosen span").inner_text() == f"{large:,} of 2,500 runs"
    visit.close()


IDLE = """
const real = window.requestIdleCallback.bind(window);
window.idled = [];
const count = (selector) => document.querySelectorAll(selector).length;
const look = () => idled.push([Boolean(window.Plotly), count(".axes"), count(".js-plotly-plot")]);
window.requestIdleCallback = (act, options) => real(() => { look(); act(); look(); }, options);
"""


def test_media_of_the_best_runs(browser: Browser, tmp_path: Path) -> None:
    import numpy as np

    import lightsweep as wandb
    from lightsweep.report import run_media
    from lightsweep.wandb.files import MediaStore

    config = sweep_config()
    data = report_data(config, many_runs(config, 10), now=NOW)
    assert data.best is not None
    store = MediaStore(tmp_path / data.best.id)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    table = wandb.Table(columns=["a", EVIL], data=[[number, EVIL] for number in range(30)])
    store.keep(EVIL, [wandb.Image(pixels, caption=EVIL)] * 10, 3)
    store.keep("film", [wandb.Video(np.zeros((2, 3, 8, 8), dtype=np.uint8))], 3)
    store.keep("table", [table], 3)
    store.keep("bars", [wandb.plot.bar(table, EVIL, "a", title=EVIL)], 3)
    store.keep("matrix", [wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 0], class_names=["1", EVIL])], 3)
    store.keep("page", [wandb.Html(EVIL)], 3)
    path = tmp_path / "report.html"
    path.write_text(page("k3v9x2ab", SweepState("finished"), data, run_media(tmp_path, data)))
    visit = Visit(browser, path)
    section = visit.page.locator("#media")
    assert section.locator("summary").all_inner_texts() == [f"run {data.best.id}"]
    assert section.locator("h3").all_inner_texts()[1:] == ["film", "table", "bars", "matrix", "page"]
    assert section.locator("img").count() == 9
    section.locator("img").first.scroll_into_view_if_needed()
    visit.page.wait_for_function("document.querySelector('#media img').naturalWidth === 8")
    assert section.locator("figcaption").first.inner_text() == EVIL
    assert section.locator("tbody tr").count() == 20
    assert "the first 20 of 30 rows" in section.inner_text()
    assert "and 2 more" in section.inner_text()
    assert "media/page/3_0.html" in section.inner_text()
    for figure in section.locator("[id^=figure-media]").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for(state="attached")
    assert section.locator("[id^=figure-media]").count() == 2
    visit.close()


def test_any_logged_number_is_chosen_for_the_curves(browser: Browser, tmp_path: Path) -> None:
    import json

    from lightsweep.report import logged_curves, run_parts

    config = sweep_config()
    data = report_data(config, many_runs(config, 12), now=NOW)
    for run in data.runs:
        folder = tmp_path / run.id
        (folder / "parts").mkdir(parents=True)
        steps = [{"train_loss": value + 1, "val_loss": value, EVIL: value} for value in run.history]
        lines = [json.dumps({**step, "_step": 10 * place, "_timestamp": 1}) for place, step in enumerate(steps)]
        (folder / "history.jsonl").write_text("\n".join(lines))
        (folder / "parts" / "1.jsonl").write_text(json.dumps({"part": 1, "name": EVIL, "started": 1}))
    path = tmp_path / "report.html"
    logged, parts = logged_curves(data, tmp_path), run_parts(data, tmp_path)
    path.write_text(page("k3v9x2ab", SweepState("finished"), data, logged=logged, parts=parts), "utf-8")
    visit = Visit(browser, path)
    visit.draw_all()
    card = visit.page.locator('[data-figure="curves"]')
    number, beside = card.get_by_label("Number of the learning curves"), card.get_by_label("Number beside it, dotted")
    assert number.locator("option").all_inner_texts()[0] == "val_loss, by iteration"
    assert beside.is_disabled()
    titles = "['x', 'y'].map(a => document.querySelector('#figure-curves').layout[a + 'axis'].title.text)"
    assert visit.page.evaluate(titles)[0] == "iteration"

    # By the keyboard: the next number is the metric over the steps, with that of training beside it.
    number.focus()
    visit.page.keyboard.press("ArrowDown")
    visit.page.wait_for_function("document.querySelector('#figure-curves').layout.xaxis.title.text === 'step'")
    assert visit.page.evaluate(titles) == ["step", "val_loss; dotted: train_loss"]
    assert beside.is_enabled()
    traces = visit.page.evaluate(
        "document.querySelector('#figure-curves').data.map(t => [t.name, t.line.dash, Math.max(...t.x)])"
    )
    assert ["best run", "solid", 260] in traces
    assert ["train_loss, best run", "dot", 260] in traces
    assert len(traces) == 2 * len({run.state for run in data.runs} | {"best run"})

    # Without the other one, and back again.
    beside.select_option(label="nothing")
    visit.page.wait_for_function("document.querySelector('#figure-curves').data.every(t => t.line.dash === 'solid')")
    number.select_option(index=2)
    visit.page.wait_for_function("document.querySelector('#figure-curves').layout.yaxis.title.text.includes('onerror')")
    assert visit.page.locator("#figure-curves img").count() == 0
    number.select_option(index=0)
    visit.page.wait_for_function("document.querySelector('#figure-curves').layout.xaxis.title.text === 'iteration'")

    # A brush narrows these curves too.
    number.select_option(index=1)
    visit.page.wait_for_function("document.querySelector('#figure-curves').layout.xaxis.title.text === 'step'")
    visit.brush("batch_size", 0.2, -0.05)
    visit.page.locator("#chosen").wait_for(state="visible")
    visit.settle()
    large = {run.id for run in data.runs if run.values["batch_size"] == 128}
    shown = "document.querySelector('#figure-curves').data.flatMap(t => t.customdata)"
    assert set(visit.page.evaluate(shown)) == large

    section = visit.page.locator("#parts")
    assert section.locator("tbody tr").count() == 12
    assert section.locator("td").nth(1).inner_text() == EVIL
    visit.close()
