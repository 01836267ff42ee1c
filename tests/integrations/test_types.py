"""Users' code against the integrations passes strict mypy, and their mistakes do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api
from typed import installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SNIPPETS = Path(__file__).parent / "snippets"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def found() -> list[str]:
    """What strict mypy finds in all snippets at once, with the package as it is installed.

    The config and the cache are those of ``make lint``: without its cache mypy first reads torch, lightning and
    transformers, which takes minutes.
    """
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    with installed() as directory, pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MYPYPATH", str(directory))
        said, problems, _ = api.run([*options, "--no-error-summary", *map(str, sorted(SNIPPETS.glob("*.py")))])
    assert problems == ""
    return said.splitlines()


def test_what_users_write_passes_strict_mypy(found: list[str]) -> None:
    assert {path.stem for path in SNIPPETS.glob("*.py")} == {
        "mistakes",
        "plain_loops",
        "with_lightning",
        "with_transformers",
    }
    assert [line for line in found if "mistakes.py:" not in line] == []


def test_mistakes_are_found(found: list[str]) -> None:
    lines = (SNIPPETS / "mistakes.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    assert marked
    assert {int(each) for each in re.findall(r"mistakes\.py:(\d+): error", "\n".join(found))} == marked
