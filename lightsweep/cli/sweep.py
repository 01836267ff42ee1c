"""``lightsweep sweep`` and ``lightsweep retry``: create a sweep and control it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.agents.active_run import RUNS, make_directory
from lightsweep.agents.launchers.process import check_command, find_program
from lightsweep.cli.options import Entity, Name, PriorRuns, Project, StandIn, Storage, SweepId
from lightsweep.cli.output import parameter_count, say, warn
from lightsweep.cli.wandb_names import reports_to_wandb_only
from lightsweep.controller import Sweep, changes
from lightsweep.errors import ConfigError, NotFoundError, UsageError
from lightsweep.hyperband import bands_text
from lightsweep.sampler import make_searcher
from lightsweep.schema import SweepConfig
from lightsweep.schema.source import program_file, read_modules
from lightsweep.text import counted

_ID = re.compile(r"latest|[a-z0-9]{8}")


def sweep(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|ID",
            help="A sweep file; the id of a sweep with --stop, --pause, --resume, --cancel or --update.",
        ),
    ],
    stop: Annotated[bool, typer.Option("--stop", help="Start no new runs; running ones finish.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Start no new runs until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after --pause or --stop.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Start no new runs and kill the running ones. Cannot be undone.")
    ] = False,
    update: Annotated[
        str | None,
        typer.Option(
            metavar="CONFIG",
            help="Continue with another run_cap, other bands, constraints, stop_when, or more of a grid.",
        ),
    ] = None,
    prior_run: PriorRuns = None,
    name: Name = None,
    project: Project = None,
    entity: Entity = None,
    stand_in: StandIn = None,
    storage: Storage = None,
) -> None:
    """Create a sweep, or stop, pause, resume, cancel or update one.

    A new sweep's id is printed on stdout, the command of its agents on stderr.

    For example: lightsweep sweep sweep.yaml
    """
    flags = {"stop": stop, "pause": pause, "resume": resume, "cancel": cancel, "update": update is not None}
    actions = [name for name, given in flags.items() if given]
    if len(actions) > 1:
        raise UsageError(f"--{actions[0]} and --{actions[1]} exclude each other; give one of them")
    if prior_run and actions:
        raise UsageError(
            "--prior-run needs the file of a new sweep; to add runs to a sweep that exists, call "
            f"lightsweep.Sweep.load({target!r}).add_prior_runs(...) in Python"
        )
    if stand_in and actions:
        raise UsageError("--stand-in needs the file of a new sweep; give it to `lightsweep agent` for one that exists")
    if not actions:
        labels = {"name": name, "project": project, "entity": entity}
        create(target, storage, prior_runs=prior_run or (), stand_in=stand_in, labels=labels)
        return
    if update is None:
        _request(actions[0], target, storage)
        return
    found = Sweep.load(target, storage=storage)
    loaded = _loaded(update)
    changes.update_config(found, loaded)
    say(f"sweep {found.id} continues with {update}: {found.state}", error=True)


def stop(sweep_id: SweepId, storage: Storage = None) -> None:
    """Begin no more runs of a sweep; the running ones finish.

    For example: lightsweep stop latest
    """
    _request("stop", sweep_id, storage)


def pause(sweep_id: SweepId, storage: Storage = None) -> None:
    """Begin no runs of a sweep until it is resumed.

    For example: lightsweep pause latest
    """
    _request("pause", sweep_id, storage)


def resume(sweep_id: SweepId, storage: Storage = None) -> None:
    """Let a paused or stopped sweep continue.

    For example: lightsweep resume latest
    """
    _request("resume", sweep_id, storage)


def cancel(sweep_id: SweepId, storage: Storage = None) -> None:
    """End a sweep and its running runs.

    For example: lightsweep cancel latest
    """
    _request("cancel", sweep_id, storage)


def _request(action: str, sweep_id: str, storage: str | None) -> None:
    found = Sweep.load(sweep_id, storage=storage)
    changes.request(found, action)
    say(f"sweep {found.id}: {found.state}", error=True)
    if action == "pause":
        say(f"running runs go on; begin new ones with: lightsweep resume {found.id}{found.storage.option}", error=True)


def retry(
    sweep_id: SweepId,
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Ids of runs.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All runs that failed, were killed, or were lost too often.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Retry runs that have no result.

    Runs that failed, were killed, or were lost too often are started again by the agents of the sweep.

    For example: lightsweep retry latest --failed
    """
    if not runs and not failed:
        raise UsageError("name the runs by their ids, or give --failed")
    sweep = Sweep.load(sweep_id, storage=storage)
    again = changes.retry_runs(sweep, *(runs or ()), failed=failed)
    if not again:
        print("every run that has ended has a result; nothing to retry")
        return
    print(f"waiting for an agent: {', '.join(again)}")
    print(f"start one with: lightsweep agent {sweep.id}{sweep.storage.option}")


def create(
    config: str,
    storage: str | None,
    *,
    prior_runs: Sequence[str] = (),
    stand_in: str | None = None,
    labels: Mapping[str, str | None] | None = None,
    runnable: bool = False,
    launching: bool = False,
    quiet: bool = False,
) -> Sweep:
    """Create a sweep and print what it will do.

    Args:
        config: The sweep file.
        storage: URL of the storage.
        prior_runs: Sweeps, or runs of them as ``SWEEP/RUN``, that bayes learns from.
        stand_in: The package that lightsweep stands in for in the runs; by default as the file says.
        labels: The name, the project and the entity, where the file has none.
        runnable: Check that runs can be started here before anything is stored.
        launching: The caller starts agents elsewhere, and says how to start more.
        quiet: Print the id only.
    """
    loaded = _loaded(config).standing_in(stand_in).labelled(**(labels or {}))
    if runnable:
        check_command(loaded, str(Path(config).resolve().parent))
        make_searcher(loaded, loaded.options.seed or 0)
        make_directory(RUNS)
    made = Sweep.create(loaded, prior_runs=prior_runs, storage=storage)
    say(made.id)
    if quiet:
        return made
    if prior_runs or loaded.options.prior_runs:
        say(f"begins with {counted(len(made.runs), 'prior run')}", error=True)
    say(_describe(loaded), error=True)
    start = program_file(find_program(loaded, str(Path(config).resolve().parent)), loaded.command)
    if start and loaded.options.stand_in is None and (warning := reports_to_wandb_only(read_modules(*start))):
        warn(warning)
    if not launching:
        agents = "more agents" if runnable else "start agents with"
        say(f"{agents}: lightsweep agent {made.id}{made.storage.option}", error=True)
    return made


def _loaded(path: str) -> SweepConfig:
    try:
        config = SweepConfig.load(path)
    except ConfigError as error:
        if Path(path).exists() or not _ID.fullmatch(path):
            raise
        raise NotFoundError(f"{error}; to work on a sweep that exists: lightsweep agent {path}") from None
    for warning in config.warnings:
        warn(str(warning))
    return config


def _describe(config: SweepConfig) -> str:
    """Return the lines about a new sweep: the size of its grid, its bands, and when it ends."""
    lines = [f"created a {config.method} sweep over {parameter_count(config, config.searched())}"]
    if not config.is_flat:
        named = ", then ".join(f"{part.name} ({', '.join(part.searched)})" for part in config.parts)
        lines = [f"created a sweep in {counted(len(config.parts), *config.labels)}: {named}"]
    elif config.method == "grid":
        lines[0] += f", {counted(config.space.size or 0, 'point')}"
    if config.rule is not None and config.is_flat:
        lines.append(f"bands (iterations of the metric): {bands_text(config.rule) or 'none'}")
    lines.append(
        f"it ends by itself: {config.ends}"
        if config.ends
        else "it never ends by itself: set run_cap, or give agents --count"
    )
    return "\n".join(lines)
