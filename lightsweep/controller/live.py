"""A run that this process has in hand: what it reported, ahead of the storage."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LiveRun"]


@dataclass(slots=True, eq=False)
class LiveRun:
    """One attempt of a run, held by the agent that claimed it.

    Attributes:
        id: Run id.
        ticket: Position among the fresh runs.
        attempt: 1 for the first.
        trial_id: Optuna's key of the attempt's trial.
        values: Parameters under their dotted names.
        config: The same, nested as the script sees them.
        reports: Every value of the metric so far, in order.
        history: Those of them that are finite: the iterations.
        metrics: For each number logged ``{"min", "max", "last"}``.
        stop_reason: Why the run was told to stop; empty while it goes on.
        pruned: Whether that was the verdict of early termination.
        taken: Whether another agent holds the run now, or it was deleted, so that nothing of it is to be written.
    """

    id: str
    ticket: int | None
    attempt: int
    trial_id: int
    values: dict[str, Any]
    config: dict[str, Any]
    reports: array[float] = field(default_factory=lambda: array("d"))
    history: list[float] = field(default_factory=list)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    stop_reason: str = ""
    pruned: bool = False
    taken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, numbers: Mapping[str, float]) -> None:
        """Keep the least, the greatest and the last of each number; one that is not finite is only ever the last."""
        for name, value in numbers.items():
            stats = self.metrics.setdefault(name, {})
            stats["last"] = value
            if math.isfinite(value):
                stats["min"] = min(stats.get("min", value), value)
                stats["max"] = max(stats.get("max", value), value)

    def report(self, value: float) -> int:
        """Add a value of the sweep's metric; how many there are now."""
        self.reports.append(value)
        if math.isfinite(value):
            self.history.append(value)
        return len(self.reports)
