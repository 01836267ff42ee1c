"""``lightsweep sweep``: create a sweep, or control one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightsweep.cli.options import PriorRuns, Storage
from lightsweep.cli.output import say

if TYPE_CHECKING:
    from lightsweep.controller import Sweep
    from lightsweep.schema import SweepConfig

__all__ = ["create", "sweep"]


def sweep(
    target: Annotated[
        str, typer.Argument(metavar="CONFIG|ID", help="A sweep file; with an option below a sweep's id.")
    ],
    stop: Annotated[bool, typer.Option("--stop", help="No new runs; running ones finish.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="No new runs until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after --pause or --stop.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="No new runs; running ones are killed. Final.")] = False,
    update: Annotated[
        str | None,
        typer.Option(metavar="CONFIG", help="Go on with another cap, other bands, or more points of a grid."),
    ] = None,
    prior_run: PriorRuns = None,
    storage: Storage = None,
) -> None:
    """Create a sweep: its id on stdout, the agent command on stderr. Or stop, pause, resume, cancel or update one."""
    asked = [name for name, given in zip(_ACTIONS, (stop, pause, resume, cancel), strict=True) if given]
    if len(asked) > 1:
        raise typer.BadParameter(f"--{asked[0]} and --{asked[1]} exclude each other; give one of them")
    if asked and update is not None:
        raise typer.BadParameter(f"--{asked[0]} and --update exclude each other; give one of them")
    if prior_run and (asked or update is not None):
        raise typer.BadParameter(
            "--prior-run goes with the file of a new sweep; to add runs to a sweep that exists, call "
            f"lightsweep.Sweep.load({target!r}).add_prior_runs(...) in Python"
        )
    if not asked and update is None:
        create(target, storage, prior_runs=prior_run or ())
        return
    from lightsweep.controller import Sweep

    if update is not None:
        _update(Sweep.load(target, storage=storage), update)
        return
    found = Sweep.load(target, storage=storage)
    getattr(found, asked[0])()
    say(f"sweep {found.id}: {found.state}", error=True)


_ACTIONS = ("stop", "pause", "resume", "cancel")


def _update(sweep: Sweep, path: str) -> None:
    from lightsweep.schema import SweepConfig

    loaded = SweepConfig.load(path)
    _warn(loaded)
    sweep.update(loaded)
    say(f"sweep {sweep.id} goes on with {path}: {sweep.state}", error=True)


def _warn(config: SweepConfig) -> None:
    for warning in config.warnings:
        say(f"warning: {warning}", error=True)


def create(config: str, storage: str | None, *, prior_runs: Sequence[str] = (), runnable: bool = False) -> Sweep:
    """Create the sweep and say what it will do.

    Args:
        config: The sweep file.
        storage: URL of the storage.
        prior_runs: Sweeps, or runs of them as ``SWEEP/RUN``, that bayes begins with.
        runnable: Whether runs must be possible here; what stands in their way is an error before anything is stored.
    """
    from lightsweep.agents.active_run import RUNS, make_directory
    from lightsweep.agents.closing import storage_option
    from lightsweep.agents.launchers.process import check_command
    from lightsweep.controller import Sweep
    from lightsweep.sampler import make_searcher
    from lightsweep.schema import SweepConfig
    from lightsweep.text import counted

    loaded = SweepConfig.load(config)
    _warn(loaded)
    if runnable:
        check_command(loaded, str(Path(config).resolve().parent))
        make_searcher(loaded, loaded.options.seed or 0)
        make_directory(RUNS)
    made = Sweep.create(loaded, prior_runs=prior_runs, storage=storage)
    say(made.id)
    if prior_runs or loaded.options.prior_runs:
        say(f"begins with {counted(len(made.runs), 'prior run')}", error=True)
    say(f"{_describe(loaded)}\nstart agents with: lightsweep agent {made.id}{storage_option(made)}", error=True)
    return made


def _describe(config: SweepConfig) -> str:
    """What is worth a line at creation: the grid's size, the bands, what ends the sweep."""
    from lightsweep.cli.output import outline, parameter_count
    from lightsweep.schema.sections import bands_text
    from lightsweep.text import counted

    size = config.space.size
    lines = [f"created a {config.method} sweep over {parameter_count(config, config.searched())}"]
    if not config.is_flat:
        lines = [f"created a sweep {outline(config)}"]
    elif config.method == "grid":
        lines[0] += f", {counted(size or 0, 'point')}"
    if config.early_terminate is not None and config.is_flat:
        lines.append(f"bands (iterations of the metric): {bands_text(config.early_terminate) or 'none'}")
    lines.append(
        f"it ends by itself: {config.ends}"
        if config.ends
        else "it never ends by itself: set run_cap, give agents --count, or use `lightsweep sweep --stop`"
    )
    return "\n".join(lines)
