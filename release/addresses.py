"""Put the addresses in their places, once they are known.

Usage: ``python release/addresses.py REPOSITORY SITE``, two URLs that begin with https. No address is invented: each
place has ``@REPOSITORY@`` or ``@SITE@``. In files that a program reads, such a line is a comment that begins with
``# address:`` and becomes a line of the file. ``docs/release.md`` names the step.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["PLACES", "filled"]

ROOT = Path(__file__).resolve().parent.parent
PLACES = [
    "pyproject.toml",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "website/mkdocs.yml",
    ".github/ISSUE_TEMPLATE/config.yml",
]
"""Every file with a place for an address."""


def filled(text: str, repository: str, site: str) -> str:
    """Return the text of a file with the addresses in their places."""
    text = re.sub(r"^# address: ", "", text, flags=re.MULTILINE)
    return text.replace("@REPOSITORY@", repository).replace("@SITE@", site)


def absolute_links(readme: str, repository: str) -> str:
    """Return a README whose relative links lead to the repository, since PyPI shows it without the files beside it."""
    links = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")
    readme = re.sub(r"!\[([^\]]*)\]\((?!https?://)([^)\s]+)\)", rf"![\1]({repository}/raw/main/\2)", readme)
    return links.sub(rf"]({repository}/blob/main/\1)", readme)


def main() -> None:
    """Change the files of `PLACES`; with ``--readme`` in front, make the links of README.md absolute instead."""
    arguments = sys.argv[1:]
    readme = arguments[:1] == ["--readme"]
    urls = arguments[1:] if readme else arguments
    if len(urls) != 2 - readme or not all(url.startswith("https://") for url in urls):
        sys.exit(__doc__)
    urls = [url.rstrip("/") for url in urls]
    for name in ["README.md"] if readme else PLACES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        path.write_text(absolute_links(text, urls[0]) if readme else filled(text, *urls), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
