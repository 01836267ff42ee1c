"""``lightsweep rm``: remove the files of runs, and whole sweeps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import optuna
import typer

from lightsweep.agents.run_files import elsewhere, measure, remove, run_directories, sweep_directories
from lightsweep.cli.options import Storage, run_of
from lightsweep.cli.output import say
from lightsweep.controller import RunState, Sweep, SweepRun, SweepStatus
from lightsweep.controller.changes import request, sweep_and_run
from lightsweep.controller.reader import storage_errors
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.storage.copying import copies
from lightsweep.text import counted, printable

_SHOWN = 5


def rm(
    targets: Annotated[list[str], typer.Argument(metavar="ID|ID/RUN", help="Sweeps, or runs of sweeps.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    storage: Storage = None,
) -> None:
    """Remove sweeps with their runs, or the files of runs.

    Of a run the directory is removed; its values and numbers stay, since later runs follow from them. Of a sweep
    everything is removed, in the storage too. A run that is running, or waits for a retry, is refused. Files stay if
    the sweep was copied to another storage, which uses them.

    For example: lightsweep rm k3v9x2ab/0007
    """
    sweeps: dict[str, Sweep] = {}
    chosen: dict[str, list[SweepRun] | None] = {}  # None: the whole sweep
    for target in dict.fromkeys(targets):
        of, run_id = sweep_and_run(target)
        if of not in sweeps:
            sweeps[of] = Sweep.load(of, storage=storage)
            if sweeps[of].id != of:  # what cannot be undone is named in full
                raise UsageError(f"rm needs the whole id of a sweep: {of!r} is {sweeps[of].id}")
        runs = chosen.setdefault(of, [])
        if not run_id:
            chosen[of] = None
        elif runs is not None:
            runs.append(run_of(sweeps[of], run_id))
    for of, runs in chosen.items():
        _check_ended(sweeps[of], sweeps[of].runs if runs is None else runs)
    copied = {of: _copies(sweeps[of]) for of in chosen}
    for of, runs in chosen.items():
        if copied[of] and runs is not None:
            raise UsageError(
                f"sweep {of} was copied to {copied[of]}, and the copy uses the files of {_names(runs)}\n"
                "remove them there, with --storage"
            )
    plans = {of: [] if copied[of] else _directories(sweeps[of], runs) for of, runs in chosen.items()}
    for of, runs in chosen.items():
        _announce(sweeps[of], runs, plans[of], copied[of])
    if not yes:
        _ask()
    for of, runs in chosen.items():
        if runs is None:
            _remove_sweep(sweeps[of], plans[of])
        else:
            _remove_directories(plans[of])
            say(f"removed the files of {_names(runs)} of sweep {of}")


def _check_ended(sweep: Sweep, runs: Sequence[SweepRun]) -> None:
    running = [run for run in runs if run.state == RunState.RUNNING]
    if running:
        end = f"lightsweep cancel {sweep.id}{sweep.storage.option}"
        raise UsageError(
            f"sweep {sweep.id}: {_names(running)} {'is' if len(running) == 1 else 'are'} running; wait for the end, or "
            f"end all runs with: {end}"
        )
    waiting = [run for run in runs if run.waiting]
    if waiting:
        stop = f"lightsweep stop {sweep.id}{sweep.storage.option}"
        raise UsageError(
            f"sweep {sweep.id}: agents will retry {_names(waiting)}; start no more runs with: {stop}, and try again"
        )


def _directories(sweep: Sweep, runs: Sequence[SweepRun] | None) -> list[Path]:
    if runs is None:
        return sweep_directories(sweep, sweep.known_runs())
    return [path for run in runs for path in run_directories(sweep, run)]


def _copies(sweep: Sweep) -> str:
    """Return the storages to which a sweep was copied; empty if it was not."""
    with storage_errors():
        return ", ".join(copies(sweep.storage, sweep.study_id))


def _announce(sweep: Sweep, runs: Sequence[SweepRun] | None, directories: Sequence[Path], copied: str) -> None:
    if copied:
        say(
            f"sweep {sweep.id}: removes it from {sweep.storage}; the files of its runs stay, since its copy in "
            f"{printable(copied)} uses them",
            error=True,
        )
        return
    files, size = measure(directories)
    what = f"{counted(files, 'file')} ({_bytes(size)})"
    if runs is None:
        count = sum(not run.prior for run in sweep.known_runs())
        say(f"sweep {sweep.id}, {counted(count, 'run')}: removes it from {sweep.storage}, and {what}", error=True)
    else:
        say(f"{_names(runs)} of sweep {sweep.id}: removes {what}; parameters and metrics stay", error=True)
    for path in directories[:_SHOWN]:
        say(f"  {printable(str(path))}", error=True)
    if len(directories) > _SHOWN:
        say(f"  and {len(directories) - _SHOWN} more", error=True)
    for place in elsewhere(directories, sweep.known_runs() if runs is None else runs)[:_SHOWN]:
        say(f"  not on this machine, so it stays: {printable(place)}", error=True)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: --yes is needed without a terminal to ask on")
    if not typer.confirm("remove this?", err=True):
        raise LightsweepError("nothing was removed")


def _remove_sweep(sweep: Sweep, directories: Sequence[Path]) -> None:
    if sweep.state.name in (SweepStatus.RUNNING, SweepStatus.PAUSED):
        request(sweep, "stop")  # so that no agent begins a run meanwhile
    _check_ended(sweep, sweep.runs)
    _remove_directories(directories)
    optuna.delete_study(study_name=sweep.id, storage=sweep.storage.optuna)
    say(f"removed sweep {sweep.id}")


def _remove_directories(directories: Sequence[Path]) -> None:
    try:
        for path in directories:
            remove(path)
    except OSError as error:
        raise LightsweepError(f"{error.filename} cannot be removed: {error.strerror}; the rest stays") from None


def _names(runs: Sequence[SweepRun]) -> str:
    shown = ", ".join(run.id for run in runs[:_SHOWN])
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return f"run{'' if len(runs) == 1 else 's'} {shown}{more}"


def _bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
