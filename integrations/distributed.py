"""One verdict for all ranks of a plain distributed loop, with ``torch.distributed`` or accelerate::

    run = on_every_rank(lightsweep.init())
    ...
    run.log({"val_loss": loss})     # on every rank, at the same point

Only rank 0 speaks to the agent; what it learns is broadcast, so that every rank leaves its loop at the same point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightsweep.errors import RunPruned
from lightsweep.integrations.replies import Reply, agreed, broadcast

if TYPE_CHECKING:
    from pathlib import Path

    from lightsweep.client import Run, RunConfig

__all__ = ["DistributedRun", "broadcast", "on_every_rank"]


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

        def ask() -> Reply:
            decision = self._run.report(metrics, step)
            return Reply(active=self._run.active, stop=decision.stop, reason=decision.reason)

        return agreed(ask, first=self._run.rank == 0)


def on_every_rank(run: Run) -> DistributedRun:
    """Make ``log`` safe to call on every rank, see :class:`DistributedRun`."""
    return DistributedRun(run)
