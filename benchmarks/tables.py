"""Samples, figures and the tables that show them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Figure", "Row", "Table", "comparison", "interleaved", "judged", "timed"]


@dataclass(frozen=True)
class Figure:
    """The median and the 95th percentile of what was measured; ``unit`` is ``s`` or ``MB``."""

    median: float
    p95: float
    unit: str = "s"

    @classmethod
    def of(cls, samples: Sequence[float], unit: str = "s") -> Figure:
        """From at least one sample; the 95th percentile is the nearest one that was measured."""
        ordered = sorted(samples)
        return cls(statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], unit)


@dataclass(frozen=True)
class Row:
    """One thing measured on both sides.

    Attributes:
        what: Its name.
        ours: Our figure.
        peer: What the same costs in the other way; ``None`` where there is none.
        most: The bound of our median, in its unit; ``None`` for none.
        most_ratio: The bound of our median divided by the peer's; ``None`` for none.
    """

    what: str
    ours: Figure
    peer: Figure | None = None
    most: float | None = None
    most_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        """Our median divided by the peer's."""
        return self.ours.median / self.peer.median if self.peer else None

    @property
    def verdict(self) -> str:
        """``ok``, ``over``, or nothing without a bound."""
        if self.most is None and self.most_ratio is None:
            return ""
        over = self.most is not None and self.ours.median > self.most
        if self.most_ratio is not None and self.ratio is not None:
            over = over or self.ratio > self.most_ratio
        return "over" if over else "ok"

    @property
    def bound(self) -> str:
        """The bounds in words."""
        bounds = []
        if self.most is not None:
            bounds.append(f"<= {_shown(self.most, self.ours.unit)}")
        if self.most_ratio is not None:
            bounds.append(f"ratio <= {self.most_ratio:g}")
        return ", ".join(bounds)


@dataclass(frozen=True)
class Table:
    """A table that prints as aligned Markdown."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [list(self.header), *map(list, self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        drawn = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"**{self.title}**", "", *drawn])


def comparison(title: str, rows: Sequence[Row], peer: str) -> Table:
    """The table of ``rows`` beside ``peer``: medians, 95th percentiles, ratios of the medians, bounds."""
    header = ["", "lightsweep", "p95", peer, "p95", "ratio", "bound", ""]
    return Table(
        title,
        header,
        [
            [
                row.what,
                _shown(row.ours.median, row.ours.unit),
                _shown(row.ours.p95, row.ours.unit),
                _shown(row.peer.median, row.peer.unit) if row.peer else "",
                _shown(row.peer.p95, row.peer.unit) if row.peer else "",
                f"{row.ratio:.3g}" if row.ratio is not None else "",
                row.bound,
                row.verdict,
            ]
            for row in rows
        ],
    )


def judged(figure: float, goal: float, *, least: bool = False) -> str:
    """``met`` or ``missed``: whether a figure is at most the goal, or with ``least`` at least."""
    return "met" if (figure >= goal if least else figure <= goal) else "missed"


def timed(action: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleaved(repeats: int, **sides: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each side's calls, the sides taking turns, so that what disturbs the machine disturbs all of them."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, action in sides.items():
            samples[name].append(timed(action))
    return samples


def _shown(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.0f} {unit}"
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"
