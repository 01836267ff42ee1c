"""When an agent gives up: decided from how its runs ended."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FailureLimits"]

FLAPPING_FAILURES = 3
FLAPPING_SECONDS = 60.0
FIRST_RUNS = 5


@dataclass
class FailureLimits:
    """Counts failures and says when they are too many, so that a broken script does not burn a whole sweep.

    Attributes:
        max_consecutive: Failures in a row after which to give up; ``None`` for no such limit.
        started: When the agent began, in seconds of the clock that ``note`` is given.
    """

    max_consecutive: int | None = None
    started: float = 0.0
    _ended: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _in_a_row: int = field(default=0, init=False)
    _early: int = field(default=0, init=False)

    def note(self, failed: bool, now: float) -> str | None:
        """Count a run that ended; why to give up, or ``None`` to go on.

        Runs that were stopped early are no failures.
        """
        self._ended += 1
        if not failed:
            self._in_a_row = 0
            return None
        self._failed += 1
        self._in_a_row += 1
        if now - self.started <= FLAPPING_SECONDS:
            self._early += 1
        if self.max_consecutive is not None and self._in_a_row >= self.max_consecutive:
            what = "a run" if self._in_a_row == 1 else f"{self._in_a_row} runs in a row"
            return f"{what} failed (--max-consecutive-failed-runs {self.max_consecutive})"
        if self._early >= FLAPPING_FAILURES:
            return f"{self._early} runs failed within the first {FLAPPING_SECONDS:.0f} s"
        if self._failed >= FIRST_RUNS and self._failed == self._ended:
            return f"the first {self._failed} runs all failed"
        return None
