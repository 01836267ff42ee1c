"""The pictures of benchmarks/search/README.md show its tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def website(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "website"), *sys.path])


def test_the_pictures_are_those_of_the_tables() -> None:
    from search_pictures import pictures

    page = (ROOT / "benchmarks" / "search" / "README.md").read_text(encoding="utf-8")
    made = pictures(page)
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "pictures").glob("search-*.svg")}
    assert made == kept, "run `python website/search_pictures.py`"
    assert all(f"](../../docs/pictures/{name})" in page for name in made)


def test_a_curve_has_the_figures_of_its_row() -> None:
    from search_pictures import panels, regret

    found = regret([["", "after 5", "after 50"], ["smac", "0.5 ± 0.1", "0.25 ± 0.05"]])
    assert found == {"smac": {5: (0.5, 0.1), 50: (0.25, 0.05)}}
    assert ">smac</text>" in panels({"alone": found})


def test_a_bar_is_a_multiple_of_the_epochs_without_a_rule() -> None:
    from search_pictures import multiples

    head = ["epochs", "cart-policy", "times fewer, median", "best run stopped"]
    rows = [["no rule", "4,000", "1.0", "0 of 4"], ["`median`", "1,000", "4.0", "1 of 4"]]
    assert multiples([head, *rows]) == [("cart-policy, median", 0.25)]
    assert multiples([["", "after 5"], ["smac", "1"]]) == []
