"""What stopping early saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lightsweep.hyperband import Hyperband

__all__ = ["Savings", "savings"]


@dataclass(frozen=True)
class Savings:
    """Iterations that were not trained.

    Attributes:
        stopped: Runs that were stopped early.
        saved: Iterations that those would still have had.
        total: Iterations that all runs would have had without stopping.
    """

    stopped: int
    saved: int
    total: int

    @property
    def share(self) -> float:
        """``saved / total``, 0 where nothing ran."""
        return self.saved / self.total if self.total else 0.0

    def __str__(self) -> str:
        if not self.stopped:
            return "nothing stopped early"
        runs = "1 run" if self.stopped == 1 else f"{self.stopped} runs"
        return f"{runs} stopped early, {self.saved} of {self.total} iterations saved ({self.share:.0%})"


def savings(runs: Iterable[tuple[str, int]], hyperband: Hyperband | None) -> Savings:
    """What stopping saved in a sweep.

    A stopped run is taken to be as long as the longest that finished; before one finished, as ``max_iter`` where that
    is given, else as long as the longest so far.

    Args:
        runs: State and number of iterations of each run.
        hyperband: The sweep's early termination.
    """
    found = list(runs)
    finished = [iterations for state, iterations in found if state == "finished"]
    longest = max((iterations for _, iterations in found), default=0)
    length = max(finished) if finished else max(longest, (hyperband and hyperband.max_iter) or 0)
    pruned = [iterations for state, iterations in found if state == "pruned"]
    saved = sum(max(0, length - iterations) for iterations in pruned)
    return Savings(len(pruned), saved, saved + sum(iterations for _, iterations in found))
