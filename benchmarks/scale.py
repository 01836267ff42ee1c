"""Many agents on one PostgreSQL server that claim and finish short runs, beside plain Optuna workers.

The agents are simulated: threads, eight in a process (``crowd.py``), each with its own connection, sweep, claimer and
writer. Each claims a run of the demo's space, reports three times, the last time at a band, and finishes it, without
training in between and without a process for the run. The peer is as many threads in as many processes, each with its
own study and ``study.optimize``: RandomSampler, the storage with Optuna's defaults, three reports, no pruner. An
agent's first claim, which reads the whole sweep, has a separate line. Memory is the growth of a process since its
agents began, for each of its agents.

1,000 runs by default; 10,000 more with ``--whole``. Both take minutes. ``--crowds`` measures instead 256 and 1,000
agents whose runs take time, with the looks and heartbeats of a real agent meanwhile. The clock starts once all agents
have opened the storage, which takes minutes for 1,000 of them, and 12 GB of memory.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy

from benchmarks.fixtures import CONTINUOUS, config
from benchmarks.postgresql import processor_seconds, server
from benchmarks.processes import PROGRAMS, running
from benchmarks.sizes import Crowd, Scale
from benchmarks.tables import Figure, Row, Table, comparison
from lightsweep.controller import Sweep
from lightsweep.storage.url import parse

__all__ = ["tables"]

_AGENTS_PER_PROCESS = 8
_CONNECTIONS_PER_AGENT = 3
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class _Crowd:
    """The times of a crowd of agents.

    Attributes:
        samples: By the number of their run; the columns are those of ``crowd.py``.
        seconds: From the start of the first agent to the end of the last one.
        memory: MB for each agent, of each process.
        bare: MB of a process before its agents began.
        processor: Seconds of processor time of all agents, and of the server, meanwhile.
        unanswered: Why each call failed that the storage did not answer; the agent tried again.
    """

    samples: list[tuple[float, ...]]
    seconds: float
    memory: list[float]
    bare: float
    processor: tuple[float, float]
    unanswered: list[str]

    def each(self, side: int) -> Figure:
        """Return the processor time that a run needs of its agent (0) or of the server (1)."""
        return Figure.of([self.processor[side] / len(self.samples)])

    def column(self, index: int, low: int = 0, high: int | None = None) -> Figure:
        return Figure.of([sample[index] for sample in self.samples if low <= sample[0] < (high or sample[0] + 1)])


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """Measure claims and reports as the sweep grows, and the throughput beside Optuna's."""
    most = max([scale.agents, *(crowd.agents for crowd in scale.crowds)])
    with server(_CONNECTIONS_PER_AGENT * most + 20) as database:
        for crowd in scale.crowds:
            yield _crowded(directory, database(), crowd)
        if not scale.compared:
            return
        at = scale.compared
        ours = _sweep(directory, database(), at, scale.agents)
        peer = _study(directory, database(), at, scale.agents)
        yield comparison(
            f"{scale.agents} agents, {at:,} runs",
            [
                Row("a run, all agents together", _each(ours), _each(peer), most_ratio=1 / 3),
                Row("end of a run and claim of the next", _between(ours), _between(peer)),
                Row("a report below a band", ours.column(3), peer.column(3)),
                Row("a report at a band", ours.column(4), peer.column(4)),
                Row("processor time of the agent for a run", ours.each(0), peer.each(0)),
                Row("and of the server", ours.each(1), peer.each(1)),
                Row("memory of an agent", Figure.of(ours.memory, "MB"), Figure.of(peer.memory, "MB")),
                Row("and of the process before", Figure.of([ours.bare], "MB"), Figure.of([peer.bare], "MB")),
            ],
            "study.optimize",
        )
        grown = ours if scale.agent_runs == at else _sweep(directory, database(), scale.agent_runs, scale.agents)
    yield _growth(grown, scale)


def _crowded(directory: Path, url: str, given: Crowd) -> Table:
    """Agents whose runs take time: their claims, without the first of each, and what the server does."""
    agents, seconds = given.agents, given.seconds
    with _Watch(url) as watch:
        crowd = _sweep(directory, url, given.runs * agents, agents, seconds, early=given.early, begin=given.begin)
    first = {sample[0] for sample in sorted(crowd.samples, key=lambda sample: sample[1])[:agents]}
    claims = Figure.of([sample[2] for sample in crowd.samples if sample[0] not in first])
    opening = Figure.of([sample[2] for sample in crowd.samples if sample[0] in first])
    rows = [
        ["a claim", f"{1000 * claims.median:.3g} ms", f"{1000 * claims.p95:.3g} ms"],
        ["the first claim of an agent, all at once", f"{1000 * opening.median:.3g} ms", f"{1000 * opening.p95:.3g} ms"],
        ["a report at a band", *(f"{1000 * value:.3g} ms" for value in (crowd.column(4).median, crowd.column(4).p95))],
        ["runs per second", f"{len(crowd.samples) / crowd.seconds:.1f}", f"{agents / seconds:.0f} at best"],
        ["processor time of agents for a run", f"{1000 * crowd.each(0).median:.3g} ms", ""],
        ["and of the server", f"{1000 * crowd.each(1).median:.3g} ms", ""],
        ["transactions per run", f"{watch.transactions / len(crowd.samples):.1f}", ""],
        ["calls that the storage did not answer", f"{len(crowd.unanswered)}", ""],
        ["connections at once", f"{watch.connections}", f"{watch.connections / agents:.1f} for each agent"],
    ]
    return Table(given.name, ["", "median", "p95"], rows)


class _Watch:
    """What a database of PostgreSQL does during a block: the most connections at once, and its transactions."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(parse(url), isolation_level="AUTOCOMMIT")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.connections = self.transactions = 0

    def _look(self) -> None:
        query = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        with self._engine.connect() as connection:
            while not self._over.wait(0.2):
                self.connections = max(self.connections, connection.exec_driver_sql(query).scalar_one())

    def _committed(self) -> int:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        with self._engine.connect() as connection:
            return int(connection.exec_driver_sql(query).scalar_one())

    def __enter__(self) -> _Watch:
        self.transactions = -self._committed()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.transactions += self._committed()
        self._engine.dispose()


def _each(crowd: _Crowd) -> Figure:
    return Figure.of([crowd.seconds / len(crowd.samples)])


def _between(crowd: _Crowd) -> Figure:
    return Figure.of([sample[2] + sample[5] for sample in crowd.samples])


def _growth(crowd: _Crowd, scale: Scale) -> Table:
    """A line for each tenfold of the runs."""
    first: dict[float, tuple[float, ...]] = {}
    for sample in sorted(crowd.samples, key=lambda sample: sample[1])[: scale.agents]:
        first[sample[0]] = sample
    later = [sample for sample in crowd.samples if sample[0] not in first]
    rows = []
    edges = [0, *(edge for edge in (100, 1_000) if edge < scale.agent_runs), scale.agent_runs]
    for low, high in itertools.pairwise(edges):
        within = [sample for sample in later if low <= sample[0] < high]
        begins = [sample[1] + sample[2] for sample in within]
        rate = len(within) / (max(begins) - min(begins))
        figures = [Figure.of([sample[column] for sample in within]) for column in (2, 3, 4, 5)]
        cells = [f"{1000 * value:.3g} ms" for figure in figures for value in (figure.median, figure.p95)]
        rows.append([f"{low + 1:,} to {high:,}", f"{rate:.0f}", *cells])
    opening = Figure.of([sample[2] for sample in first.values()])
    rows.append(["each agent's first", "", f"{1000 * opening.median:.3g} ms", f"{1000 * opening.p95:.3g} ms"])
    rows[-1] += [""] * 6
    what = ("claim", "report", "report at a band", "end")
    header = ["runs", "claims/s", *(name for part in what for name in (part, "p95"))]
    return Table(f"{scale.agents} agents, as the sweep grows to {scale.agent_runs:,} runs", header, rows)


def _sweep(
    directory: Path, url: str, runs: int, agents: int, seconds: float = 0.0, *, early: bool = True, begin: float = 0.0
) -> _Crowd:
    raw = {**config("random", CONTINUOUS), "run_cap": runs}
    if not early:
        del raw["early_terminate"]
    sweep = Sweep.create(raw, storage=url)
    found = _crowd(directory, "ours", url, sweep.id, runs, agents, seconds, begin)
    assert sorted(sample[0] for sample in found.samples) == list(range(runs)), "a run is missing, or ran twice"
    assert {run.state for run in sweep.runs} == {"finished"}
    sweep.storage.close()
    return found


def _study(directory: Path, url: str, runs: int, agents: int) -> _Crowd:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=url, study_name="study")
    optuna.logging.set_verbosity(verbosity)
    return _crowd(directory, "optuna", url, "study", runs, agents)


def _crowd(
    directory: Path, side: str, url: str, name: str, runs: int, agents: int, seconds: float = 0.0, begin: float = 0.0
) -> _Crowd:
    """Start the processes, let them begin within so many seconds, and gather what they measured."""
    place = directory / f"{side}-{name}-{agents}-{runs}"
    place.mkdir()
    processes = math.ceil(agents / _AGENTS_PER_PROCESS)
    what = (place, side, url, name, agents, runs, processes, seconds, begin)
    variables = {"PYTHONPATH": str(PROGRAMS.parent.parent), "OMP_NUM_THREADS": "1"}
    with running([sys.executable, str(PROGRAMS / "crowd.py"), *map(str, what)], place, variables) as started:
        while len(list(place.glob("ready-*"))) < processes and started.poll() is None:
            time.sleep(_POLL_SECONDS)  # if it ends, its output is in the error that leaving the block raises
        before = processor_seconds()
        (place / "go").touch()
        started.wait()
        server_seconds = processor_seconds() - before
    found: list[dict[str, Any]] = [json.loads(each.read_text()) for each in place.glob("result-*.json")]
    return _Crowd(
        samples=[tuple(sample) for part in found for sample in part["samples"]],
        seconds=max(part["ended"] for part in found) - min(part["began"] for part in found),
        memory=[(part["peak"] - part["bare"]) / part["agents"] for part in found],
        bare=max(part["bare"] for part in found),
        processor=(sum(part["processor"] for part in found), server_seconds),
        unanswered=[why for part in found for why in part["unanswered"]],
    )
