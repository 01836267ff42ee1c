"""``lightsweep storage``: a database for sweeps, copies of it, and a check for damage."""

from __future__ import annotations

import typer

from lightsweep.errors import LightsweepError

storage = typer.Typer(
    help="Start a database for several machines, copy sweeps between databases, or check one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@storage.callback()
def _group() -> None:
    """Keep the name of a single command: typer would drop it."""


@storage.command()
def serve() -> None:
    """Start a PostgreSQL server for sweeps, until Ctrl-C."""
    raise LightsweepError("not built yet")
