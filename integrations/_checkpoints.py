"""Checkpoints to resume from, and the position of a training, so that no iteration is reported twice."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from lightsweep.client import Run, Verdict

PREFIX = "resume-"
"""Prefix of the names of checkpoints to resume from; the agent removes them once the run has a result."""

_LINK = "resume"
_SHARE = 0.05


def keep(run: Run, made: Path) -> None:
    """Keep a complete checkpoint of a run, once the agent has the reports that belong to it.

    A process that is killed at any moment leaves the link to the old checkpoint or to the new one, each complete.

    Raises:
        AgentLostError: The agent is gone.
        LightsweepError: The agent refuses a report.
    """
    run.settle()
    link_to(Path(run.dir), made)


def link_to(directory: Path, made: Path) -> None:
    """Point the link in ``directory`` at a complete checkpoint, and remove the one before if it is ours.

    Args:
        directory: The run's directory.
        made: The new checkpoint, a file or a directory. One outside of ``directory`` is copied, since the next run may
            write to the same place. One below a name that begins with :data:`PREFIX` is ours.
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
    """Copy a checkpoint beside the one that the link still points at, which may be of the same step."""
    place = directory.resolve() / f"{PREFIX}{made.name}"
    if place == before:
        place = place.with_name(f"{place.name}-again")
    _discard(place)  # a killed process may have left it
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
    with suppress(OSError, ValueError):  # it is not empty, or elsewhere
        os.removedirs(directory.absolute().relative_to(Path.cwd()))


class Pace:
    """Limits the time that checkpoints take, for trainers whose iterations may be shorter than a save.

    The first save is done at once, each further one when 95 % of the time has gone to the training.

    Args:
        clock: Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = -math.inf

    def save(self, action: Callable[[], None]) -> None:
        """Call ``action`` if a save is due."""
        begun = self._clock()
        if begun >= self._due:
            action()
            ended = self._clock()
            self._due = ended + (ended - begun) * (1 / _SHARE - 1)


class Position:
    """The number of iterations that the training of a run has reached, over all attempts; kept on rank 0.

    Attributes:
        iterations: Finite values of the sweep's metric; fewer than earlier attempts have reported while the training
            repeats theirs.
        step: The trainer's step at the last of them.
    """

    def __init__(self) -> None:
        self.iterations = 0
        self.step: int | None = None
        self._resumed_at: int | None = None

    def state(self, run: Run) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {"run": run.id, "iterations": self.iterations, "step": self.step}

    def restore(self, run: Run, state: Mapping[str, Any]) -> None:
        """Resume at the position of a checkpoint; one of another run is ignored."""
        if state.get("run") == run.id:
            self.iterations = int(state.get("iterations") or 0)
            self.step = self._resumed_at = state.get("step")

    def report(self, run: Run, numbers: Mapping[str, float], step: int, *, last: bool = False) -> Verdict:
        """Call ``run.report``, without the sweep's metric if an earlier attempt has reported it at this position.

        Values that are not finite do not count as iterations; while the training repeats iterations, they are left out.
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
    """Return the run's one position in this process, however many trainings and callbacks there are."""
    if run not in _positions:
        run.resume_counting()
    return _positions.setdefault(run, Position())
