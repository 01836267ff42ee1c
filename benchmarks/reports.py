"""The time that a training step waits for one report.

``run.log`` in a run's process that an agent started, answered by that agent, beside ``trial.report`` and
``trial.should_prune`` with Optuna's HyperbandPruner, in a process that has read the study once, on each of four
storages: SQLite with Optuna's defaults, SQLite in WAL mode, a journal file, and the memory of that process. They take
turns run by run, and each trains for 5 ms before a report. At a band (iterations 3 and 9, which are rungs of Optuna's
pruner too) all compare with the other runs. Other runs log 200 metrics at once; Optuna's process keeps them by one
``trial.set_user_attr``.

The last table is a loop with a step each millisecond that logs 200 metrics, beside the same loop without logs. It
fails if the storage lacks a value of the sweep's metric, or the last value of another.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Listener
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, EARLY, GOOD, METRIC, REPORTS, config, optuna_study, sweep_with_runs
from benchmarks.processes import AGENT, PROGRAMS, finish, running
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison
from lightsweep.hyperband import Hyperband

__all__ = ["tables"]

_METRICS = 200
_OURS = "lightsweep"

_KINDS = ("below a band", "at a band", f"{_METRICS} metrics")
_PEERS: dict[str, tuple[float | None, float | None]] = {
    "SQLite": (0.1, 0.25),
    "SQLite, WAL": (None, None),
    "journal file": (0.2, 1.0),
    "memory": (None, None),
}
"""Optuna's storages, with the bounds of the ratios below a band and at one; for those at 1,000 runs or fewer."""

_Samples = dict[str, dict[str, list[float]]]
"""Seconds by kind of report and by side: ours, or a storage of Optuna's."""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table for each peer: lines below a band, at a band, and with many metrics, for each number of runs."""
    found = {runs: _measure(directory, runs, scale.live_runs) for runs in scale.runs}
    for peer, (below, at_band) in _PEERS.items():
        rows = [
            Row(
                f"{kind}, {runs:,} runs",
                Figure.of(samples[kind][_OURS]),
                Figure.of(samples[kind][peer]),
                most=0.1e-3 if kind == _KINDS[0] and peer == "SQLite" else None,
                most_ratio=at_band if kind == _KINDS[1] else below,
            )
            for runs, samples in found.items()
            for kind in _KINDS
        ]
        yield comparison(f"One report, beside Optuna's: {peer}", rows, "report + should_prune")
    yield _often(directory, scale)


def _often(directory: Path, scale: Scale) -> Table:
    """A loop that logs a thousand times a second."""
    steps = 1_000 * min(scale.repeats, 10)
    found = {}
    for metrics in (_METRICS, 0):
        place = directory / f"often-{metrics}"
        place.mkdir()
        out = place / "found.json"
        raw = config("random", CONTINUOUS, PROGRAMS / "log_often.py")
        raw |= {"command": [sys.executable, "${program}", str(out), str(steps), str(metrics)]}
        del raw["early_terminate"]
        sweep = sweep_with_runs(place, raw, 0, f"often-{metrics}")
        finish([*AGENT, sweep.id, "--count", "1", "--storage", sweep.storage.url], place)
        found[metrics] = json.loads(out.read_text())
        sweep.refresh()
        (run,) = sweep.runs
        last = {METRIC: 1.0 / steps, **{f"other{number}": steps / number for number in range(1, metrics)}}
        if metrics and (run.iterations != steps or {name: each["last"] for name, each in run.metrics.items()} != last):
            raise RuntimeError(f"the storage has {run.iterations} of {steps} logs, or other last values")
        sweep.storage.close()
    ours, bare = found[_METRICS], found[0]
    rows = [
        Row(f"{steps:,} steps", Figure.of([ours["total"]]), Figure.of([bare["total"]]), most_ratio=1.01),
        Row("one log", Figure.of(ours["spent"]), most=0.5e-3),
    ]
    return comparison(f"A step each millisecond with {_METRICS} metrics, none lost", rows, "without logs")


def _measure(directory: Path, runs: int, live_runs: int) -> _Samples:
    """Reports of ``live_runs`` runs of each kind: with few metrics and with many."""
    raw = config("random", CONTINUOUS, PROGRAMS / "log_ours.py")
    bands = Hyperband(max_iter=EARLY["max_iter"], s=EARLY["s"], min_iter=None).bands()
    sweep = sweep_with_runs(directory, raw, runs, f"reports-ours-{runs}")
    study = optuna_study(directory, raw, runs, f"reports-optuna-{runs}")
    commands = {_OURS: [*AGENT, sweep.id, "--count", str(2 * live_runs), "--storage", sweep.storage.url]}
    for peer in _PEERS:
        commands[peer] = [sys.executable, str(PROGRAMS / "log_optuna.py"), peer, study.url, study.name]
    samples: _Samples = {kind: {side: [] for side in commands} for kind in _KINDS}
    with ExitStack() as stack:
        doors = {side: stack.enter_context(Listener(family="AF_UNIX")) for side in commands}
        for number, (side, command) in enumerate(commands.items()):
            place = directory / f"{number}-{runs}"
            place.mkdir()
            stack.enter_context(running(command, place, {"BENCH_ADDRESS": str(doors[side].address)}))
        peers = {peer: stack.enter_context(doors[peer].accept()) for peer in _PEERS}
        for number in range(2 * live_runs):
            others = {f"other{place}": place / 7 for place in range(1, _METRICS)} if number % 2 else {}
            for peer in peers.values():
                peer.send("trial")
                peer.recv()
            with doors[_OURS].accept() as ours:
                for side, connection in {_OURS: ours, **peers}.items():
                    for iteration in range(1, REPORTS + 1):
                        kind = _KINDS[1] if iteration in bands else _KINDS[2] if others else _KINDS[0]
                        connection.send({"val_loss": GOOD + 0.01 / iteration, **others})
                        seconds = connection.recv()
                        if not (others and iteration in bands):
                            samples[kind][side].append(seconds)
                for connection in (ours, *peers.values()):
                    connection.send(None)
        for peer in peers.values():
            peer.send("end")
    return samples
