"""Live pages, details of runs and comparisons in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import Visit, chromium
from playwright.sync_api import Browser, Page
from report_helpers import EVIL, NOW, LiveSweep, many_runs, sweep_config

from lightsweep.controller import RunState, SweepState
from lightsweep.report import LivePage, PageServer, all_details, page, report_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


class Served(LiveSweep):
    """A sweep of which two runs are running, and the server of its page."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.runs = [self.worker.claim() for _ in range(3)]
        for run, values in zip(self.runs, ([1.0, 0.5], [0.9, 0.4], [2.0]), strict=True):
            self.worker.log(run, *values)
            self.write(run.id, "begin\n")
        self.worker.end(self.runs[2], RunState.PRUNED, EVIL)
        self.server = PageServer(LivePage(self.watched(), self.home), "127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def write(self, run: str, text: str) -> None:
        (self.home / run).mkdir(parents=True, exist_ok=True)
        with (self.home / run / "output.log").open("a") as file:
            file.write(text)

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    with made.worker:
        yield made
    made.stop()
    made.close()


def test_a_running_sweep_is_followed_without_a_reload(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.server.url)
    shown = visit.page
    assert shown.locator("#live .sign").inner_text() == "live"
    shown.evaluate("window.marker = 'the same page'")
    shown.locator("#figure-history .main-svg").first.wait_for(state="attached")

    # The reader filters, sorts, ticks, zooms, opens a list, and has the focus on a run.
    shown.locator("#filter").fill("running")
    shown.locator("#runs").get_by_role("button", name="learning_rate").click()
    shown.locator('#runs input[aria-label="Compare run 0001"]').check()
    shown.evaluate("Plotly.relayout('figure-history', {'xaxis.range': [0, 1.5]})")
    shown.locator('tr[data-run="0002"] button.opener').focus()
    place = shown.evaluate("window.scrollY")

    served.worker.log(served.runs[0], 0.125)
    new = served.worker.claim()
    served.worker.log(new, 0.75)
    shown.locator('#runs tr[data-run="0004"]').wait_for()
    shown.wait_for_function(
        "document.querySelector('#tiles .value').textContent === '0.125' || table.bestId === '0003'"
    )
    assert shown.locator('tr[data-run="0001"] td').nth(1).inner_text() == "0.125"
    assert shown.evaluate("window.marker") == "the same page"
    assert shown.locator("#filter").input_value() == "running"
    assert shown.locator('#runs tr[data-run="0003"]').count() == 0
    assert shown.locator("th[aria-sort]").inner_text().startswith("learning_rate")
    assert shown.locator('#runs input[aria-label="Compare run 0001"]').is_checked()
    assert visit.focused() == "0002"
    assert shown.evaluate("window.scrollY") == place
    shown.locator("#figure-history").scroll_into_view_if_needed()
    shown.wait_for_function(
        "document.querySelector('#figure-history').data.some(t => (t.customdata || []).flat().includes('0004'))"
    )
    assert shown.evaluate("document.querySelector('#figure-history').layout.xaxis.range") == [0, 1.5]
    assert shown.locator("img").count() == 0

    # A run that ends, and a second browser.
    served.worker.end(new)
    shown.locator("#filter").fill("")
    shown.locator('tr[data-run="0004"] .state', has_text="finished").wait_for()
    other = Visit(browser, served.server.url)
    assert other.page.locator("#count").inner_text() == "4 runs"
    other.close()

    # The server goes.
    assert visit.troubles == []
    served.stop()
    shown.locator("#live.gone", has_text="the server is gone").wait_for()
    assert "ago" in shown.locator("#live .age").inner_text()
    visit.close("ERR_CONNECTION")


def test_a_hidden_page_and_a_hand_that_drags_are_left_alone(browser: Browser, served: Served) -> None:
    visit = Visit(browser, served.server.url)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.page.mouse.move(10, 10)
    visit.page.mouse.down()
    served.worker.log(served.worker.claim(), 0.75)
    visit.page.wait_for_timeout(5_000)
    assert visit.page.locator("#runs tbody tr").count() == 3
    visit.page.mouse.up()
    visit.page.locator('#runs tr[data-run="0004"]').wait_for()
    visit.page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    visit.page.wait_for_timeout(2_500)
    asked.clear()
    visit.page.wait_for_timeout(3_000)
    assert asked == []
    visit.close()


def hard_to_use(shown: Page) -> list[str]:
    """What axe-core finds, of any severity, in what is on top of the page."""
    return [found["id"] for found in Axe().run(shown, "dialog[open]").response["violations"]]


def written(directory: Path) -> Path:
    config = sweep_config()
    runs = [replace(run, unread=("model.width",)) for run in many_runs(config, 40)]
    data = report_data(config, runs, now=NOW)
    for run in runs[:3]:
        (directory / run.id).mkdir()
        (directory / run.id / "output.log").write_text("the end\n")
    path = directory / "report.html"
    details = all_details("k3v9x2ab", data, directory)
    path.write_text(page("k3v9x2ab", SweepState("finished"), data, details=details), "utf-8")
    return path


def test_a_page_without_a_server_has_details_and_comparisons(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, written(tmp_path).as_uri())
    shown, dialog = visit.page, visit.page.locator("#details")
    assert shown.locator("#live").is_hidden()

    # A click on a point.
    shown.locator("#figure-history").scroll_into_view_if_needed()
    shown.locator("#figure-history .points path").first.wait_for(state="attached")
    shown.evaluate("find('0002')")
    dialog.get_by_text("reason").wait_for()
    assert dialog.locator("h2").inner_text() == "Run 0002"
    assert dialog.locator("pre.log").inner_text() == "the end"
    assert dialog.get_by_text("(never read by the script)").count() == 1
    assert hard_to_use(shown) == []
    shown.keyboard.press("Escape")
    shown.evaluate("find('0030')")
    dialog.get_by_text("lightsweep logs k3v9x2ab 0030").wait_for()
    shown.keyboard.press("Escape")

    # Two runs are ticked by the keyboard.
    button = shown.locator("#compare")
    assert button.is_disabled()
    for run in ("0001", "0002"):
        shown.locator(f'#runs input[aria-label="Compare run {run}"]').focus()
        shown.keyboard.press("Space")
    assert button.inner_text() == "Compare 2 runs"
    button.focus()
    shown.keyboard.press("Enter")
    compared = shown.locator("#comparison")
    compared.get_by_text("Parameters that differ").wait_for()
    assert compared.locator("thead").first.inner_text().split() == ["parameter", "0001", "0002"]
    assert compared.get_by_role("region", name="Parameters that differ").locator("tr.differs").count() >= 3
    assert hard_to_use(shown) == []
    traces = shown.evaluate("document.querySelector('#figure-comparison-curves').data.map(t => [t.name, t.y.length])")
    assert [name for name, _ in traces] == ["run 0001", "run 0002"]
    assert all(length in (1, 3, 9, 27) for _, length in traces)
    shown.keyboard.press("Escape")
    compared.wait_for(state="hidden")
    assert visit.focused() == "Compare 2 runs"

    # The ticks stay while the table is filtered and sorted.
    shown.locator("#filter").fill("adamw")
    shown.locator("#filter").fill("")
    assert shown.locator("#runs tbody input:checked").count() == 2
    visit.close()
