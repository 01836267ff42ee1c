"""The controller: a sweep in its storage, the runs it hands out, their reports and ends."""

from __future__ import annotations

from lightsweep.controller.best import best_run
from lightsweep.controller.claims import Dealer, NothingToDo
from lightsweep.controller.create import sweep
from lightsweep.controller.glance import Glance, glance
from lightsweep.controller.live import LiveRun
from lightsweep.controller.outcome import Outcome
from lightsweep.controller.priors import PriorRun, check_prior_runs, check_takes_prior_runs
from lightsweep.controller.progress import SweepState
from lightsweep.controller.refresher import Refresher
from lightsweep.controller.reporting import Reporter
from lightsweep.controller.runs import SweepRun
from lightsweep.controller.savings import Savings, savings
from lightsweep.controller.stages import StageView, stage_views
from lightsweep.controller.sweep import Sweep
from lightsweep.controller.writer import Writer

__all__ = [
    "Dealer",
    "Glance",
    "LiveRun",
    "NothingToDo",
    "Outcome",
    "PriorRun",
    "Refresher",
    "Reporter",
    "Savings",
    "StageView",
    "Sweep",
    "SweepRun",
    "SweepState",
    "Writer",
    "best_run",
    "check_prior_runs",
    "check_takes_prior_runs",
    "glance",
    "savings",
    "stage_views",
    "sweep",
]
