"""``lightsweep run``: create a sweep and work on it."""

from __future__ import annotations

import typer

from lightsweep.cli.agent import work_on
from lightsweep.cli.options import Config, Count, ForwardSignals, Jobs, MaxFailed, Storage, TermTimeout
from lightsweep.cli.sweep import create

__all__ = ["run"]


def run(
    config: Config,
    count: Count = None,
    jobs: Jobs = 1,
    max_failed: MaxFailed = None,
    forward_signals: ForwardSignals = False,
    term_timeout: TermTimeout = 30.0,
    storage: Storage = None,
) -> None:
    """Create a sweep and work on it: `sweep` and `agent` in one."""
    raise typer.Exit(
        work_on(
            create(config, storage, runnable=True),
            count=count,
            jobs=jobs,
            max_consecutive_failed=max_failed,
            forward_signals=forward_signals,
            term_timeout=term_timeout,
        )
    )
