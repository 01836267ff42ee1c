"""``lightsweep retry``: let agents start runs again."""

from __future__ import annotations

from typing import Annotated

import typer

from lightsweep.cli.options import Storage, SweepId

__all__ = ["retry"]


def retry(
    sweep_id: SweepId,
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN ...]", help="Ids of runs.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Every run that failed, was killed, or was lost too often.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Let agents start runs again that failed, were killed, or were lost too often."""
    from lightsweep.agents.closing import storage_option
    from lightsweep.controller import Sweep

    if not runs and not failed:
        raise typer.BadParameter("say which runs: their ids, or --failed")
    sweep = Sweep.load(sweep_id, storage=storage)
    again = sweep.retry(*(runs or ()), failed=failed)
    if not again:
        print("no run ended without a result")
        return
    print(f"to be started again: {', '.join(again)}")
    print(f"by any agent of the sweep: lightsweep agent {sweep.id}{storage_option(sweep)}")
