"""A sweep at a glance: what its runs come to, without making a view of each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightsweep.controller.best import best_entry
from lightsweep.controller.runs import SweepRun
from lightsweep.controller.savings import Savings, savings

if TYPE_CHECKING:
    from lightsweep.controller.sweep import Sweep

__all__ = ["Glance", "glance"]


@dataclass(frozen=True)
class Glance:
    """What the runs of a sweep come to.

    Attributes:
        states: How many runs of its own there are in each state; those that wait to be started again as ``waiting``.
        priors: How many runs of other sweeps it began with; they are part of nothing else here.
        savings: What stopping early saved.
        best: See :attr:`~lightsweep.controller.sweep.Sweep.best_run`.
        unread: Swept parameters that a run never read, sorted.
        last: The runs with the highest ids.
    """

    states: Counter[str]
    savings: Savings
    best: SweepRun | None
    unread: list[str]
    last: list[SweepRun]
    priors: int = 0

    @property
    def total(self) -> int:
        """Number of runs of its own."""
        return self.states.total()


def glance(sweep: Sweep, last: int = 0) -> Glance:
    """The sweep as of the last look at it, with its ``last`` runs."""
    with sweep.lock:
        known = sweep.known_entries()
        entries = [entry for entry in known if not entry.prior]
        states = [(entry.state, entry.iterations) for entry in entries]
        best = best_entry(entries, sweep.config)
        return Glance(
            states=Counter("waiting" if sweep.waits(entry) else entry.state for entry in entries),
            savings=savings(states, sweep.config.early_terminate),
            best=sweep.view(best) if best else None,
            unread=sorted({name for entry in entries for name in entry.summary.get("unread", ())}),
            last=[sweep.view(entry) for entry in entries[-last:]] if last else [],
            priors=len(known) - len(entries),
        )
