"""``lightsweep check``: validate a sweep file and show what it would do."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightsweep.cli.options import Config
from lightsweep.cli.say import say

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig

__all__ = ["check"]

_SAMPLES = 3
_JSON_FILE = "lightsweep_runs/SWEEP/RUN/parameters.json"


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
                shown = _command(config, values)
            except CommandError as error:
                return f"\nsample commands: {error}"
        lines.append(f"  {shown}")
    what = (
        "sample parameters (for a function)" if config.program is None and config.command is None else "sample commands"
    )
    if config.stages:
        what += f" of {config.stages[0].name!r}"
    return "\n".join([f"\n{what}:", *lines])


def _command(config: SweepConfig, values: Mapping[str, Any]) -> str:
    """The command of a run with these values; below it, where it names a file of them, what that will hold."""
    from lightsweep.command import build_command

    nested = config.space.nest(values)
    with tempfile.TemporaryDirectory(prefix="lightsweep-check-") as scratch:
        path = Path(scratch) / "parameters.json"
        command = build_command(config.program, config.command, values, nested, json_path=path)
        line = shlex.join(item.replace(str(path), _JSON_FILE) for item in command)
        return f"{line}\n    {_JSON_FILE}: {json.dumps(nested)}" if path.exists() else line
