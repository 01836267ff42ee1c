"""From the last line of one run's program to the first line of the next one's, with a real agent.

So the figure holds the end of one interpreter and the start of the next, which the peer, a loop that only starts the
same program again and again, shows alone; and the proposal, since method ``random`` needs next to nothing for it.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, config, sweep_with_runs
from benchmarks.processes import AGENT, PROGRAMS, environment, finish
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison

__all__ = ["tables"]

_PROGRAM = PROGRAMS / "stamps.py"


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table: a line for each number of runs."""
    rows = []
    for runs in scale.runs:
        place = directory / str(runs)
        place.mkdir()
        sweep = sweep_with_runs(place, config("random", CONTINUOUS, _PROGRAM), runs, "turnaround")
        stamps = place / "ours.txt"
        command = [*AGENT, sweep.id, "--count", str(scale.repeats + 1), "--storage", sweep.storage.url]
        finish(command, place, {"BENCH_STAMPS": str(stamps)})
        bare = place / "bare.txt"
        for _ in range(scale.repeats + 1):
            subprocess.run(
                [sys.executable, str(_PROGRAM)], cwd=place, env=environment(BENCH_STAMPS=str(bare)), check=True
            )
        rows.append(Row(f"{runs:,} runs", Figure.of(_gaps(stamps)), Figure.of(_gaps(bare)), most=0.100))
    yield comparison("End of a run to the start of the next", rows, "bare loop")


def _gaps(stamps: Path) -> list[float]:
    times = [tuple(map(float, line.split())) for line in stamps.read_text().splitlines()]
    return [following[0] - before[1] for before, following in itertools.pairwise(times)]
