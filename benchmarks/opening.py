"""``python -m benchmarks.opening FILE``: the time until a report can be read in Chromium.

``ready`` is the end of the browser's reading and of the page's scripts, ``drawn`` the moment when the first figure and
the table of runs are on the page. ``busy`` is the processor time of the page's main thread until then, ``all`` that of
all processes of the browser, which may already draw the next figures.

The page itself is drawn without a graphics card here, as in a browser on a machine that has none; only WebGL is by
SwiftShader. With ``--use-angle=swiftshader`` everything would be, which takes several times as long.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

__all__ = ["main"]

_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
_TIMES = 3
# A figure is drawn by plotly, or on a canvas of the page's own.
_DRAWN = "document.querySelector('#figures svg, #figures canvas') && document.querySelector('#runs tbody tr')"


def main() -> None:
    """Open the page several times and print each time in seconds."""
    page_file = Path(sys.argv[1]).absolute()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGUMENTS)
        for _ in range(_TIMES):
            before = _processor_seconds()
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(page_file.as_uri(), wait_until="commit", timeout=300_000)
            # In the page, since a question of its own would wait for the next figure.
            drawn = page.wait_for_function(f"{_DRAWN} && performance.now()", timeout=300_000).json_value() / 1000
            metrics = session.send("Performance.getMetrics")["metrics"]
            ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") / 1000
            spent = _processor_seconds() - before
            busy = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
            print(f"ready {ready:.2f} s, drawn {drawn:.2f} s; processor time: busy {busy:.2f} s, all {spent:.2f} s")
            page.close()
        browser.close()


def _processor_seconds() -> float:
    """Return the processor time of the browser, which tells more than the clock on a machine that does other work."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += sum(process.cpu_times()[:2])
    return found


if __name__ == "__main__":
    main()
