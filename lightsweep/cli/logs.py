"""``lightsweep logs``: show what a run or an agent has printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.agents.launchers.process import OUTPUT
from lightsweep.agents.launches import launched
from lightsweep.agents.run_files import elsewhere, run_directories, sweep_directories
from lightsweep.cli.options import Storage, SweepId, read_sweep, run_of
from lightsweep.cli.output import say
from lightsweep.controller import RunState, Sweep, SweepRun
from lightsweep.controller.changes import sweep_and_run
from lightsweep.errors import NotFoundError

_POLL_SECONDS = 0.2
_LOOK_SECONDS = 2.0
_CHUNK = 2**16
_SUFFIXES = (".log", ".out")


def logs(
    sweep_id: SweepId,
    name: Annotated[str, typer.Argument(metavar="RUN|AGENT", help="Id of a run, or of an agent as status shows it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show more until the run or the agent ends.")] = False,
    storage: Storage = None,
) -> None:
    """Show the output of a run, or of an agent that was launched.

    The output of a run has that of all its attempts, one after the other. It is read from the run's directory, so that
    the command works on every host that shares it.

    For example: lightsweep logs latest 0003 -f
    """
    sweep = read_sweep(sweep_id, storage)
    agent = _agent_output(sweep, name)
    if agent is not None:
        _show(agent, lambda: follow and name in {job.id for _, job in launched(sweep).agents})
        return
    run = run_of(sweep, name)
    path = _run_output(sweep, run, wait=follow)
    _show(path, lambda: follow and not _has_ended(sweep, run.id))


def _agent_output(sweep: Sweep, name: str) -> Path | None:
    """Return the file with the output of an agent; ``None`` if the name is not that of an agent.

    Raises:
        NotFoundError: Its engine keeps the output elsewhere; the message says where.
    """
    names = {f"{prefix}{name}{suffix}" for prefix in ("", "slurm-") for suffix in _SUFFIXES}
    files = [path for home in sweep_directories(sweep, sweep.runs) for path in home.iterdir() if path.is_file()]
    found = next((path for path in files if path.name in names), None)
    run_id = sweep_and_run(name, sweep.id)[1]
    if found is not None or (name.endswith(run_id) and run_id in {run.id for run in sweep.known_runs()}):
        return found  # a short number may also be the id of a job
    for engine, job in launched(sweep).agents:
        if job.id == name and job.output and Path(job.output).is_file():
            return Path(job.output)
        if job.id == name:
            where = f": {job.output}" if job.output else ""
            raise NotFoundError(f"the engine {engine} keeps the output of agent {name}{where or ' itself'}")
    return None


def _run_output(sweep: Sweep, run: SweepRun, *, wait: bool) -> Path:
    """Return the file with the output of a run.

    Args:
        wait: Whether to wait for a run that has just begun to print.

    Raises:
        NotFoundError: There is none on this host; the message says where it is.
    """
    here = run_directories(sweep, run)
    while True:
        found = [path / OUTPUT for path in here if (path / OUTPUT).is_file()]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
        if not wait or not here or _has_ended(sweep, run.id):
            break
        time.sleep(_POLL_SECONDS)
    if here:
        raise NotFoundError(
            f"run {run.id} has no {OUTPUT} in {here[-1]}\n"
            "a function called by lightsweep.agent() prints where its program does; with isolate=True runs have files"
        )
    if places := elsewhere([], [run]):
        raise NotFoundError(f"the output of run {run.id} is not on this host; it is in {places[-1]}/{OUTPUT}")
    raise NotFoundError(f"run {run.id} of sweep {sweep.id} has no directory, so it has printed nothing yet")


def _has_ended(sweep: Sweep, run_id: str) -> bool:
    sweep.refresh()
    run = next(run for run in sweep.known_runs() if run.id == run_id)
    return run.state != RunState.RUNNING and not run.waiting


def _show(path: Path, more: Callable[[], bool]) -> None:
    """Print a file as it is, and what is appended to it as long as more may come."""
    sys.stdout.flush()
    if not path.stat().st_size:
        say(f"{path} is empty: nothing was printed", error=True)
    with path.open("rb") as file:
        looked, last = 0.0, False
        while True:
            while found := file.read(_CHUNK):
                sys.stdout.buffer.write(found)
                sys.stdout.buffer.flush()
            if last:
                return
            if time.monotonic() >= looked + _LOOK_SECONDS:
                last = not more()
                looked = time.monotonic()
                continue
            time.sleep(_POLL_SECONDS)
