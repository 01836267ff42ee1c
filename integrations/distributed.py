"""One verdict for all ranks of a plain distributed loop, with ``torch.distributed`` or accelerate::

    run = on_every_rank(lightsweep.init())
    ...
    run.log({"val_loss": loss})     # on every rank, at the same point

Only rank 0 reports to the agent. Its verdict is broadcast, so that every rank leaves its loop at the same point.
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from lightsweep.errors import LightsweepError, RunPruned

if TYPE_CHECKING:
    from lightsweep.client import Run, RunDirectory, Verdict

__all__ = ["DistributedRun", "broadcast", "on_every_rank"]

_T = TypeVar("_T")
_LAST_SECONDS = 0.2


def broadcast(value: _T) -> _T:
    """Return rank 0's ``value`` on every rank; ``value`` itself if torch.distributed is not in use.

    A collective: every rank calls it at the same point.
    """
    distributed = _distributed()
    if distributed is None or distributed.get_world_size() == 1:
        return value
    box: list[Any] = [value]
    distributed.broadcast_object_list(box, src=0)
    received: _T = box[0]
    return received


def agreed(ask: Callable[[], Verdict | None], *, first: bool, send: Callable[[Any], Any] = broadcast) -> Verdict | None:
    """Return rank 0's verdict on every rank; a collective with one broadcast.

    Args:
        ask: Asks the agent; called on rank 0 only. ``None`` means that no agent serves the run.
        first: Whether this is rank 0.
        send: The broadcast.

    Raises:
        LightsweepError: The error that ``ask`` raised on rank 0; on every rank, so that none waits for another.
    """
    if (distributed := _distributed()) is not None and distributed.get_backend() == "gloo":
        _leave_in_order()
    verdict: Verdict | None = None
    error: LightsweepError | None = None
    if first:
        try:
            verdict = ask()
        except LightsweepError as raised:
            error = raised
    verdict, error = send((verdict, error))
    if error is not None:
        raise error
    return verdict


def _distributed() -> Any:
    """Return ``torch.distributed`` if it is in use, else ``None``."""
    # Looked up, not imported: a script that has not loaded torch is not distributed.
    found = getattr(sys.modules.get("torch"), "distributed", None)
    return found if found is not None and found.is_available() and found.is_initialized() else None


@cache
def _leave_in_order() -> None:
    """Let this process leave its gloo group when it exits, and wait until the group's threads are done.

    PyTorch asks every script for the first. Without the second, a thread that releases a tensor while the interpreter
    ends aborts a process that has done all of its work, so that a finished run counts as failed
    (https://github.com/pytorch/pytorch/pull/179291). Other groups may wait for ranks that are gone, so they are left
    alone.
    """
    atexit.register(_leave)


def _leave() -> None:
    distributed = _distributed()
    if distributed is not None and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()
    time.sleep(_LAST_SECONDS)  # without the GIL, which the threads need


class DistributedRun:
    """A run whose ``log`` is called on every rank: rank 0 reports, all get the verdict.

    Attributes:
        run: This rank's run; ranks above 0 only observe.
        config: The run's config, the same on every rank.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config = run.config

    @property
    def dir(self) -> RunDirectory:
        """The run's directory, the same on every rank."""
        return self.run.dir

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report rank 0's numbers; a collective: every rank calls it at the same point.

        Args:
            metrics: Names and numbers. Those of rank 0 count: reduce them over the ranks first.
            step: Accepted and ignored, as in ``run.log``.

        Raises:
            RunPruned: The run is to stop now; on every rank.
            LightsweepError: Any other error of rank 0, such as an agent that is gone; on every rank.
        """
        verdict = self.report(metrics, step)
        if verdict.stop:
            raise RunPruned(verdict.reason)

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> Verdict:
        """Report as :meth:`log` does, but return the verdict."""
        del step
        verdict = agreed(lambda: self.run.report(metrics), first=self.run.rank == 0)
        assert verdict is not None
        return verdict


def on_every_rank(run: Run) -> DistributedRun:
    """Make ``log`` safe to call on every rank, see :class:`DistributedRun`."""
    return DistributedRun(run)
