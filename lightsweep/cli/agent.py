"""``lightsweep agent`` and ``lightsweep agents``: work on a sweep, here or as jobs of an engine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightsweep.cli.options import (
    Count,
    ForwardSignals,
    Gpus,
    GpusPerRun,
    Jobs,
    MaxFailed,
    Stay,
    Storage,
    SweepId,
    TermTimeout,
)
from lightsweep.cli.output import say

if TYPE_CHECKING:
    from lightsweep.controller import Sweep

__all__ = ["agent", "agents", "options", "work_on"]


def agent(
    sweep_id: SweepId,
    count: Count = None,
    jobs: Jobs = None,
    gpus: Gpus = None,
    gpus_per_run: GpusPerRun = 1,
    max_failed: MaxFailed = None,
    forward_signals: ForwardSignals = False,
    term_timeout: TermTimeout = 30.0,
    stay: Stay = False,
    storage: Storage = None,
) -> None:
    """Run a sweep's program with its parameters, again and again, until there is nothing left to do."""
    from lightsweep.controller import Sweep

    chosen = options(count, jobs, gpus, gpus_per_run, max_failed, forward_signals, term_timeout)
    raise typer.Exit(work_on(Sweep.load(sweep_id, storage=storage), {**chosen, "stay": stay}))


def agents(
    sweep_id: SweepId,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Options of `lightsweep agent` for new agents.")
    ] = None,
    start: Annotated[int, typer.Option(min=0, metavar="N", help="Start N agents.")] = 0,
    stop: Annotated[bool, typer.Option("--stop", help="Tell all agents to end; they give their runs back.")] = False,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="Where agents run: local, in the background of this machine.")
    ] = "local",
    storage: Storage = None,
) -> None:
    """Start, list or stop agents that run in the background, or as jobs of another engine."""
    from lightsweep.agents.engines import make_engine
    from lightsweep.controller import Sweep

    sweep = Sweep.load(sweep_id, storage=storage)
    if storage is not None:
        os.environ["LIGHTSWEEP_STORAGE"] = storage  # not an argument, which others can read
    where = make_engine(engine, sweep.id)
    for _ in range(start):
        where.submit([sys.executable, "-m", "lightsweep", "agent", sweep.id, *(arguments or [])])
    found = where.jobs()
    for job in found:
        if stop:
            where.stop(job.id)
        say(f"{job.id}  {'told to end' if stop else job.state}  {job.output}".rstrip())
    if not found:
        say(f"no agent of sweep {sweep.id} runs here by the engine {engine!r}; start one with --start 1")


def options(
    count: int | None,
    jobs: int | None,
    gpus: str | None,
    gpus_per_run: int,
    max_failed: int | None,
    forward_signals: bool,
    term_timeout: float,
) -> dict[str, Any]:
    """The options of a command line as :func:`lightsweep.agents.work` takes them.

    Raises:
        InputError: GPUs that cannot be given to runs.
        typer.BadParameter: ``--jobs`` with ``--gpus``.
    """
    from lightsweep.agents.gpus import VARIABLE, gpu_slots

    if gpus is None and gpus_per_run != 1:
        raise typer.BadParameter("--gpus-per-run needs --gpus, which says which GPUs there are")
    if gpus is not None and jobs is not None:
        raise typer.BadParameter("--gpus says how many runs there are at once, one for each; leave out --jobs")
    slots = None if gpus is None else [{VARIABLE: visible} for visible in gpu_slots(gpus, gpus_per_run)]
    return {
        "count": count,
        "jobs": jobs or 1,
        "slots": slots,
        "max_consecutive_failed": max_failed,
        "forward_signals": forward_signals,
        "term_timeout": term_timeout,
    }


def work_on(sweep: Sweep, chosen: dict[str, Any]) -> int:
    """Run an agent with a display that fits the terminal; see :attr:`lightsweep.agents.Agent.exit_code`."""
    from rich.console import Console

    from lightsweep.agents import Display, LineDisplay, closing, work
    from lightsweep.agents.displays.table import TableDisplay

    console = Console()
    on_terminal = sys.stdout.isatty() and not console.is_dumb_terminal
    display: Display = TableDisplay(console, sweep) if on_terminal else LineDisplay(sys.stdout, sweep)
    worker = work(sweep, display=display, **chosen)
    say(closing(sweep, worker.left))
    return worker.exit_code
