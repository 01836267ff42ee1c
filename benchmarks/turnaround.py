"""From the last line of one run's program to the first line of the next one's, with a real agent.

So the figure holds the end of one interpreter and the start of the next, which the peer, a loop that only starts the
same program again and again, shows alone; and the proposal, since method ``random`` needs next to nothing for it.

Then the same up to the first training step with the imports of trainers, warm and cold, in parts: from the last line of
a run to the process of the next (end, claim, fork), from there to the end of its imports with the start of Python, and
``init``. The last table is the memory of runs at the same time: the proportional set size of all of them together.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fixtures import CONTINUOUS, config, sweep_with_runs
from benchmarks.processes import AGENT, PROGRAMS, environment, finish, running
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison

__all__ = ["tables"]

_PROGRAM = PROGRAMS / "stamps.py"
_TRAINERS = {"Lightning": PROGRAMS / "stamps_lightning.py", "Hugging Face": PROGRAMS / "stamps_transformers.py"}
_PARTS = ("end of a run to the next process", "start and imports", "init", "to the first training step, in all")
_TOGETHER = (1, 4, 8)


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table for each question: starts, starts with the imports of trainers, and memory."""
    rows = []
    for runs in scale.runs:
        place = directory / str(runs)
        place.mkdir()
        stamps = _stamps(place, _PROGRAM, scale.repeats, runs=runs)
        bare = place / "bare.txt"
        for _ in range(scale.repeats + 1):
            subprocess.run(
                [sys.executable, str(_PROGRAM)], cwd=place, env=environment(BENCH_STAMPS=str(bare)), check=True
            )
        rows.append(Row(f"{runs:,} runs", Figure.of(_gaps(stamps)), Figure.of(_gaps(_read(bare))), most=0.100))
    yield comparison("End of a run to the start of the next", rows, "bare loop")

    rows = []
    for name, program in _TRAINERS.items():
        place = directory / program.stem
        place.mkdir()
        warm, cold = (_parts(_stamps(place, program, min(scale.repeats, 5), *how)) for how in ([], ["--cold"]))
        rows += [
            Row(f"{name}: {part}", warm[part], cold[part], most_ratio=0.1 if part == _PARTS[-1] else None)
            for part in _PARTS
        ]
    yield comparison("End of a run to the first training step of the next, warm", rows, "cold")

    rows = []
    for count in _TOGETHER:
        place = directory / f"memory-{count}"
        place.mkdir()
        warm, cold = (_memory(place, count, *how) for how in ([], ["--cold"]))
        rows.append(Row(f"{count} at once", warm, cold, most_ratio=0.35 if count == _TOGETHER[-1] else None))
    yield comparison("Memory of runs with Lightning (PSS), the template included, warm", rows, "cold")


def _agent(place: Path, program: Path, count: int, runs: int, *more: str) -> list[str]:
    sweep = sweep_with_runs(place, config("random", CONTINUOUS, program), runs, f"turnaround{time.time_ns()}")
    return [*AGENT, sweep.id, "--count", str(count), "--storage", sweep.storage.url, *more]


def _stamps(place: Path, program: Path, repeats: int, *more: str, runs: int = 20) -> list[tuple[float, ...]]:
    stamps = place / f"ours{''.join(more)}.txt"
    finish(_agent(place, program, repeats + 1, runs, *more), place, {"BENCH_STAMPS": str(stamps)})
    return _read(stamps)


def _read(stamps: Path) -> list[tuple[float, ...]]:
    return [tuple(map(float, line.split())) for line in stamps.read_text().splitlines()]


def _gaps(times: list[tuple[float, ...]]) -> list[float]:
    return [following[0] - before[-1] for before, following in itertools.pairwise(times)]


def _parts(times: list[tuple[float, ...]]) -> dict[str, Figure]:
    """Each line has the start of the process, the end of its imports, that of ``init``, the step, the last line."""
    pairs = list(itertools.pairwise(times))
    samples: list[Any] = [
        _gaps(times),
        [following[1] - following[0] for _, following in pairs],
        [following[2] - following[1] for _, following in pairs],
        [following[3] - before[-1] for before, following in pairs],
    ]
    return dict(zip(_PARTS, map(Figure.of, samples), strict=True))


def _memory(place: Path, count: int, *more: str) -> Figure:
    """The memory of so many runs, once each has trained a step and waits."""
    stamps = place / f"waiting{''.join(more)}.txt"
    command = _agent(place, _TRAINERS["Lightning"], count, 20, "--jobs", str(count), *more)
    with running(command, place, {"BENCH_STAMPS": str(stamps), "BENCH_WAITS": str(place / "go")}) as agent:
        while not stamps.exists() or len(stamps.read_text().splitlines()) < count:
            time.sleep(0.05)
        found = 0
        for process in psutil.Process(agent.pid).children(recursive=True):
            if "stamps_lightning.py" in " ".join(process.cmdline()):
                found += process.memory_full_info().pss
        (place / "go").touch()
    (place / "go").unlink()
    return Figure.of([found / 1e6], "MB")
