"""Options that several commands share, and the sweep and storage that they name."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from lightsweep.controller import Sweep, SweepRun
from lightsweep.controller.changes import sweep_and_run
from lightsweep.errors import LightsweepError, NotFoundError, UsageError, closest
from lightsweep.stand_in import STAND_INS
from lightsweep.storage import Storage as OpenStorage
from lightsweep.storage import default_url, open_storage

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A sweep file (YAML).")]


def ids(incomplete: str) -> list[tuple[str, str]]:
    """Return the sweeps whose ids a shell may complete, each with a description; none if there is no storage."""
    with suppress(LightsweepError):
        sweeps = Sweep.all(storage=open_read_only(None))
        return [(each.id, each.config.name or each.config.method) for each in sweeps if each.id.startswith(incomplete)]
    return []


SweepId = Annotated[
    str, typer.Argument(metavar="ID", help="The sweep: its id, the beginning of it, or latest.", autocompletion=ids)
]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Database URL or SQLite file; LIGHTSWEEP_STORAGE or lightsweep.db by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only failures, warnings and the result; no live view.")
]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="The sweep's name, instead of the file's.")]
Project = Annotated[str | None, typer.Option(metavar="NAME", help="A label, as in W&B.")]
Entity = Annotated[str | None, typer.Option(metavar="NAME", help="A label, as in W&B.")]
Ignored = Annotated[str | None, typer.Option(metavar="NAME", hidden=True)]
Count = Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N runs.")]
Gpus = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help="Run one training on each of these GPUs: 0,1,2 or all. Sets CUDA_VISIBLE_DEVICES."
    ),
]
GpusPerRun = Annotated[int, typer.Option(min=1, metavar="N", help="GPUs for each run, with --gpus.")]
Jobs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Runs at the same time; 1 by default.")]
PriorRuns = Annotated[
    list[str] | None,
    typer.Option(metavar="ID[/RUN]", help="Let bayes learn from the runs of another sweep; may be repeated."),
]
MaxFailed = Annotated[
    int | None,
    typer.Option("--max-consecutive-failed-runs", min=1, metavar="N", help="End after N failed runs in a row."),
]
Stay = Annotated[
    bool, typer.Option("--stay", help="End only when all runs have ended, and retry runs that other agents lose.")
]
ForwardSignals = Annotated[
    bool, typer.Option("--forward-signals", help="Forward SIGUSR1, SIGUSR2 and SIGHUP to the runs.")
]
TermTimeout = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="Time between SIGTERM and SIGKILL if the agent ends a run.")
]

NodesPerRun = Annotated[
    int, typer.Option(min=1, metavar="N", help="Nodes for each run: all nodes of the agent's Slurm job, by srun.")
]
Drain = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="Begin no run so shortly before the end of the agent's job: 10m, 90s or 1h30m."
    ),
]
WaitForStorage = Annotated[
    bool, typer.Option("--wait-for-storage", help="Wait until the storage answers, such as one that a job starts.")
]


def _known(name: str | None) -> str | None:
    if name is not None and name not in STAND_INS:
        raise UsageError(f"lightsweep can stand in for {', '.join(STAND_INS)} only, not for {name!r}")
    return name


Cold = Annotated[
    bool,
    typer.Option("--cold", help="Start Python anew for each run, even if runs could share the script's imports."),
]
StandIn = Annotated[
    str | None,
    typer.Option(
        "--stand-in",
        metavar="wandb",
        callback=_known,
        help="Let programs that import wandb find lightsweep, without a changed line.",
    ),
]


def open_read_only(storage: str | None) -> OpenStorage:
    """Open the storage of ``--storage``, or the default one, even if this user may not write to it."""
    return open_storage(storage or default_url(), create=False, look=True)


def read_sweep(sweep_id: str, storage: str | None) -> Sweep:
    """Load a sweep for a command that only reads it."""
    return Sweep.load(sweep_id, storage=open_read_only(storage))


def run_of(sweep: Sweep, name: str) -> SweepRun:
    """Return the run that ``RUN``, ``SWEEP/RUN`` or ``SWEEP-RUN`` names.

    Raises:
        NotFoundError: The sweep has no such run.
    """
    runs = {run.id: run for run in sweep.runs}
    of, run_id = sweep_and_run(name, sweep.id)
    if of != sweep.id or run_id not in runs:
        raise NotFoundError(f"sweep {sweep.id} has no run {name!r}{_hint(run_id, list(runs))}")
    return runs[run_id]


def _hint(run_id: str, runs: list[str]) -> str:
    if run_id.isdecimal() and len(runs) > 1:
        return f"; its runs are {runs[0]} to {runs[-1]}"
    return closest(run_id, runs)
