"""``lightsweep check``: validate a sweep file and show what it would do."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightsweep.cli.options import Config
from lightsweep.cli.say import say

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig

__all__ = ["check"]

_SAMPLES = 3


def check(
    config: Config,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Run the program once, on one batch, outside of any sweep.")
    ] = False,
    smoke_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="End the smoke run after this time.")
    ] = 300.0,
) -> None:
    """Validate a sweep file: its space, grid, bands, stages, three sample commands, and whether it ever ends."""
    from lightsweep.schema import SweepConfig, explain

    loaded = SweepConfig.load(config)
    if loaded.options.prior_runs:
        from lightsweep.controller import check_takes_prior_runs

        check_takes_prior_runs(loaded)  # as `lightsweep sweep` will; that they exist only the storage can tell
    say(explain(loaded, whole=not sys.stdout.isatty()))
    say(_samples(loaded))
    if smoke:
        from lightsweep.cli.smoke import smoke as run_once

        raise typer.Exit(run_once(loaded, smoke_timeout))


def _samples(config: SweepConfig) -> str:
    from lightsweep.command import build_command
    from lightsweep.errors import CommandError
    from lightsweep.sampler import make_proposer

    proposer = make_proposer(config, config.options.seed or 0)
    lines = []
    for ticket in range(_SAMPLES):
        values = proposer.propose(ticket, [])
        if values is None:
            break
        if config.program is None and config.command is None:
            shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        else:
            try:
                command = build_command(
                    config.program,
                    config.command,
                    values,
                    config.space.nest(values),
                    json_path=Path(os.devnull),
                )
            except CommandError as error:
                return f"\nsample commands: {error}"
            shown = shlex.join(command)
        lines.append(f"  {shown}")
    what = (
        "sample parameters (for a function)" if config.program is None and config.command is None else "sample commands"
    )
    if config.stages:
        what += f" of {config.stages[0].name!r}"
    return "\n".join([f"\n{what}:", *lines])
