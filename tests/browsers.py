"""Chromium for tests of pages, driven by Playwright, and a visit that keeps everything that goes wrong on a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

__all__ = ["Visit", "chromium"]

# A browser without a graphics card draws WebGL by SwiftShader; as root it runs without its sandbox.
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    path = shutil.which("chromium")
    assert path is not None, "pages are tested in chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


class Visit:
    """A page as a visitor sees it, with everything that goes wrong on it."""

    def __init__(self, browser: Browser, url: str, **settings: Any) -> None:
        self.troubles: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        self.context.set_default_timeout(60_000)  # a machine may be busy
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.begin()
        self.page.goto(url)

    def begin(self) -> None:
        """Prepare the context before the page is loaded."""

    def focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.textContent || document.activeElement.tagName"))

    def close(self, expected: str | None = None) -> None:
        """Nothing went wrong but what has these words; some of it is told late."""
        self.context.close()
        assert [trouble for trouble in self.troubles if expected is None or expected not in trouble] == []
