"""One verdict for all ranks of a distributed training.

Only rank 0 speaks to the agent; what it learns is broadcast, so that every rank leaves its loop at the same point. For
plain ``torch.distributed`` and accelerate loops::

    run = on_every_rank(lightsweep.init())
    ...
    run.log({"val_loss": loss})     # on every rank, at the same point
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lightsweep.errors import LightsweepError, RunPruned

if TYPE_CHECKING:
    from pathlib import Path

    from lightsweep.client import Run, RunConfig

__all__ = ["DistributedRun", "Reply", "ask", "broadcast", "on_every_rank"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Reply:
    """What rank 0 learnt from a report, for all ranks to act on.

    Attributes:
        active: Whether an agent serves the run.
        stop: Whether to leave the training loop.
        reason: Why, in words and numbers.
        error: What went wrong on rank 0, for every rank to raise.
    """

    active: bool = True
    stop: bool = False
    reason: str = ""
    error: LightsweepError | None = None


def ask(report: Callable[[], Reply]) -> Reply:
    """``report()``, with an error of lightsweep's as a part of the reply instead of raised on one rank only."""
    try:
        return report()
    except LightsweepError as error:
        return Reply(error=error)


def broadcast(value: _T) -> _T:
    """Rank 0's ``value`` on every rank; ``value`` itself where torch.distributed is not in use.

    A collective: every rank calls it at the same point.
    """
    # Looked up, not imported: a script that has not loaded torch is not distributed.
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return value
    if distributed.get_world_size() == 1:
        return value
    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0)
    received: _T = box[0]
    return received


class DistributedRun:
    """A run whose ``log`` is called on every rank: rank 0 reports, all get the verdict."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        """This rank's run; an observer on any rank but 0."""
        return self._run

    @property
    def config(self) -> RunConfig:
        """The run's config, the same on every rank."""
        return self._run.config

    @property
    def dir(self) -> Path:
        """The run's directory, the same on every rank."""
        return self._run.dir

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report rank 0's numbers; a collective, so every rank calls it at the same point.

        Args:
            metrics: Names and numbers. Those of rank 0 count: reduce them over the ranks first.
            step: The step that the numbers belong to.

        Raises:
            RunPruned: The run should stop now; on every rank.
            LightsweepError: What rank 0 met, such as an agent that is gone; on every rank.
        """
        reply = self.report(metrics, step)
        if reply.stop:
            raise RunPruned(reply.reason)

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> Reply:
        """The same as :meth:`log`, but the verdict is returned."""
        reply = Reply()
        if self._run.rank == 0:
            reply = ask(lambda: _reply(self._run, metrics, step))
        reply = broadcast(reply)
        if reply.error is not None:
            raise reply.error
        return reply


def on_every_rank(run: Run) -> DistributedRun:
    """Make ``log`` safe to call on every rank, see :class:`DistributedRun`."""
    return DistributedRun(run)


def _reply(run: Run, metrics: Mapping[str, Any], step: int | None) -> Reply:
    decision = run.report(metrics, step)
    return Reply(active=run.active, stop=decision.stop, reason=decision.reason)
