"""Memory of an agent, and the time of a look at a sweep.

The memory is the peak of a process of its own that does some runs more (``peak.py``); the peer is a process that loads
the study and does one trial with a random sampler. ``status`` is the whole command, with its start; the peer is
``optuna trials``, which prints every trial.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, FINITE, config, optuna_study, sweep_with_runs
from benchmarks.processes import PROGRAMS, environment, finish
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison, timed

__all__ = ["tables"]

_REPEATS = 3
_RUNS = 3


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """A table for memory and one for ``status``, at the greatest number of runs."""
    runs = scale.runs[-1]
    program = PROGRAMS / "stamps.py"
    sweeps = {
        method: sweep_with_runs(directory, config(method, parameters, program), runs, method)
        for method, parameters in (("grid", FINITE), ("random", CONTINUOUS))
    }
    study = optuna_study(directory, config("random", CONTINUOUS), runs, "optuna")
    peer = _peak(directory, [str(PROGRAMS / "optuna_run.py"), study.url, study.name])
    rows = []
    for method, sweep in sweeps.items():
        command = ["lightsweep", "agent", sweep.id, "--count", str(_RUNS), "--storage", sweep.storage.url]
        rows.append(Row(f"{method} agent, {runs:,} runs", _peak(directory, command), peer, most=300))
    yield comparison("Peak memory", rows, "one trial")

    sweep = sweeps["random"]
    look = [sys.executable, "-m", "lightsweep", "status", sweep.id, "--storage", sweep.storage.url]
    trials = [str(Path(sys.executable).parent / "optuna"), "trials", "--study-name", study.name]
    ours = [Figure.of([_time(directory, [*look, *more]) for _ in range(_REPEATS)]) for more in ([], ["--json"])]
    listed = Figure.of([_time(directory, [*trials, "--storage", study.url, "--format", "json"])])
    yield comparison(
        "A look",
        [
            Row(f"lightsweep status, {runs:,} runs", ours[0], listed, most=2.0),
            Row(f"lightsweep status --json, {runs:,} runs", ours[1], listed, most=2.0),
        ],
        "optuna trials",
    )


def _peak(directory: Path, arguments: list[str]) -> Figure:
    output = directory / "peak.txt"
    finish(
        [sys.executable, str(PROGRAMS / "peak.py"), str(output), *arguments],
        directory,
        {"BENCH_STAMPS": str(directory / "stamps.txt")},
    )
    return Figure.of([float(output.read_text())], "MB")


def _time(directory: Path, command: list[str]) -> float:
    with (directory / "printed.txt").open("wb") as sink:
        return timed(
            lambda: subprocess.run(command, cwd=directory, env=environment(), check=True, stdout=sink, stderr=sink)
        )
