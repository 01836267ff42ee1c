"""``lightsweep apply``: run a command with the best run's parameters."""

from __future__ import annotations

from typing import Annotated

import typer

from lightsweep.cli.options import Storage, SweepId
from lightsweep.cli.output import say

__all__ = ["apply"]


def apply(
    sweep_id: SweepId,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND ...", help="Macros as in a sweep file; the sweep's own by default."),
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Another run than the best one, by its id.")] = None,
    storage: Storage = None,
) -> None:
    """Run a command with the parameters of the best run in place, in its arguments and in `lightsweep.init()`."""
    from lightsweep.agents.apply import apply
    from lightsweep.cli.output import looking
    from lightsweep.controller import Sweep
    from lightsweep.errors import LightsweepError, NotFoundError, UsageError, closest
    from lightsweep.text import number

    sweep = Sweep.load(sweep_id, storage=looking(storage))
    if run is None:
        chosen = sweep.best_run
        if chosen is None:
            raise LightsweepError(
                f"sweep {sweep.id}: no run has a value of a metric, so there is no best one; choose one with --run"
            )
    else:
        runs = {each.id: each for each in sweep.runs}
        if run not in runs:
            raise NotFoundError(f"sweep {sweep.id} has no run {run!r}{closest(run, runs)}")
        chosen = runs[run]
    if chosen.prior:
        raise UsageError(f"run {chosen.id} is a prior run, {chosen.reason}; apply it from the sweep that ran it")
    metric = sweep.config.metric
    value = f": {metric.name} {number(chosen.best)}" if metric and chosen.best is not None else ""
    say(f"run {chosen.id} ({chosen.standing}){value}", error=True)
    raise typer.Exit(apply(sweep, chosen, command or ()))
