"""The controller: a sweep in its storage, the runs it hands out, their reports and ends."""

from lightsweep.controller.plan import SweepState, SweepStatus
from lightsweep.controller.ranking import best_run
from lightsweep.controller.reports import ClaimedRun, Outcome
from lightsweep.controller.runs import SweepRun
from lightsweep.controller.sweeps import Sweep, sweep
from lightsweep.sampler import RunState

__all__ = ["ClaimedRun", "Outcome", "RunState", "Sweep", "SweepRun", "SweepState", "SweepStatus", "best_run", "sweep"]
