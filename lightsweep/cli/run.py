"""``lightsweep run``: create a sweep and work on it."""

from __future__ import annotations

import typer

from lightsweep.cli.agent import options, work_on
from lightsweep.cli.options import (
    Config,
    Count,
    ForwardSignals,
    Gpus,
    GpusPerRun,
    Jobs,
    MaxFailed,
    PriorRuns,
    Storage,
    TermTimeout,
)
from lightsweep.cli.sweep import create

__all__ = ["run"]


def run(
    config: Config,
    count: Count = None,
    jobs: Jobs = None,
    gpus: Gpus = None,
    gpus_per_run: GpusPerRun = 1,
    max_failed: MaxFailed = None,
    forward_signals: ForwardSignals = False,
    term_timeout: TermTimeout = 30.0,
    prior_run: PriorRuns = None,
    storage: Storage = None,
) -> None:
    """Create a sweep and work on it: `sweep` and `agent` in one."""
    chosen = options(count, jobs, gpus, gpus_per_run, max_failed, forward_signals, term_timeout)
    raise typer.Exit(work_on(create(config, storage, prior_runs=prior_run or (), runnable=True), chosen))
