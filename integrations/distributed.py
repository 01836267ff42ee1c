"""One verdict for all ranks of a plain distributed loop, with ``torch.distributed`` or accelerate::

    run = on_every_rank(lightsweep.init())
    ...
    run.log({"val_loss": loss})     # on every rank, at the same point

Only rank 0 speaks to the agent; what it learns is broadcast, so that every rank leaves its loop at the same point.
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from lightsweep.errors import LightsweepError, RunPruned

if TYPE_CHECKING:
    from pathlib import Path

    from lightsweep.client import Run, RunConfig

__all__ = ["DistributedRun", "broadcast", "on_every_rank"]

_T = TypeVar("_T")
_LAST_SECONDS = 0.2


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


def broadcast(value: _T) -> _T:
    """Rank 0's ``value`` on every rank; ``value`` itself where torch.distributed is not in use.

    A collective: every rank calls it at the same point.
    """
    distributed = _distributed()
    if distributed is None or distributed.get_world_size() == 1:
        return value
    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0)
    received: _T = box[0]
    return received


def agreed(ask: Callable[[], Reply], *, first: bool, send: Callable[[Reply], Reply] = broadcast) -> Reply:
    """Rank 0's reply on every rank; one broadcast, which every rank comes to at the same point.

    Args:
        ask: Asks the agent; called on rank 0 only.
        first: Whether this is rank 0.
        send: The broadcast.

    Raises:
        LightsweepError: What ``ask`` raised on rank 0; on every rank, so that none waits for another.
    """
    if (distributed := _distributed()) is not None and distributed.get_backend() == "gloo":
        _leave_in_order()
    reply = Reply()
    if first:
        try:
            reply = ask()
        except LightsweepError as error:
            reply = Reply(error=error)
    reply = send(reply)
    if reply.error is not None:
        raise reply.error
    return reply


def _distributed() -> Any:
    """``torch.distributed`` where it is in use, else ``None``."""
    # Looked up, not imported: a script that has not loaded torch is not distributed.
    found = getattr(sys.modules.get("torch"), "distributed", None)
    return found if found is not None and found.is_available() and found.is_initialized() else None


@cache
def _leave_in_order() -> None:
    """Let this process leave its gloo group when it exits, and the group's threads end what they have in hand.

    PyTorch asks every script for the first, and the second nobody can ask for: a thread that lets go of a tensor while
    the interpreter ends aborts a process that has done all of its work, and a run that had finished counts as failed
    (https://github.com/pytorch/pytorch/pull/179291). Other groups may wait for ranks that are gone, so those are left
    alone.
    """
    atexit.register(_leave)


def _leave() -> None:
    distributed = _distributed()
    if distributed is not None and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()
    time.sleep(_LAST_SECONDS)  # without the GIL, which the threads need


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
            step: Accepted and ignored, as in ``run.log``.

        Raises:
            RunPruned: The run should stop now; on every rank.
            LightsweepError: What rank 0 met, such as an agent that is gone; on every rank.
        """
        reply = self.report(metrics, step)
        if reply.stop:
            raise RunPruned(reply.reason)

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> Reply:
        """The same as :meth:`log`, but the verdict is returned."""
        del step

        def ask() -> Reply:
            decision = self._run.report(metrics)
            return Reply(active=self._run.active, stop=decision.stop, reason=decision.reason)

        return agreed(ask, first=self._run.rank == 0)


def on_every_rank(run: Run) -> DistributedRun:
    """Make ``log`` safe to call on every rank, see :class:`DistributedRun`."""
    return DistributedRun(run)
