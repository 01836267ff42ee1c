"""Pictures of the tables of benchmarks/search/README.md, kept in docs/pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from charts import STYLE, chart

__all__ = ["pictures"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "benchmarks" / "search" / "README.md"
COLOURS = {
    "lightsweep": "#1f6fb2",
    "wandb": "#d08a00",
    "optuna-gp": "#7a4fa3",
    "optuna-tpe": "#c0503a",
    "smac": "#2a8f5f",
    "random": "#888888",
}
WIDTH, HEIGHT, GAP, LEFT, TOP = 330, 230, 70, 46, 30
MOST = 0.65

Curve = dict[int, tuple[float, float]]
"""The mean regret after so many runs, and half of its interval."""


def pictures(page: str) -> dict[str, str]:
    """Return the SVGs by file name: the regret over the runs, and the epochs under each rule of stopping."""
    regrets = [regret(table) for table in tables(page) if any("±" in cell for row in table for cell in row)]
    rules = next(rows for rows in map(multiples, tables(page, "Problems that nothing was chosen on:")) if rows)
    return {
        "search-regret.svg": panels(dict(zip(("one run after the other", "eight workers"), regrets, strict=True))),
        "search-stopping.svg": chart(rules, "as without a rule"),
    }


def tables(page: str, after: str = "") -> Iterator[list[list[str]]]:
    """Yield the tables of a page below a text, each as its rows of cells without the line below the heading."""
    below = page[page.index(after) :]
    for block in re.findall(r"(?:^\|.*\n)+", below, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def regret(table: list[list[str]]) -> dict[str, Curve]:
    """Return the curve of each method of a table of regrets."""
    marks = [int(cell.removeprefix("after ")) for cell in table[0][1:]]
    found = {}
    for name, *cells in table[1:]:
        values = [tuple(map(float, cell.split(" ± "))) for cell in cells]
        found[name] = {mark: (value[0], value[1]) for mark, value in zip(marks, values, strict=True)}
    return found


def multiples(table: list[list[str]]) -> list[tuple[str, float]]:
    """Return the epochs of each rule and problem as a multiple of those without a rule; none from another table."""
    if not table[0][0].startswith("epochs"):
        return []
    problems = [name for name in table[0][1:] if "," not in name and " " not in name]
    epochs = {
        row[0].strip("`"): [float(cell.replace(",", "")) for cell in row[1 : 1 + len(problems)]] for row in table[1:]
    }
    whole = epochs.pop("no rule")
    return [
        (f"{problem}, {rule.replace('`', '')}", count / all_)
        for number, (problem, all_) in enumerate(zip(problems, whole, strict=True))
        for rule, count in ((rule, counts[number]) for rule, counts in epochs.items() if rule != "the best possible")
    ]


def panels(curves: dict[str, dict[str, Curve]]) -> str:
    """Return an SVG with a panel for each title: a line with its 95 % interval for each method."""
    width = len(curves) * (LEFT + WIDTH) + (len(curves) - 1) * GAP + 90
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 44}" role="img">',
        STYLE,
    ]
    for number, (title, methods) in enumerate(curves.items()):
        lines += _panel(LEFT + number * (LEFT + WIDTH + GAP), title, methods)
    return "\n".join([*lines, "</svg>\n"])


def _panel(left: float, title: str, methods: dict[str, Curve]) -> Iterator[str]:
    marks = sorted(next(iter(methods.values())))
    low, high = marks[0], marks[-1]

    def across(mark: int) -> float:
        return left + WIDTH * (mark - low) / (high - low)

    def down(value: float) -> float:
        return TOP + HEIGHT * (1 - max(0.0, min(value, MOST)) / MOST)

    yield f'<text x="{left + WIDTH / 2:.0f}" y="{TOP - 12}" text-anchor="middle">{escape(title)}</text>'
    for tenth in range(7):
        y = down(tenth / 10)
        yield f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#888" stroke-opacity=".25"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>'
    for mark in marks:
        yield f'<text x="{across(mark):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{mark}</text>'
    yield f'<text x="{left + WIDTH / 2:.0f}" y="{TOP + HEIGHT + 36}" text-anchor="middle">runs</text>'
    last = -1e9
    for name, curve in sorted(methods.items(), key=lambda item: -item[1][high][0]):
        colour, strong = COLOURS.get(name, "#555555"), name == "lightsweep"
        upper = [(across(mark), down(curve[mark][0] + curve[mark][1])) for mark in marks]
        lower = [(across(mark), down(curve[mark][0] - curve[mark][1])) for mark in reversed(marks)]
        middle = [(across(mark), down(curve[mark][0])) for mark in marks]
        if strong:
            yield f'<polygon points="{_points(upper + lower)}" fill="{colour}" fill-opacity=".15"/>'
        width = 3 if strong else 1.6
        yield f'<polyline points="{_points(middle)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        last = max(last + 14, down(curve[high][0]) + 4)  # names do not overlap
        weight = ' font-weight="bold"' if strong else ""
        yield f'<text x="{left + WIDTH + 6}" y="{last:.1f}"{weight} style="fill:{colour}">{escape(name)}</text>'


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


if __name__ == "__main__":
    for name, content in pictures(PAGE.read_text(encoding="utf-8")).items():
        (ROOT / "docs" / "pictures" / name).write_text(content, encoding="utf-8")
