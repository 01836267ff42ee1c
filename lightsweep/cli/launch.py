"""``lightsweep launch``: start agents on this machine or as jobs of a cluster, or end them."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.agents.engines import JobState, make_engine
from lightsweep.agents.launches import Launched, launched, make_launch, submit, summary
from lightsweep.agents.storage_job import start_storage, storage_plan
from lightsweep.cli import options
from lightsweep.cli.output import say
from lightsweep.cli.sweep import create
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError
from lightsweep.schema import SweepConfig
from lightsweep.schema.launching import SETTINGS_FILE, LaunchSettings, read_settings, seconds
from lightsweep.storage import default_url
from lightsweep.storage.server import UNUSED_SECONDS, tell_to_end, url_file
from lightsweep.storage.url import FILE_VARIABLE, SERVED, URL_VARIABLE
from lightsweep.text import printable

_NO_ID = "ID"  # a sweep that a dry run does not create


def launch(
    target: Annotated[str, typer.Argument(metavar="CONFIG|ID", help="A sweep file, or the id of a sweep.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- OPTION", help="The engine's own options.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="ENGINE", help="Where agents run: local (this machine), slurm, ray, kubernetes."),
    ] = None,
    agents: Annotated[int | None, typer.Option(min=1, metavar="N", help="Agents; 1 by default.")] = None,
    gpus_per_run: Annotated[float | None, typer.Option(min=0, metavar="N", help="GPUs for each run.")] = None,
    cpus_per_run: Annotated[float | None, typer.Option(min=0, metavar="N", help="CPU cores for each run.")] = None,
    jobs_per_agent: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at the same time in an agent; 1 by default.")
    ] = None,
    nodes_per_run: Annotated[int | None, typer.Option(min=1, metavar="N", help="Nodes for each run.")] = None,
    drain: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no run in this time before a job's end, such as 10m.")
    ] = None,
    agent_options: Annotated[
        str | None, typer.Option(metavar="TEXT", help='Options of `lightsweep agent`, such as "--stay --count 3".')
    ] = None,
    with_storage: Annotated[
        bool, typer.Option("--with-storage", help="Start a database as a separate job; slurm only.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be submitted, and submit nothing.")] = (
        False
    ),
    stop: Annotated[bool, typer.Option("--stop", help="End the agents of this sweep; they give their runs back.")] = (
        False
    ),
    storage: options.Storage = None,
) -> None:
    """Start agents here or as jobs of a cluster, or end them.

    All options but the last three may be in the file lightsweep.launch.yaml beside the sweep file, or in the sweep file
    under `lightsweep: {launch: ...}`. Then `lightsweep launch ID` is enough.

    For example: lightsweep launch sweep.yaml --on slurm --agents 4 -- --time=02:00:00
    """
    if arguments and not arguments[0].startswith("-"):
        raise UsageError(f"{arguments[0]!r} is not expected here; the engine's own options follow --")
    given = LaunchSettings(
        on=on,
        agents=agents,
        gpus_per_run=gpus_per_run,
        cpus_per_run=cpus_per_run,
        jobs_per_agent=jobs_per_agent,
        nodes_per_run=nodes_per_run,
        drain=_read("--drain", drain),
        with_storage=with_storage or None,
        agent_options=_split(agent_options),
        options=tuple(arguments) if arguments else None,
    )
    if stop:
        if dry_run or given.over(LaunchSettings()) != LaunchSettings(on=on):
            raise UsageError("--stop takes no option but --on and --storage; it ends agents that were launched")
        _stop(Sweep.load(target, storage=storage), on)
        return
    new = Path(target).suffix in {".yaml", ".yml"} or Path(target).is_file()
    config = SweepConfig.load(target) if new else None
    settings = _settings(given, config)
    served = bool(settings.with_storage)  # before an id can be looked up
    found = os.environ.get(FILE_VARIABLE) == str(url_file(SERVED))
    if served and not dry_run:
        _serve(settings, storage)
    sweep = None if new or (served and dry_run) else Sweep.load(target, storage=storage)
    if sweep:
        settings = replace(_settings(given, sweep.config), with_storage=served)
    if settings.on is None:
        raise UsageError(
            "name the engine that runs the agents: --on local, slurm, ray or kubernetes\n"
            f"or write it into {SETTINGS_FILE}, such as `on: slurm`"
        )
    # What cannot be submitted is refused before a sweep is created for it.
    url = sweep.storage.url if sweep else storage or default_url()
    sweep_id = sweep.id if sweep else _NO_ID if new else target
    engine = make_engine(settings.on, sweep_id, settings.options or ())
    plan = engine.plan(make_launch(settings, sweep_id, url, engine))
    if dry_run:
        if sweep_id == _NO_ID:
            say(
                f"dry run: {_NO_ID} is a placeholder; the launch creates the sweep and fills in its id\n"
                f"to submit this by hand, create the sweep first: lightsweep sweep {shlex.quote(target)}",
                error=True,
            )
        if served:
            say("dry run: first the job of the storage, then that of the agents", error=True)
            print(storage_plan(engine, settings.on))
        print(plan)
        return
    if sweep is None:
        sweep = create(target, storage, runnable=True, launching=True)
        engine = make_engine(settings.on, sweep.id, settings.options or ())
    jobs = submit(sweep, settings, engine)
    more = sweep.storage.option
    say(f"submitted {summary(jobs, settings.on)}", error=True)
    if served and not found:
        say(f"first, in this terminal: export {FILE_VARIABLE}={shlex.quote(os.environ[FILE_VARIABLE])}", error=True)
    say(f"see them with: lightsweep status {sweep.id}{more}", error=True)
    say(f"end them with: lightsweep launch --stop {sweep.id}{more}", error=True)


def _serve(settings: LaunchSettings, storage: str | None) -> None:
    """Start the storage as a job, or find the one that runs, and make it the default one."""
    if storage or os.environ.get(URL_VARIABLE):
        raise UsageError(f"--with-storage starts a storage, so leave out --storage and {URL_VARIABLE}")
    if settings.on is None:
        raise UsageError("--with-storage: name the engine that runs the storage, such as --on slurm")
    engine = make_engine(settings.on, _NO_ID, settings.options or ())
    # What cannot be submitted is refused before a server is started for it.
    storage_plan(engine, settings.on)
    engine.plan(make_launch(settings, _NO_ID, "", engine))
    start_storage(engine, settings.on, lambda line: say(line, error=True))


def _settings(given: LaunchSettings, config: SweepConfig | None) -> LaunchSettings:
    """Return the options over the block of the sweep file over the file of settings."""
    home = Path(config.source).parent if config and config.source else Path()
    block = (config and config.options.launch) or LaunchSettings()
    return given.over(block.over(read_settings(home / SETTINGS_FILE)))


def _read(option: str, text: str | None) -> float | None:
    try:
        return None if text is None else seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {error}") from None


def _split(text: str | None) -> tuple[str, ...] | None:
    try:
        return None if text is None else tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--agent-options {text!r}: {error}; quote it as for a shell") from None


def _stop(sweep: Sweep, only: str | None) -> None:
    """Tell every agent to end that was launched; exit with 1 if an engine could not be asked."""
    found = launched(sweep, only)
    working = [(name, job) for name, job in found.agents if job.state != JobState.FAILED]
    # Those that wait come first, or they would begin on what the others leave.
    for name, job in sorted(working, key=lambda each: each[1].state == JobState.RUNNING):
        found.owners[name, job.id].stop(job.id)
        say(f"told to end: {name} {job.id}")
    for name, why in found.unasked.items():
        say(f"agents on {name} were not asked to end: {why}", error=True)
    if not working and not found.unasked:
        say(f"no launched agent of sweep {sweep.id} is left to end{' on this host' if found.hosts else ''}")
    if found.storage:
        _stop_storage(found)
    if found.hosts:
        say(f"agents were launched on {' and '.join(found.hosts)} too; the same command ends them there", error=True)
    if found.unasked:
        raise typer.Exit(1)


def _stop_storage(found: Launched) -> None:
    """Let the job of the storage end once no agent of any sweep uses it; those that end give their runs back before."""
    job = printable(str(found.storage))
    try:
        for directory in found.served:
            tell_to_end(directory)
    except OSError as error:
        say(f"the storage stays for half an hour after the last agent: {job} ({error})", error=True)
    else:
        say(f"the storage ends {UNUSED_SECONDS:g} s after the last program that uses it: {job}", error=True)
