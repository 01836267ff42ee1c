"""Where a training stands, so that one that was resumed or begun again reports no iteration twice."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from lightsweep.client import Decision, Run

__all__ = ["PREFIX", "Position", "is_kept", "keep", "position_of", "remove_empty"]

PREFIX = "resume-"
"""How the names of what only exists to resume from begin; the agent removes it once the run has a result."""

_LINK = "resume"


def is_kept(asked: bool | None, advised: bool) -> bool:
    """Whether to keep a checkpoint: as the user asked, else as the agent advises."""
    return advised if asked is None else asked


def keep(directory: Path, made: Path) -> None:
    """Let the link in ``directory`` lead to a complete checkpoint, and remove the one before if it is ours.

    A process that is killed at any moment leaves the old link or the new one, and a checkpoint behind it.

    Args:
        directory: The run's directory.
        made: The new checkpoint, a file or a directory. One outside of ``directory`` is copied, since the next run may
            write to the same place. One below a name that begins with :data:`PREFIX` is ours to remove.
    """
    link, home = directory / _LINK, directory.resolve()
    before = link.resolve() if link.is_symlink() else None
    kept = (made if made.resolve().is_relative_to(home) else _copied(made, directory, before)).resolve()
    fresh = directory / f"{_LINK}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(kept, home))
    fresh.replace(link)
    if before is not None and before != kept and _is_ours(before, home):
        _discard(before)


def _is_ours(checkpoint: Path, home: Path) -> bool:
    return checkpoint.is_relative_to(home) and checkpoint.relative_to(home).parts[0].startswith(PREFIX)


def _copied(made: Path, directory: Path, before: Path | None) -> Path:
    """A copy that leaves alone what the link still leads to, which may be of the same step."""
    place = directory.resolve() / f"{PREFIX}{made.name}"
    if place == before:
        place = place.with_name(f"{place.name}-again")
    _discard(place)  # what a process that was killed has left
    if made.is_dir():
        shutil.copytree(made, place)
    else:
        shutil.copy2(made, place)
    return place


def _discard(path: Path) -> None:
    """Remove a checkpoint, a file or a directory, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_empty(directory: Path) -> None:
    """Remove a directory if it is empty, and those above it that are empty then, below the working directory."""
    with suppress(OSError):
        here = Path.cwd()
        directory = here / directory
        while here in directory.parents:
            directory.rmdir()
            directory = directory.parent


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

    def report(self, run: Run, numbers: Mapping[str, float], step: int, *, last: bool = False) -> Decision:
        """``run.report``, without the sweep's metric where an attempt before this one has reported it at this place.

        Values that are not finite are no iterations: they are left out while the training is behind what was counted.
        """
        if run.metric is None or run.metric not in numbers:
            return run.report(numbers, last=last)
        behind = self.iterations < run.counted
        if step == self._resumed_at:
            behind = True  # a trainer may begin with the validation after which it was cut off
        elif math.isfinite(numbers[run.metric]):
            self.iterations += 1
            self.step = step
        self._resumed_at = None
        if not behind:
            return run.report(numbers, last=last)
        others = {name: value for name, value in numbers.items() if name != run.metric}
        if others:
            run.report(others)
        return run.verdict()


_positions: WeakKeyDictionary[Run, Position] = WeakKeyDictionary()


def position_of(run: Run) -> Position:
    """The run's one position in this process, whatever the number of trainings and callbacks."""
    if run not in _positions:
        run.go_on()
    return _positions.setdefault(run, Position())
