"""``lightsweep ls``: the sweeps of a storage."""

from __future__ import annotations

from lightsweep.cli.options import Storage

__all__ = ["ls"]


def ls(storage: Storage = None) -> None:
    """List the sweeps of a storage: id, state, method, runs, best value, name."""
    from lightsweep.cli.output import aligned, besides, looking, say
    from lightsweep.controller import Sweep, summarize
    from lightsweep.errors import StorageError
    from lightsweep.text import counted, number, printable

    rows = []
    for sweep in Sweep.all(storage=looking(storage)):
        try:
            state = sweep.state
        except StorageError as error:
            say(f"{error}; it is left out", error=True)
            continue
        seen = summarize(sweep)
        best = seen.best
        metric = sweep.config.metric
        rows.append(
            [
                sweep.id,
                state.name,
                sweep.config.method,
                counted(seen.total, "run") + besides(seen.priors),
                printable(f"{metric.name} {number(best.best)}") if best and best.best is not None and metric else "–",
                sweep.created.astimezone().strftime("%Y-%m-%d %H:%M"),
                printable(sweep.config.name or ""),
            ]
        )
    if rows:
        print(aligned(["id", "state", "method", "runs", "best", "created", "name"], rows))
    else:
        print("no sweeps yet; create one with: lightsweep sweep CONFIG.yaml")
