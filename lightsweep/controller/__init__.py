"""The controller: a sweep in its storage, the runs it hands out, their reports and ends."""

from __future__ import annotations

from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.outcome import ClaimedRun, Outcome
from lightsweep.controller.priors import PriorRun, check_prior_runs, check_takes_prior_runs
from lightsweep.controller.refresher import Refresher
from lightsweep.controller.reports import Reporter
from lightsweep.controller.runs import SweepRun, best_run
from lightsweep.controller.states import SweepState
from lightsweep.controller.summary import (
    Savings,
    StageView,
    SweepSummary,
    prior_suffix,
    savings,
    stage_line,
    stage_views,
    summarize,
    summarize_runs,
)
from lightsweep.controller.sweeps import Sweep, sweep
from lightsweep.controller.writer import Writer

__all__ = [
    "ClaimedRun",
    "NoRun",
    "Outcome",
    "PriorRun",
    "Refresher",
    "Reporter",
    "RunClaimer",
    "Savings",
    "StageView",
    "Sweep",
    "SweepRun",
    "SweepState",
    "SweepSummary",
    "Writer",
    "best_run",
    "check_prior_runs",
    "check_takes_prior_runs",
    "prior_suffix",
    "savings",
    "stage_line",
    "stage_views",
    "summarize",
    "summarize_runs",
    "sweep",
]
