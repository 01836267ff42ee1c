"""The report's page of many runs in a browser: how long it takes to open, and how long a brush keeps it busy.

Debian's chromium by Playwright. CPU is that of the page's main thread, from the browser's own trace, so that other work
on the machine does not count; it does in wall. A page answers while no task is long, so the longest is shown, too.
WebGL is drawn by software here.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

from benchmarks.sizes import Scale
from benchmarks.tables import Table
from lightsweep.controller import SweepRun, SweepState
from lightsweep.report import page, report_data
from lightsweep.schema import SweepConfig

__all__ = ["tables"]

_RUNS = 5_000
_MOST_LOAD = 3_000.0
_MOST_TASK = 200.0
_MOVES = 30
_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]
_CATEGORIES = ["toplevel", "devtools.timeline", "blink.user_timing"]
# The page itself tells when, since a question of Playwright's would wait for the figures after the first.
_MARK = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#figure-parallel .axes button")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => performance.mark("first-figure")));
}).observe(document, { childList: true, subtree: true });
"""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table: opening, scrolling through all figures, and brushing."""
    runs = min(_RUNS, scale.runs[-1])
    path = directory / "report.html"
    path.write_text(_page(runs), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        shown = browser.new_page(viewport={"width": 1440, "height": 900})
        shown.add_init_script(_MARK)
        first, near = _opened(shown, path)
        rows = [
            _row("open, to the first figure", first, load=True),
            _row("and the figures near the window", near, load=True),
            _row("scroll through all figures", _traced(shown, lambda: _scroll(shown))),
            _row(f"brush an axis, {_MOVES} moves", _traced(shown, lambda: _brush(shown))),
            _row("let go of it, beside other figures", _traced(shown, lambda: _clear(shown))),
        ]
        browser.close()
    size = path.stat().st_size / 1e6
    header = ["", "wall", "CPU", "longest task, CPU", "bound", ""]
    yield Table(f"A page of {runs:,} runs, {size:.1f} MB", header, rows)


def _page(count: int) -> str:
    config = SweepConfig.load(
        {
            "program": "train.py",
            "method": "random",
            "metric": {"name": "loss"},
            "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2},
            "parameters": {
                "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
                "optimizer": {"values": ["adam", "adamw", "sgd"]},
                **{f"p{place}": {"min": 0.0, "max": 1.0} for place in range(4)},
            },
        }
    )
    chance = random.Random(0)
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    runs = []
    for number in range(count):
        values = config.space.at([chance.random() for _ in config.space.searched])
        length = chance.choice((3, 3, 9, 27))
        history = [2 / (step + 1) + abs(values["p0"] - 0.3) + 0.05 * chance.random() for step in range(length)]
        started = begin + timedelta(minutes=number // 8)
        runs.append(
            SweepRun(
                f"{number + 1:05d}",
                "finished" if length == 27 else "pruned",
                config.space.nest(values),
                values,
                best=min(history),
                last=history[-1],
                history=tuple(history),
                iterations=length,
                agent=f"node{number % 8}:17:ab",
                started=started,
                ended=started + timedelta(seconds=length),
            )
        )
    return page("benchmrk", SweepState("finished"), report_data(config, runs))


def _opened(shown: Page, path: Path) -> tuple[_Traced, _Traced]:
    """Open the page, to the frame that shows the first figure, and until all figures near the window are drawn."""

    def act() -> None:
        shown.goto(path.as_uri(), wait_until="commit")
        shown.wait_for_function("document.readyState === 'complete' && window.Plotly && !near.length", timeout=60_000)

    wall, tasks, until_mark = _traced(shown, act)
    first = shown.evaluate("performance.getEntriesByName('first-figure')[0].startTime")
    return _Traced(first, until_mark, []), _Traced(wall, tasks, [])


def _scroll(shown: Page) -> None:
    for figure in shown.locator("[id^=figure-]").all():
        figure.scroll_into_view_if_needed()
        shown.wait_for_timeout(300)
    shown.wait_for_function("waiting.size === 0")


def _brush(shown: Page) -> None:
    shown.locator("#figure-parallel").scroll_into_view_if_needed()
    box = shown.locator("#figure-parallel .hit").first.bounding_box()
    assert box is not None
    x = box["x"] + box["width"] / 2
    shown.mouse.move(x, box["y"] + 30)
    shown.mouse.down()
    for place in range(_MOVES):
        shown.mouse.move(x, box["y"] + 30 + 8 * place)
    shown.mouse.up()
    shown.wait_for_timeout(1500)


def _clear(shown: Page) -> None:
    shown.locator("#figure-history").scroll_into_view_if_needed()
    shown.click("#chosen button")
    shown.wait_for_timeout(1500)


class _Traced(NamedTuple):
    """The wall time of an act and the CPU time of each task of the page's main thread, all in milliseconds."""

    wall: float
    tasks: list[float]
    until_mark: list[float]


def _traced(shown: Page, act: Callable[[], None]) -> _Traced:
    session = shown.context.new_cdp_session(shown)
    events: list[dict[str, Any]] = []
    ended: list[Any] = []
    session.on("Tracing.dataCollected", lambda message: events.extend(message["value"]))
    session.on("Tracing.tracingComplete", lambda message: ended.append(message))
    settings = {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": _CATEGORIES}}
    session.send("Tracing.start", settings)
    begin = time.perf_counter()
    act()
    wall = 1000 * (time.perf_counter() - begin)
    session.send("Tracing.end")
    while not ended:
        shown.wait_for_timeout(50)
    session.detach()
    named = [event for event in events if event["name"] == "thread_name"]
    main = {(each["pid"], each["tid"]) for each in named if each["args"]["name"] == "CrRendererMain"}
    tasks = [event for event in events if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in main]
    # Two names of the trace are of the same task.
    tasks = [event for event in tasks if event["name"] == tasks[0]["name"]]
    mark = min((event["ts"] for event in events if event["name"] == "first-figure"), default=0)
    until_mark = [event for event in tasks if event["ts"] < mark]
    return _Traced(wall, *([event.get("tdur", 0) / 1000 for event in each] for each in (tasks, until_mark)))


def _row(what: str, traced: _Traced, load: bool = False) -> list[str]:
    wall, tasks, _ = traced
    most, bound = (sum(tasks), _MOST_LOAD) if load else (max(tasks), _MOST_TASK)
    said = f"{'CPU' if load else 'task'} <= {bound:,.0f} ms"
    numbers = [f"{wall:,.0f} ms", f"{sum(tasks):,.0f} ms", f"{max(tasks):,.0f} ms"]
    return [what, *numbers, said, "ok" if most <= bound else "over"]
