"""Where a training stands, so that one that was resumed or begun again reports no iteration twice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from lightsweep.client import Decision, Run

__all__ = ["Position", "position_of"]


class Position:
    """How many iterations the training of a run has come to, over all of its attempts; kept on rank 0.

    Attributes:
        iterations: Finite values of the sweep's metric; those of a training from the start, or from a checkpoint, may
            be fewer than attempts before it have reported.
        step: The trainer's step at the last of them.
    """

    def __init__(self) -> None:
        self.iterations = 0
        self.step: int | None = None
        self._resumed_at: int | None = None

    def state(self, run: Run) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"run": run.id, "iterations": self.iterations, "step": self.step}

    def restore(self, run: Run, state: Mapping[str, Any]) -> None:
        """Go on where the checkpoint was made; one of another run says nothing about this one."""
        if state.get("run") == run.id:
            self.iterations = int(state.get("iterations") or 0)
            self.step = self._resumed_at = state.get("step")

    def report(self, run: Run, numbers: Mapping[str, float], step: int) -> Decision:
        """``run.report``, without the sweep's metric where an attempt before this one has reported it at this place.

        Values that are not finite are no iterations: they are left out while the training is behind what was counted.
        """
        if run.metric is None or run.metric not in numbers:
            return run.report(numbers, step=step)
        behind = self.iterations < run.counted
        if step == self._resumed_at:
            behind = True  # a trainer may begin with the validation after which it was cut off
        elif math.isfinite(numbers[run.metric]):
            self.iterations += 1
            self.step = step
        self._resumed_at = None
        if not behind:
            return run.report(numbers, step=step)
        others = {name: value for name, value in numbers.items() if name != run.metric}
        if others:
            run.report(others, step=step)
        return run.verdict()


_positions: WeakKeyDictionary[Run, Position] = WeakKeyDictionary()


def position_of(run: Run) -> Position:
    """The run's one position in this process, whatever the number of trainings and callbacks."""
    if run not in _positions:
        run.go_on()
    return _positions.setdefault(run, Position())
