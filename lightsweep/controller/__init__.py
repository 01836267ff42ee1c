"""The controller: a sweep in its storage, the runs it hands out, their reports and ends."""

from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.outcome import ClaimedRun, Outcome
from lightsweep.controller.plan import SweepState, SweepStatus
from lightsweep.controller.reports import Refresher, Reporter, Writer
from lightsweep.controller.runs import SweepRun, best_run
from lightsweep.controller.sweeps import Sweep, sweep
from lightsweep.sampler import RunState

__all__ = [
    "ClaimedRun",
    "NoRun",
    "Outcome",
    "Refresher",
    "Reporter",
    "RunClaimer",
    "RunState",
    "Sweep",
    "SweepRun",
    "SweepState",
    "SweepStatus",
    "Writer",
    "best_run",
    "sweep",
]
