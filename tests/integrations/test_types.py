"""Users' code against the integrations passes strict mypy, and their mistakes do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api
from typed import installed

# Without a cache mypy reads the stubs of torch, lightning and transformers first; both tests use one cache.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("mypy")]

SNIPPETS = Path(__file__).parent / "snippets"
ROOT = Path(__file__).parent.parent.parent


def mypy(monkeypatch: pytest.MonkeyPatch, *files: Path) -> str:
    """Return the findings of strict mypy, with the package as it is installed."""
    options = [
        "--strict",
        "--config-file=",
        "--no-error-summary",
        "--cache-dir",
        str(ROOT / ".mypy_cache" / "snippets"),
    ]
    with installed() as directory:
        monkeypatch.chdir(directory)
        monkeypatch.setenv("MYPYPATH", str(directory))
        found, problems, _ = api.run([*options, "--follow-imports=silent", *map(str, files)])
    assert problems == ""
    return found


def test_what_users_write_passes_strict_mypy(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [SNIPPETS / f"{name}.py" for name in ("with_lightning", "with_transformers", "plain_loops")]
    assert mypy(monkeypatch, *files) == ""


def test_mistakes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    file = SNIPPETS / "mistakes.py"
    marked = {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# mistake")}
    found = {int(number) for number in re.findall(r"mistakes\.py:(\d+): error", mypy(monkeypatch, file))}
    assert found == marked
