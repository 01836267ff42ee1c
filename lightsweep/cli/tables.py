"""Plain tables: columns that line up, on a terminal and on a pipe alike."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "besides", "counted"]


def aligned(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their heading, each column as wide as its widest cell."""
    table = [list(heading), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def counted(number: int, thing: str) -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def besides(priors: int) -> str:
    """`` + 8 prior runs``, which count as none of the sweep's own; empty for none."""
    return f" + {counted(priors, 'prior run')}" if priors else ""
