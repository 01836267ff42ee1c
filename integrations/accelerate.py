"""A tracker that makes a loop with accelerate part of a sweep: ``Accelerator(log_with=SweepTracker())``.

Works with accelerate from 0.26, on one process or many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from accelerate.tracking import GeneralTracker

from lightsweep.client.numbers import numbers
from lightsweep.errors import RunPruned
from lightsweep.integrations.base import active_run
from lightsweep.integrations.distributed import agreed

if TYPE_CHECKING:
    from lightsweep.client import Run, Verdict

__all__ = ["SweepTracker"]


class SweepTracker(GeneralTracker):  # type: ignore[misc, unused-ignore]
    """Reports what ``accelerator.log`` gets to the sweep, and ends the loop when the run is stopped.

    Each log of the sweep's metric with a finite number is one iteration. In one process ``accelerator.log`` itself
    raises `RunPruned`. In several, accelerate calls trackers on the main process only, which must not leave the loop
    alone: call `check` after it on every process, and all leave together::

        tracker = SweepTracker()
        accelerator = Accelerator(log_with=tracker)
        accelerator.init_trackers("project")
        for epoch in range(epochs):
            ...
            accelerator.log({"val_loss": loss})
            tracker.check()  # on every process: raises RunPruned

    Without an agent the tracker records nothing, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the tracker starts if the script has not.
        metric: The name under which the script logs the metric of the sweep, if it differs from the sweep's name.

    ``accelerator.log`` raises:
        RunPruned: The verdict is to stop; in one process, or if `check` has not been called since.
        AgentLostError: The agent is gone.
    """

    name = "lightsweep"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, run: Run | None = None, metric: str | None = None) -> None:
        super().__init__()
        self._given = run
        self._metric = metric
        self._run: Run | None = None
        self._own = False
        self._verdict: Verdict | None = None

    @property
    def tracker(self) -> Run | None:
        """The run; ``None`` without an agent, and before ``init_trackers``."""
        return self._run

    def start(self) -> None:
        """Find the run, or start it."""
        if self._run is None:
            self._run = active_run(self._given)

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Add new keys to the run's config; the sweep's values stay."""
        if self._run is not None:
            self._run.config.update(values, allow_val_change=True)

    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Report numbers by name.

        Args:
            values: Names and numbers; other values are left out.
            step: Accepted and ignored: the agent counts how often the metric is logged.
            kwargs: Accepted and ignored.
        """
        del step, kwargs
        self.start()  # accelerate before 1.0 does not
        run = self._run
        if run is None:
            return
        found = numbers(values)
        if run.metric is not None and self._metric is not None and self._metric in found:
            found[run.metric] = found[self._metric]
        asked = self._verdict is not None and self._verdict.stop
        self._verdict = run.report(found)
        if self._verdict.stop and (asked or PartialState().num_processes == 1):
            raise RunPruned(self._verdict.reason)

    def check(self) -> None:
        """Raise `RunPruned` on every process if the last report was answered with stop; a collective.

        Every process calls it at the same point.
        """
        verdict = agreed(lambda: self._verdict, first=PartialState().is_main_process)
        if verdict is not None and verdict.stop:
            raise RunPruned(verdict.reason)

    def finish(self) -> None:
        """Leave the run to the ``with`` block or the end of the script, where it ends."""
