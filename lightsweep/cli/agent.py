"""``lightsweep agent``: work on a sweep."""

from __future__ import annotations

import sys

import typer

from lightsweep.cli.options import Count, ForwardSignals, Jobs, MaxFailed, Storage, SweepId, TermTimeout

__all__ = ["agent", "work_on"]


def agent(
    sweep_id: SweepId,
    count: Count = None,
    jobs: Jobs = 1,
    max_failed: MaxFailed = None,
    forward_signals: ForwardSignals = False,
    term_timeout: TermTimeout = 30.0,
    storage: Storage = None,
) -> None:
    """Run a sweep's program with its parameters, again and again, until there is nothing left to do."""
    raise typer.Exit(
        work_on(
            sweep_id,
            storage,
            count=count,
            jobs=jobs,
            max_consecutive_failed=max_failed,
            forward_signals=forward_signals,
            term_timeout=term_timeout,
        )
    )


def work_on(
    sweep_id: str,
    storage: str | None,
    *,
    count: int | None,
    jobs: int,
    max_consecutive_failed: int | None,
    forward_signals: bool,
    term_timeout: float,
) -> int:
    """Run an agent with a display that fits the terminal; its exit code.

    0 where the agent did what it was asked to, 1 where it gave up or every run of it failed.
    """
    from rich.console import Console

    from lightsweep.agents import Display, LineDisplay, closing, work
    from lightsweep.agents.table import TableDisplay
    from lightsweep.controller import Sweep

    sweep = Sweep.load(sweep_id, storage=storage)
    console = Console()
    display: Display = TableDisplay(console, sweep) if console.is_terminal else LineDisplay(sys.stdout, sweep)
    worker = work(
        sweep,
        display=display,
        count=count,
        jobs=jobs,
        max_consecutive_failed=max_consecutive_failed,
        forward_signals=forward_signals,
        term_timeout=term_timeout,
    )
    print(closing(sweep, worker.left))
    return 1 if worker.gave_up else 0
