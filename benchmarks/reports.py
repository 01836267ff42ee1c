"""The time that a training step waits for one report.

``run.log`` in a run's process that an agent started, answered by that agent, beside ``trial.report`` and
``trial.should_prune`` with Optuna's HyperbandPruner and its default SQLite storage, in a process that has read the
study once. The two take turns, with a pause of 10 ms for the training between. At a band (iterations 3 and 9, which
are rungs of Optuna's pruner too) both compare with the other runs. Other runs log 200 metrics at once; Optuna's process
keeps them by one ``trial.set_user_attr``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Listener
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, EARLY, GOOD, REPORTS, config, optuna_study, sweep_with_runs
from benchmarks.processes import AGENT, PROGRAMS, running
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison
from lightsweep.hyperband import Hyperband

__all__ = ["tables"]

_TRAINING_SECONDS = 0.01
_METRICS = 200

_Pair = tuple[list[float], list[float]]
"""Seconds of ours and of the peer's."""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table: lines below a band, at a band, and with many metrics, for each number of runs."""
    rows = []
    for runs in scale.runs:
        below, at_band, wide = _measure(directory, runs, scale.live_runs)
        rows += [
            Row(f"below a band, {runs:,} runs", Figure.of(below[0]), Figure.of(below[1]), most_ratio=0.25),
            Row(f"at a band, {runs:,} runs", Figure.of(at_band[0]), Figure.of(at_band[1]), most_ratio=1.0),
            Row(f"{_METRICS} metrics, {runs:,} runs", Figure.of(wide[0]), Figure.of(wide[1]), most_ratio=0.25),
        ]
    yield comparison("One report", rows, "report + should_prune")


def _measure(directory: Path, runs: int, live_runs: int) -> tuple[_Pair, _Pair, _Pair]:
    """Reports below a band, at a band, and of many metrics below one, of ``live_runs`` runs of each kind and side."""
    raw = config("random", CONTINUOUS, PROGRAMS / "log_ours.py")
    bands = Hyperband(max_iter=EARLY["max_iter"], s=EARLY["s"], min_iter=None).bands()
    sweep = sweep_with_runs(directory, raw, runs, f"reports-ours-{runs}")
    study = optuna_study(directory, raw, runs, f"reports-optuna-{runs}")
    below: _Pair = ([], [])
    at_band: _Pair = ([], [])
    wide: _Pair = ([], [])
    with ExitStack() as stack:
        doors = [stack.enter_context(Listener(family="AF_UNIX")) for _ in range(2)]
        commands = (
            [*AGENT, sweep.id, "--count", str(2 * live_runs), "--storage", sweep.storage.url],
            [sys.executable, str(PROGRAMS / "log_optuna.py"), study.url, study.name],
        )
        for name, door, command in zip(("ours", "peer"), doors, commands, strict=True):
            place = directory / f"{name}-{runs}"
            place.mkdir()
            stack.enter_context(running(command, place, {"BENCH_ADDRESS": str(door.address)}))
        peer = stack.enter_context(doors[1].accept())
        for number in range(2 * live_runs):
            others = {f"other{place}": place / 7 for place in range(1, _METRICS)} if number % 2 else {}
            peer.send("trial")
            peer.recv()
            with doors[0].accept() as ours:
                for iteration in range(1, REPORTS + 1):
                    if others and iteration in bands:
                        pair: _Pair = ([], [])
                    else:
                        pair = wide if others else at_band if iteration in bands else below
                    for side, samples in zip((ours, peer), pair, strict=True):
                        side.send({"val_loss": GOOD + 0.01 / iteration, **others})
                        samples.append(side.recv())
                        time.sleep(_TRAINING_SECONDS)
                ours.send(None)
                peer.send(None)
        peer.send("end")
    return below, at_band, wide
