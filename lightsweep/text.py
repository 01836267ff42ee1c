"""Format text for people: short lines without control characters, with the same digits everywhere."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TextIO

_LONGEST_LINE = 160
_TENTHS_BELOW = 10


def printable(text: str) -> str:
    """Replace line ends and control characters by blanks, so that no name or message controls a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def shortened(text: str, width: int) -> str:
    """Cut a text at its end to ``width`` characters; ``…`` marks the cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def one_line(text: str, width: int, end: int = 1) -> str:
    """Remove control characters from a text and cut it in its middle to ``width`` characters; ``…`` marks the cut.

    ``end`` thirds of what is kept are from the end of the text.
    """
    line, end = printable(text), (width - 1) * end // 3
    return line if len(line) <= width else f"{line[: width - 1 - end]}…{line[len(line) - end :]}"


def number(value: float) -> str:
    """Format a number with five significant digits."""
    return f"{value:.5g}"


def value_text(value: Any) -> str:
    """Format the value of a parameter: text as it is, floats by `number`, lists and dicts as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, (bool, int)):
        return str(value)
    return json.dumps(value, default=str, ensure_ascii=False)


def parameters(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """Format the parameters of a run that have these names as one line: ``lr=0.1, opt=adam``."""
    text = ", ".join(f"{name}={value_text(values[name])}" for name in names if name in values)
    return shortened(printable(text), _LONGEST_LINE)


def span(length: timedelta) -> str:
    """Format a time: ``12 s``, ``5 min``, ``2 h 3 min``, ``4 days``; ``0.5 s`` below ten seconds if it is not whole."""
    exact = max(0.0, length.total_seconds())
    if exact < _TENTHS_BELOW:
        return f"{exact:.1f}".removesuffix(".0") + " s"
    seconds = round(exact)
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def counted(count: int, thing: str) -> str:
    """Return ``1 run``, ``2,000 runs``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def ordinal(number: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``4th``, ..."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def quoted(value: object, width: int = 80) -> str:
    """Return the ``repr`` of a value for a message, cut to ``width`` characters."""
    return shortened(repr(value), width)


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Return each row as a line, with each column as wide as its widest cell.

    Args:
        rows: The cells, the heading first; all rows have the same length.
        right: Indexes of the columns that are aligned at their right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = set(right)
    return [
        "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


CURVE = "▁▂▃▄▅▆▇█"
"""The marks of a curve, from low to high."""


def sparkline(values: Sequence[float], width: int, marks: str = CURVE) -> str:
    """Return the values as a row of at most ``width`` marks: of more values the last of each stretch.

    The lowest value has the first mark and the highest the last; equal ones are in the middle. Values that are not
    finite are left out; empty for none.
    """
    finite = [value for value in values if math.isfinite(value)]
    count = min(width, len(finite))
    chosen = [finite[(place + 1) * len(finite) // count - 1] for place in range(count)]
    if not chosen:
        return ""
    # Halves, since the whole span of two large numbers may be too large for a float.
    low, reach = min(chosen), max(chosen) / 2 - min(chosen) / 2
    top = len(marks) - 1
    return "".join(marks[round(top * ((value / 2 - low / 2) / reach)) if reach > 0 else top // 2] for value in chosen)


_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def in_colour(stream: TextIO) -> bool:
    """Return whether to write colours: to a terminal, unless ``NO_COLOR`` is set, and always if ``FORCE_COLOR`` is."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or on_terminal(stream)


def on_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return a text in a style such as ``bold`` or ``red``, if the stream, by default stdout, has colours."""
    if not style or not in_colour(stream or sys.stdout):
        return text
    return "\n".join(f"\x1b[{_STYLES[style]}m{line}\x1b[0m" if line else "" for line in text.split("\n"))
