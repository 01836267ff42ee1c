"""Pictures of the benchmarks, from the tables of benchmarks/README.md: a bar for each row with a ratio to the peer."""

from __future__ import annotations

import math
import re
from html import escape
from pathlib import Path

__all__ = ["STYLE", "chart", "with_charts"]

Row = tuple[str, float]
"""What is measured, and how many times as long it takes as with the peer."""

STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#444}@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>"
)
BARS, LINE, LETTER = 430, 22, 6.6  # width of the bars, height of a row, mean width of a letter, in pixels


def with_charts(page: str, folder: Path) -> str:
    """Return the page of the benchmarks with a picture below each heading whose tables have ratios."""
    parts = re.split(r"^(### \w+)\n", page, flags=re.MULTILINE)
    for number in range(1, len(parts), 2):
        name, rows = parts[number].removeprefix("### "), ratios(parts[number + 1])
        if rows:
            (folder / f"{name}.svg").write_text(chart(rows), encoding="utf-8")
            told = f"Time or memory of {name} as a multiple of the peer's; left of the line lightsweep needs less"
            parts[number] += f"\n\n![{told}]({name}.svg)\n"
        else:
            parts[number] += "\n"
    return "".join(parts)


def ratios(section: str) -> list[Row]:
    """Return the rows of the tables of a section that have a ratio."""
    found: list[Row] = []
    column: int | None = None
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if "ratio" in cells:
            column = cells.index("ratio")
        elif not cells:
            column = None
        elif column is not None and re.fullmatch(r"\d[\d.e-]*", cells[column]):
            found.append((cells[0], float(cells[column])))
    return found


def chart(rows: list[Row], one: str = "as the peer") -> str:
    """Return an SVG with a bar for each row, on a logarithmic axis that has 1, described by ``one``, at a line."""
    names = 10 + LETTER * max(len(name) for name, _ in rows)
    low = math.floor(min(0.0, *(math.log10(ratio) for _, ratio in rows)))
    high = max(0.35, *(math.log10(ratio) for _, ratio in rows)) + 0.1

    def place(ratio: float) -> float:
        return names + BARS * (math.log10(ratio) - low) / (high - low)

    height = LINE * (len(rows) + 2)
    same = place(1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {names + BARS + 60:.0f} {height}" role="img">',
        STYLE,
        f'<line x1="{same:.1f}" y1="{LINE}" x2="{same:.1f}" y2="{height - 4}" stroke="#888"/>',
        f'<text x="{same:.1f}" y="{LINE - 6}" text-anchor="middle">{escape(one)}</text>',
    ]
    for number, (name, ratio) in enumerate(rows, start=1):
        top, end = number * LINE + 4, place(ratio)
        begin, width = min(same, end), max(1.5, abs(same - end))
        colour = "#2a7f4f" if ratio <= 1 else "#c0603a"
        lines += [
            f'<text x="{names - 8:.1f}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{begin:.1f}" y="{top}" width="{width:.1f}" height="{LINE - 8}" rx="2" fill="{colour}"/>',
            f'<text x="{max(same, end) + 6:.1f}" y="{top + 12}">{ratio:.2g} ×</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
