"""Draw ``report-desktop.png`` and ``report-phone.png``: ``.venv/bin/python docs/pictures/report.py``.

A made-up sweep with the numbers of the tests, in Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from report_helpers import NOW, many_runs, sweep_config  # noqa: E402

from lightsweep.controller import SweepState  # noqa: E402
from lightsweep.report import page, report_data  # noqa: E402

RUNS = 120
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]


def main() -> None:
    """Write the page to a temporary file and take pictures of it."""
    config = sweep_config()
    data = report_data(config, many_runs(config, RUNS), now=NOW)
    assert data.best is not None
    arguments = " ".join(f"--{name}={value}" for name, value in data.best.values.items())
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        path = Path(made) / "report.html"
        state = SweepState("finished", f"run_cap {RUNS}")
        path.write_text(page("k3v9x2ab", state, replace(data, arguments=arguments)), "utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name, width, height, scheme in (("desktop", 1280, 1400, "light"), ("phone", 390, 1500, "dark")):
            settings = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            shown = browser.new_context(**settings).new_page()
            shown.goto(path.as_uri())
            shown.wait_for_selector("#figure-parallel .axes button")
            shown.wait_for_function("[...waiting.keys()].every(each => each.getBoundingClientRect().top > innerHeight)")
            shown.wait_for_timeout(1500)  # until every line is drawn
            shown.screenshot(path=HERE / f"report-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
