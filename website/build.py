"""Build the site: ``python website/build.py``, or ``make site``.

The pages are the Markdown files of the repository, at their places in it, so that their links work in both. The pages
of reference (`reference.py`) and the gallery of reports (`gallery.py`) are added. Every link of the result is followed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

BUILD = ROOT / "build" / "website"
SOURCE = BUILD / "pages"
SITE = BUILD / "site"
PAGES = ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "examples/**/*.md", "website/*.md")
FILES = ("docs/pictures/*", "docs/pictures/**/*", "website/*.css", "examples/**/*.ipynb")

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]+)?\)")
_FOREIGN = re.compile(r'<script src="https?://[^"]*"[^>]*></script>')


def main() -> None:
    """Write the site to `SITE`; exit with 1 and a line for each broken link."""
    shutil.rmtree(BUILD, ignore_errors=True)
    copy_pages()
    write_made_pages("--no-gallery" not in sys.argv)
    shutil.copy(HERE / "mkdocs.yml", BUILD)  # its folders must be beside it
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=BUILD)
    if done.returncode:
        sys.exit("the site was not built: see the warnings above")
    shutil.copytree(HERE / "offline", SITE / "offline")
    for page in SITE.rglob("*.html"):
        if SITE / "gallery" not in page.parents or page.name == "index.html":
            page.write_text(_own_scripts_only(page), encoding="utf-8")
    broken = [*broken_links(SITE)]
    if broken:
        sys.exit("\n".join(broken))
    print(f"{sum(1 for _ in SITE.rglob('*.html'))} pages in {SITE.relative_to(ROOT)}; open {SITE / 'index.html'}")


def copy_pages() -> None:
    """Copy the pages and pictures of the repository to `SOURCE`."""
    for pattern in FILES:
        for path in ROOT.glob(pattern):
            if path.is_file():
                _write(path.relative_to(ROOT), path.read_bytes())
    shutil.move(SOURCE / "website" / "website.css", SOURCE / "website.css")
    for pattern in PAGES:
        for path in ROOT.glob(pattern):
            text = path.read_text(encoding="utf-8")
            _write(path.relative_to(ROOT), without_links_to_code(text, path).encode())


def without_links_to_code(text: str, page: Path) -> str:
    """Return a page whose links lead to pages: one to a file of code becomes its text, one to a folder its README."""

    def changed(link: re.Match[str]) -> str:
        mark, shown, target, anchor = link[1], link[2], link[3], link[4] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = (page.parent / target).resolve()
        if path.is_dir() and (path / "README.md").exists():
            return f"{mark}[{shown}]({target.rstrip('/')}/README.md{anchor})"
        if path.suffix in (".md", ".png", ".svg", ".ipynb") or not path.exists():
            return link[0]  # a link into nowhere is reported by the build
        return shown

    return _LINK.sub(changed, text)


def write_made_pages(with_gallery: bool) -> None:
    """Write the pages that are made, and the pictures of the benchmarks."""
    from charts import with_charts
    from gallery import write_gallery
    from reference import commands_page, glossary_page, python_page, wandb_page

    _write(Path("reference/commands.md"), commands_page().encode())
    _write(Path("reference/python.md"), python_page().encode())
    _write(Path("reference/glossary.md"), glossary_page().encode())
    _write(Path("reference/wandb.md"), wandb_page().encode())
    benchmarks = SOURCE / "benchmarks" / "README.md"
    benchmarks.write_text(with_charts(benchmarks.read_text(encoding="utf-8"), benchmarks.parent), encoding="utf-8")
    write_gallery(SOURCE / "gallery", reports=with_gallery)


def _write(name: Path, content: bytes) -> None:
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _own_scripts_only(page: Path) -> str:
    """Return a page without scripts from elsewhere; our own makes the search work from a disk."""
    depth = len(page.relative_to(SITE).parents) - 1
    own = f'<script src="{"../" * depth}offline/workers.js"></script>'
    return _FOREIGN.sub(own, page.read_text(encoding="utf-8"))


class _Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag in ("a", "link") and given.get("href"):
            self.links.append(str(given["href"]))
        if given.get("src"):
            self.links.append(str(given["src"]))
        if tag in ("script", "img", "iframe") or (tag == "link" and given.get("rel") != "canonical"):
            self.loaded.append(str(given.get("src") or given.get("href") or ""))


def broken_links(site: Path) -> Iterator[str]:
    """Yield a line for each link of a page that leads nowhere, and for each file that it loads from elsewhere."""
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of the server
            continue
        yield from (f"{path.relative_to(site)} loads {found}" for found in page.loaded if "://" in found)
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{path.relative_to(site)} links to {link}"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(site)} links to {link}, which has no such anchor"


if __name__ == "__main__":
    main()
