"""``python -m benchmarks.opening FILE``: the time until a report can be read in Chromium.

``ready`` is the end of the browser's reading and of the page's scripts, ``drawn`` the moment when the first figure and
the table of runs are on the page.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

__all__ = ["main"]

_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]
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
            page.goto(page_file.as_uri(), wait_until="commit", timeout=300_000)
            page.wait_for_function(_DRAWN, timeout=300_000)
            drawn = page.evaluate("performance.now()") / 1000
            ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") / 1000
            spent = _processor_seconds() - before
            print(f"ready {ready:.2f} s, drawn {drawn:.2f} s; processor time {spent:.2f} s", flush=True)
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
