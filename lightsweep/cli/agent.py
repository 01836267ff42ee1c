"""``lightsweep agent``, ``run`` and ``exec``: run the program of a sweep here."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from lightsweep.agents import Display, LineDisplay, closing, work
from lightsweep.agents.displays.live_view import TableDisplay
from lightsweep.agents.drain import Drain, duration, job_end
from lightsweep.agents.engines.kubernetes_manifest import was_stopped
from lightsweep.agents.gpus import VARIABLE, gpu_slots
from lightsweep.cli import options
from lightsweep.cli.output import say
from lightsweep.cli.sweep import create
from lightsweep.controller import Sweep
from lightsweep.controller.summary import summarize
from lightsweep.errors import CommandError, UsageError
from lightsweep.stand_in import variables
from lightsweep.storage import default_url, server


def agent(
    sweep_id: options.SweepId,
    count: options.Count = None,
    jobs: options.Jobs = None,
    gpus: options.Gpus = None,
    gpus_per_run: options.GpusPerRun = 1,
    max_failed: options.MaxFailed = None,
    forward_signals: options.ForwardSignals = False,
    term_timeout: options.TermTimeout = 30.0,
    stay: options.Stay = False,
    nodes_per_run: options.NodesPerRun = 1,
    drain: options.Drain = None,
    wait_for_storage: options.WaitForStorage = False,
    stand_in: options.StandIn = None,
    storage: options.Storage = None,
) -> None:
    """Run the program of a sweep until no run is left.

    Each run gets other parameters. Several agents may work on one sweep.
    """
    if nodes_per_run > 1 and (jobs is not None or gpus is not None):
        raise UsageError(
            "--nodes-per-run takes the whole Slurm job for one run at a time, with the GPUs that Slurm gives; "
            "leave out --jobs and --gpus"
        )
    if was_stopped(os.environ):
        say("lightsweep: this agent was told to end by `lightsweep launch --stop`")
        return
    more = {**_slots(jobs, gpus, gpus_per_run), "stay": stay, "stand_in": stand_in, "nodes_per_run": nodes_per_run}
    if drain is not None:
        duration(drain)
        more["drain"] = Drain(drain, job_end())
        if remark := more["drain"].remark():
            say(f"lightsweep: {remark}")
    if wait_for_storage:
        server.wait_for_storage(lambda: storage or default_url(), lambda line: say(f"lightsweep: {line}"))
    sweep = Sweep.load(sweep_id, storage=storage)
    work_on(sweep, count, max_failed, forward_signals, term_timeout, **more)


def run(
    config: options.Config,
    count: options.Count = None,
    jobs: options.Jobs = None,
    gpus: options.Gpus = None,
    gpus_per_run: options.GpusPerRun = 1,
    max_failed: options.MaxFailed = None,
    forward_signals: options.ForwardSignals = False,
    term_timeout: options.TermTimeout = 30.0,
    prior_run: options.PriorRuns = None,
    stand_in: options.StandIn = None,
    storage: options.Storage = None,
) -> None:
    """Create a sweep and run it: `sweep` and `agent` in one."""
    slots = _slots(jobs, gpus, gpus_per_run)
    sweep = create(config, storage, prior_runs=prior_run or (), stand_in=stand_in, runnable=True)
    work_on(sweep, count, max_failed, forward_signals, term_timeout, **slots)


def exec(  # noqa: A001 - the name of the command
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="A program and its arguments.")],
    stand_in: options.StandIn = "wandb",
) -> None:
    """Run a command whose programs find lightsweep when they import W&B.

    It is for scripts that create sweeps and start agents themselves. Nothing is sent anywhere.
    """
    try:
        os.execvpe(command[0], command, {**os.environ, **variables(stand_in)})
    except OSError as error:
        raise CommandError(f"cannot start {command[0]!r}: {error.strerror or error}") from None


def _slots(jobs: int | None, gpus: str | None, per_run: int) -> dict[str, Any]:
    """Return how many runs there are at once, and which GPUs each of them sees.

    Raises:
        InputError: GPUs that do not exist, or do not divide into runs.
        UsageError: ``--jobs`` with ``--gpus``.
    """
    if gpus is None and per_run != 1:
        raise UsageError("--gpus-per-run needs --gpus, the list of GPUs to use")
    if gpus is not None and jobs is not None:
        raise UsageError("--gpus also sets how many runs there are at once; leave out --jobs")
    slots = None if gpus is None else [{VARIABLE: visible} for visible in gpu_slots(gpus, per_run)]
    return {"jobs": jobs or 1, "slots": slots}


def work_on(
    sweep: Sweep,
    count: int | None = None,
    max_failed: int | None = None,
    forward_signals: bool = False,
    term_timeout: float = 30.0,
    **more: Any,
) -> None:
    """Run an agent with a display that fits the terminal, and exit with :attr:`lightsweep.agents.Agent.exit_code`."""
    console = Console()
    on_terminal = sys.stdout.isatty() and not console.is_dumb_terminal
    display: Display = TableDisplay(console, sweep) if on_terminal else LineDisplay(sys.stdout, sweep)
    worker = work(
        sweep,
        display=display,
        count=count,
        max_consecutive_failed=max_failed,
        forward_signals=forward_signals,
        term_timeout=term_timeout,
        **more,
    )
    say(closing(sweep, worker.left))
    summary = summarize(sweep)
    if summary.without_result:
        say(f"retry them with: lightsweep retry {sweep.id} --failed{options.storage_option(sweep)}")
    if summary.best_value:
        say(f"use it: lightsweep best {sweep.id} --format args{options.storage_option(sweep)}   (or yaml, json)")
    raise typer.Exit(worker.exit_code)
