"""The cost of a callback in a Lightning training, for each validation.

A tiny model, trained with our callback in a run that a real agent started, beside the same training with
optuna-integration's `PyTorchLightningPruningCallback` (Optuna's HyperbandPruner and default SQLite storage, in a
process that has read the study once) and beside one without a callback. The three take turns, an epoch each. All
storages hold the same finished runs. First what the callback's own hooks take, then the whole epoch with its
validation. Ours meets a band at the validations 3 and 9; the peer counts epochs from 0, and meets a rung one later.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection, Listener
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, REPORTS, config, optuna_study, sweep_with_runs
from benchmarks.processes import AGENT, PROGRAMS, running
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison

__all__ = ["tables"]

_PROGRAM = PROGRAMS / "train.py"
_OUR_BANDS = (3, 9)
_PEER_RUNGS = (2, 4, 10)
"""Validations at which the peer is at a rung: epochs 1, 3 and 9, counted from 0; the first is no band of ours."""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """Two tables: the hooks below a band and at one, and the whole epoch; one that says what is missing otherwise."""
    missing = [name for name in ("lightning", "optuna_integration") if importlib.util.find_spec(name) is None]
    if missing:
        remedy = "pip install lightsweep[lightning] optuna-integration[pytorch_lightning]"
        yield Table("Not measured", ["not installed", "remedy"], [[", ".join(missing), f"`{remedy}`"]])
        return
    samples = _measure(directory, scale.observations, max(1, scale.live_runs // 2))
    hooks = {side: [[spent for _, spent in run] for run in runs] for side, runs in samples.items()}
    epochs = {side: Figure.of([seconds for run in runs for seconds, _ in run]) for side, runs in samples.items()}
    below = (_those(hooks["ours"], _OUR_BANDS, within=False), _those(hooks["optuna"], _PEER_RUNGS, within=False))
    at_band = (_those(hooks["ours"], _OUR_BANDS), _those(hooks["optuna"], _PEER_RUNGS[1:]))
    yield comparison(
        f"The callback, one validation, {scale.observations:,} runs",
        [
            Row("below a band", *below, most_ratio=0.25),
            Row("at a band", *at_band, most_ratio=1.0),
        ],
        "optuna-integration",
    )
    yield comparison(
        f"One epoch with its validation, {scale.observations:,} runs",
        [
            Row("with the callback, beside its peer", epochs["ours"], epochs["optuna"]),
            Row("with the callback, beside none", epochs["ours"], epochs["none"]),
        ],
        "other",
    )


def _those(runs: list[list[float]], validations: tuple[int, ...], *, within: bool = True) -> Figure:
    """The samples of these validations, counted from 1, or of all others."""
    return Figure.of(
        [seconds for run in runs for number, seconds in enumerate(run, start=1) if (number in validations) == within]
    )


def _measure(directory: Path, runs: int, live_runs: int) -> dict[str, list[list[tuple[float, float]]]]:
    """For each side and each of its trainings the seconds of every epoch and of the hooks in it."""
    raw = config("random", CONTINUOUS, _PROGRAM)
    raw["command"] = ["${interpreter}", "${program}", "ours"]
    sweep = sweep_with_runs(directory, raw, runs, "training-ours")
    study = optuna_study(directory, raw, runs, "training-optuna")
    program = [sys.executable, str(_PROGRAM)]
    commands = {
        "ours": [*AGENT, sweep.id, "--count", str(live_runs), "--storage", sweep.storage.url],
        "optuna": [*program, "optuna", study.url, study.name],
        "none": [*program, "none"],
    }
    samples: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in commands}
    with ExitStack() as stack:
        doors = {name: stack.enter_context(Listener(family="AF_UNIX")) for name in commands}
        for name, command in commands.items():
            place = directory / name
            place.mkdir()
            variables = {"BENCH_ADDRESS": str(doors[name].address), "OMP_NUM_THREADS": "1"}
            stack.enter_context(running(command, place, variables))
        others = {name: stack.enter_context(doors[name].accept()) for name in ("optuna", "none")}
        for _ in range(live_runs):
            for other in others.values():
                other.send("trial")
            with doors["ours"].accept() as ours:
                for name, epochs in _epochs({"ours": ours, **others}).items():
                    samples[name].append(epochs)
        for other in others.values():
            other.send("end")
    return samples


def _epochs(sides: dict[str, Connection]) -> dict[str, list[tuple[float, float]]]:
    """One training of each side, the sides taking turns."""
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(REPORTS):
        for name, side in sides.items():
            side.send("epoch")
            samples[name].append(side.recv())
    return samples
