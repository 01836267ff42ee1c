"""Runs searches, one after the other or with asynchronous workers on a simulated clock, and keeps their results.

A result is a line of JSON in ``results/PROBLEM.jsonl``. What is there already is not run again, so that the whole can
be stopped at any moment, and shards on several machines only need their files joined.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.search.methods import METHODS
from benchmarks.search.problems import PROBLEMS, Problem

__all__ = ["RESULTS", "Result", "Search", "read", "run"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Search:
    """One search: a method on a problem with a seed, with so many workers and runs."""

    problem: str
    method: str
    seed: int
    workers: int
    runs: int


@dataclass(frozen=True)
class Result:
    """A search, its losses in the order in which the runs ended, and the mean seconds of CPU for a proposal."""

    search: Search
    losses: tuple[float, ...]
    seconds: float


def read(directory: Path = RESULTS) -> list[Result]:
    """All results in a folder; of a search that is there twice, the last."""
    found = {}
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            raw = json.loads(line)
            search = Search(**raw["search"])
            found[search] = Result(search, tuple(raw["losses"]), raw["seconds"])
    return list(found.values())


def run(searches: Iterable[Search], directory: Path = RESULTS) -> Iterator[Result]:
    """Run the searches that the folder does not have, and write each when it is done."""
    directory.mkdir(parents=True, exist_ok=True)
    done = {result.search for result in read(directory)}
    for search in searches:
        if search in done:
            continue
        result = _search(search)
        with (directory / f"{search.problem}.jsonl").open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        yield result


def _search(search: Search) -> Result:
    problem = PROBLEMS[search.problem]
    method = METHODS[search.method](problem, search.seed)
    clock = np.random.default_rng([search.seed, search.workers])
    running: list[tuple[float, int, float]] = []
    losses: list[float] = []
    now = proposing = 0.0
    asked = 0
    while len(losses) < search.runs:
        while len(running) < search.workers and asked < search.runs:
            start = time.process_time()
            number, values = method.ask()
            proposing += time.process_time() - start
            loss = _loss(problem, search, values, asked)
            # Durations differ by a factor of about two, so that the order of ends is not that of starts.
            heapq.heappush(running, (now + clock.lognormal(0.0, 0.4), number, loss))
            asked += 1
        now, number, loss = heapq.heappop(running)
        method.tell(number, loss)
        losses.append(loss)
    close = getattr(method, "close", None)
    if close is not None:
        close()
    proposing += getattr(method, "seconds", 0.0)
    return Result(search, tuple(round(loss, 6) for loss in losses), round(proposing / asked, 4))


def _loss(problem: Problem, search: Search, values: dict[str, object], number: int) -> float:
    """The last loss of the run; a noisy problem gets another seed for each run of each search."""
    return problem.curve(values, seed=search.seed * 1000 + number)[-1]
