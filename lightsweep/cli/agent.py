"""``lightsweep agent``: work on a sweep."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from lightsweep.cli.options import Count, ForwardSignals, Jobs, MaxFailed, Storage, SweepId, TermTimeout

if TYPE_CHECKING:
    from lightsweep.controller import Sweep

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
    from lightsweep.controller import Sweep

    raise typer.Exit(
        work_on(
            Sweep.load(sweep_id, storage=storage),
            count=count,
            jobs=jobs,
            max_consecutive_failed=max_failed,
            forward_signals=forward_signals,
            term_timeout=term_timeout,
        )
    )


def work_on(
    sweep: Sweep,
    *,
    count: int | None,
    jobs: int,
    max_consecutive_failed: int | None,
    forward_signals: bool,
    term_timeout: float,
) -> int:
    """Run an agent with a display that fits the terminal; see :attr:`lightsweep.agents.Agent.exit_code`."""
    from rich.console import Console

    from lightsweep.agents import Display, LineDisplay, closing, work
    from lightsweep.agents.table import TableDisplay

    console = Console()
    on_terminal = sys.stdout.isatty() and not console.is_dumb_terminal
    display: Display = TableDisplay(console, sweep) if on_terminal else LineDisplay(sys.stdout, sweep)
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
    return worker.exit_code
