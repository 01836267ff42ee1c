"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "Config",
    "Count",
    "ForwardSignals",
    "Gpus",
    "GpusPerRun",
    "Jobs",
    "MaxFailed",
    "PriorRuns",
    "Stay",
    "Storage",
    "SweepId",
    "TermTimeout",
]

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A sweep file (YAML).")]
SweepId = Annotated[str, typer.Argument(metavar="ID", help="The sweep's id.")]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Database URL or SQLite file; LIGHTSWEEP_STORAGE or lightsweep.db by default."),
]
Count = Annotated[int | None, typer.Option(min=1, metavar="N", help="Leave after N runs.")]
Gpus = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="A run at a time on each of these GPUs: 0,1,2 or all. Sets CUDA_VISIBLE_DEVICES."
    ),
]
GpusPerRun = Annotated[int, typer.Option(min=1, metavar="N", help="GPUs for each run, with --gpus.")]
Jobs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of runs at once, 1 by default.")]
PriorRuns = Annotated[
    list[str] | None,
    typer.Option(metavar="ID[/RUN]", help="Let bayes begin with the runs of another sweep; may be repeated."),
]
MaxFailed = Annotated[
    int | None,
    typer.Option("--max-consecutive-failed-runs", min=1, metavar="N", help="Leave after N failed runs in a row."),
]
Stay = Annotated[
    bool, typer.Option("--stay", help="Leave only when every run is over, to start again what other agents lose.")
]
ForwardSignals = Annotated[bool, typer.Option(help="Pass SIGUSR1, SIGUSR2 and SIGHUP on to the runs.")]
TermTimeout = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="From SIGTERM to SIGKILL when a run is ended.")
]
