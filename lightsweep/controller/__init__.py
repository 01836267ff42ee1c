"""The controller: a sweep in its storage, the runs it hands out, their reports and ends."""

from __future__ import annotations

from lightsweep.controller.changes import (
    PriorRun,
    check_prior_runs,
    check_takes_prior_runs,
    request,
    retry_runs,
    update_config,
)
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.outcome import ClaimedRun, Outcome
from lightsweep.controller.plan import SweepState
from lightsweep.controller.reports import Refresher, Reporter, Writer
from lightsweep.controller.runs import SweepRun, best_run
from lightsweep.controller.summary import (
    PartView,
    Savings,
    SweepSummary,
    part_line,
    part_views,
    prior_suffix,
    savings,
    summarize,
)
from lightsweep.controller.sweeps import Sweep, sweep
from lightsweep.sampler import RunState

__all__ = [
    "ClaimedRun",
    "NoRun",
    "Outcome",
    "PartView",
    "PriorRun",
    "Refresher",
    "Reporter",
    "RunClaimer",
    "RunState",
    "Savings",
    "Sweep",
    "SweepRun",
    "SweepState",
    "SweepSummary",
    "Writer",
    "best_run",
    "check_prior_runs",
    "check_takes_prior_runs",
    "part_line",
    "part_views",
    "prior_suffix",
    "request",
    "retry_runs",
    "savings",
    "summarize",
    "sweep",
    "update_config",
]
