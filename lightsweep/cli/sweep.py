"""``lightsweep sweep``: create a sweep, or control one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightsweep.cli.options import Storage

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
    storage: Storage = None,
) -> None:
    """Create a sweep: its id on stdout, the agent command on stderr. Or stop, pause, resume or cancel one."""
    asked = [name for name, given in zip(_ACTIONS, (stop, pause, resume, cancel), strict=True) if given]
    if len(asked) > 1:
        raise typer.BadParameter(f"--{asked[0]} and --{asked[1]} exclude each other; give one of them")
    if not asked:
        create(target, storage)
        return
    from lightsweep.controller import Sweep

    found = Sweep.load(target, storage=storage)
    getattr(found, asked[0])()
    print(f"sweep {found.id}: {found.state}", file=sys.stderr)


_ACTIONS = ("stop", "pause", "resume", "cancel")


def create(config: str, storage: str | None, *, runnable: bool = False) -> Sweep:
    """Create the sweep and say what it will do.

    Args:
        config: The sweep file.
        storage: URL of the storage.
        runnable: Whether runs must be possible here; what stands in their way is an error before anything is stored.
    """
    from lightsweep.agents.closing import storage_option
    from lightsweep.agents.directory import RUNS, make_directory
    from lightsweep.agents.program import check_command
    from lightsweep.controller import Sweep
    from lightsweep.schema import SweepConfig

    loaded = SweepConfig.load(config)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if runnable:
        check_command(loaded, str(Path(config).resolve().parent))
        make_directory(RUNS)
    made = Sweep.create(loaded, storage=storage)
    print(made.id)
    sys.stdout.flush()
    print(f"{_describe(loaded)}\nstart agents with: lightsweep agent {made.id}{storage_option(made)}", file=sys.stderr)
    return made


def _describe(config: SweepConfig) -> str:
    """What is worth a line at creation: the grid's size, the bands, what ends the sweep."""
    from lightsweep.cli.tables import counted

    size = config.space.size
    lines = [f"created a {config.method} sweep over {counted(len(config.space.searched), 'parameter')}"]
    if config.method == "grid":
        lines[0] += f", {counted(size or 0, 'point')}"
    if config.early_terminate is not None:
        hyperband = config.early_terminate
        endless = hyperband.max_iter is None
        bands = (
            hyperband.bands(upto=(hyperband.min_iter or 1) * int(hyperband.eta**4)) if endless else hyperband.bands()
        )
        text = ", ".join(map(str, bands)) or "none"
        lines.append(f"bands (iterations of the metric): {text}{', ...' if endless else ''}")
    lines.append(
        f"it ends by itself: {config.ends}"
        if config.ends
        else "it never ends by itself: set run_cap, give agents --count, or use `lightsweep sweep --stop`"
    )
    return "\n".join(lines)
