"""``lightsweep agent``, ``run`` and ``exec``: run the program of a sweep here."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from lightsweep.agents.api import work
from lightsweep.agents.displays.base import Display, LineDisplay, closing
from lightsweep.agents.displays.live_view import LiveDisplay
from lightsweep.agents.drain import Drain, duration, job_end
from lightsweep.agents.engines.ray_actor import tie_to_stdin
from lightsweep.agents.gpus import VARIABLE, gpu_slots
from lightsweep.cli import options
from lightsweep.cli.output import say, wrapped
from lightsweep.cli.sweep import create
from lightsweep.controller import RunState, Sweep, SweepStatus
from lightsweep.controller.summary import summarize
from lightsweep.errors import CommandError, UsageError
from lightsweep.stand_in import variables
from lightsweep.storage import default_url, server
from lightsweep.text import counted, in_colour, on_terminal


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
    cold: options.Cold = False,
    wait_for_storage: options.WaitForStorage = False,
    quiet: options.Quiet = False,
    project: options.Ignored = None,
    entity: options.Ignored = None,
    stand_in: options.StandIn = None,
    storage: options.Storage = None,
) -> None:
    """Run the program of a sweep until no run is left.

    Each run gets other parameters. Several agents may work on one sweep.

    For example: lightsweep agent latest --jobs 2
    """
    del project, entity
    if nodes_per_run > 1 and (jobs is not None or gpus is not None):
        raise UsageError(
            "--nodes-per-run takes the whole Slurm job for one run at a time, with the GPUs that Slurm gives; "
            "leave out --jobs and --gpus"
        )
    tie_to_stdin()
    more = {**_slots(jobs, gpus, gpus_per_run), "stay": stay, "cold": cold}
    more |= {"stand_in": stand_in, "nodes_per_run": nodes_per_run}
    if drain is not None:
        duration(drain)
        more["drain"] = Drain(drain, job_end())
        if remark := more["drain"].remark():
            say(f"lightsweep: {remark}")
    if wait_for_storage:
        server.wait_for_storage(lambda: storage or default_url(), lambda line: say(f"lightsweep: {line}"))
    sweep = Sweep.load(sweep_id, storage=storage)
    work_on(sweep, count, max_failed, forward_signals, term_timeout, quiet=quiet, **more)


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
    cold: options.Cold = False,
    name: options.Name = None,
    project: options.Project = None,
    entity: options.Entity = None,
    quiet: options.Quiet = False,
    stand_in: options.StandIn = None,
    storage: options.Storage = None,
) -> None:
    """Create a sweep and run it: `sweep` and `agent` in one.

    For example: lightsweep run sweep.yaml --jobs 2
    """
    slots = _slots(jobs, gpus, gpus_per_run)
    labels = {"name": name, "project": project, "entity": entity}
    sweep = create(
        config, storage, prior_runs=prior_run or (), stand_in=stand_in, labels=labels, runnable=True, quiet=quiet
    )
    work_on(sweep, count, max_failed, forward_signals, term_timeout, quiet=quiet, cold=cold, **slots)


def exec(  # noqa: A001 - the name of the command
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="A program and its arguments.")],
    stand_in: options.StandIn = "wandb",
) -> None:
    """Run a command, with lightsweep in place of W&B.

    Its programs find lightsweep when they import wandb. It is for scripts that create sweeps and start agents
    themselves. Nothing is sent anywhere.

    For example: lightsweep exec -- python make_sweep.py
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
    *,
    quiet: bool = False,
    **more: Any,
) -> None:
    """Run an agent with a display that fits the terminal, and exit with :attr:`lightsweep.agents.Agent.exit_code`."""
    display: Display
    if on_terminal(sys.stdout) and not quiet:
        display = LiveDisplay(Console(highlight=False, no_color=not in_colour(sys.stdout)), sweep)
    else:
        display = LineDisplay(sys.stdout, sweep, quiet=quiet)
    worker = work(
        sweep,
        display=display,
        count=count,
        max_consecutive_failed=max_failed,
        forward_signals=forward_signals,
        term_timeout=term_timeout,
        **more,
    )
    for line in closing(sweep, worker.left).splitlines():
        say(wrapped(line), style="green" if line.startswith("best ") else "")
    for line in next_steps(sweep):
        say(line)
    raise typer.Exit(worker.exit_code)


def next_steps(sweep: Sweep) -> list[str]:
    """Return what to do next with a sweep whose agent has left, as of the last look: a command for each."""
    seen, option = summarize(sweep), sweep.storage.option
    state = sweep.known_state().name
    lines = []
    if seen.without_result:
        lines.append(
            f"retry them with: lightsweep retry {sweep.id} --failed{option}   (more: lightsweep help failures)"
        )
    elif seen.states[RunState.FAILED] and state == SweepStatus.RUNNING:
        lines.append(f"what failed: lightsweep status {sweep.id}{option}")
    if state == SweepStatus.RUNNING and not seen.spent:
        left = "" if seen.limit is None else f"   ({counted(seen.limit - seen.total, 'run')} of {seen.limit:,} left)"
        lines.append(f"go on with: lightsweep agent {sweep.id}{option}{left}")
    elif state in (SweepStatus.PAUSED, SweepStatus.STOPPED):
        lines.append(f"let it continue: lightsweep resume {sweep.id}{option}, then lightsweep agent {sweep.id}{option}")
    if seen.best_value:
        lines.append(f"use it: lightsweep best {sweep.id} --format args{option}   (or yaml, json)")
    return lines
