"""Whole sweeps of Lightning trainings, from the command to its end.

The demo (``make demo``: 20 runs of at most 27 epochs, two at once), warm beside cold. Runs with the same parameters
must have the same curve in both, as far as both go: with two runs at once, the order in which they end decides on
later parameters.

Then 30 runs of the demo's script, one after the other, each with a learning rate of its own and without early
termination, beside the same trainings by ``study.optimize`` in one process, with Optuna's storage in memory.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import PROGRAMS, finish
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison
from lightsweep.controller import Sweep, SweepRun
from lightsweep.storage import open_storage

__all__ = ["tables"]

_DEMO = Path(__file__).parents[1] / "examples" / "lightning_digits"
_RUN = (sys.executable, "-m", "lightsweep", "run", "sweep.yaml")
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """Each table has one sample: it takes minutes."""
    small = scale.repeats < 10
    raw = yaml.safe_load((_DEMO / "sweep.yaml").read_text())
    if small:
        raw["run_cap"] = 6
    warm, cold = (_sweep(directory / f"demo{len(way)}", raw, "--jobs", "2", *way) for way in ([], ["--cold"]))
    same = _same_curves(warm[1], cold[1])
    name = f"{raw['run_cap']} runs; {same} with the same parameters in both, each with the same curve"
    rows = [Row(name, Figure.of([warm[0]]), Figure.of([cold[0]]), most_ratio=0.6)]
    yield comparison("The demo, warm", rows, "cold")

    count, epochs = (5, 3) if small else (30, 27)
    rates = [round(1e-4 * 1.2**number, 7) for number in range(count)]
    raw |= {"method": "grid", "parameters": {"learning_rate": {"values": rates}, "epochs": {"value": epochs}}}
    for key in ("early_terminate", "run_cap"):
        del raw[key]
    ours, _ = _sweep(directory / "ours", raw)
    place = directory / "peer"
    shutil.copytree(_DEMO, place)
    begun = time.perf_counter()
    peer = [sys.executable, str(PROGRAMS / "optimize_lightning.py"), str(epochs), *map(str, rates)]
    finish(peer, place, _ONE_THREAD)
    rows = [Row(f"{count} runs", Figure.of([ours]), Figure.of([time.perf_counter() - begun]), most_ratio=1.1)]
    yield comparison(f"The same trainings of {epochs} epochs, each in a process of its own", rows, "study.optimize")


def _sweep(place: Path, raw: dict[str, Any], *options: str) -> tuple[float, list[SweepRun]]:
    """Run a sweep of the demo's script; return its seconds and its runs."""
    shutil.copytree(_DEMO, place)
    (place / "sweep.yaml").write_text(yaml.safe_dump(raw))
    url = f"sqlite:///{place / 'demo.db'}"
    begun = time.perf_counter()
    finish([*_RUN, "--storage", url, *options], place, _ONE_THREAD)
    seconds = time.perf_counter() - begun
    storage = open_storage(url)
    (sweep,) = Sweep.all(storage=storage)
    runs = sweep.runs
    storage.close()
    bad = [run.id for run in runs if run.state not in ("finished", "pruned")]
    if bad:
        raise RuntimeError(f"runs {bad} in {place} have failed")
    return seconds, runs


def _same_curves(ones: list[SweepRun], others: list[SweepRun]) -> int:
    """Return how many runs have the same parameters in both lists.

    Raises:
        RuntimeError: Two of them have different curves.
    """
    same = [(one, other) for one in ones for other in others if one.values == other.values]
    for one, other in same:
        common = min(len(one.history), len(other.history))
        if one.history[:common] != other.history[:common]:
            raise RuntimeError(f"runs {one.id} and {other.id} have different curves with {one.values}")
    return len(same)
