"""A sweep worked on without an agent: claimed, reported and ended by hand, in one process or in several."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer

GRID = {"a": {"values": [1, 2, 3, 4, 5, 6]}, "b": {"values": list("abcdefghij")}}


def config(parameters: Mapping[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A sweep config: random over one number unless told otherwise."""
    return {
        "method": "random",
        "program": "train.py",
        "metric": {"name": "loss"},
        "parameters": parameters or {"x": {"min": 0.0, "max": 1.0}},
        **keys,
    }


@contextmanager
def working(sweep: Sweep, agent: str = "a") -> Iterator[tuple[RunClaimer, Reporter, Writer]]:
    """Give the parts that an agent works with; every report is in the storage at the end."""
    writer = Writer(sweep.storage)
    reporter = Reporter(sweep, writer)
    try:
        yield RunClaimer(sweep, agent), reporter, writer
        assert writer.flush(30)
    finally:
        reporter.close()
        writer.close()


def claim(dealer: RunClaimer) -> ClaimedRun:
    run = dealer.next_run()
    assert isinstance(run, ClaimedRun), run
    return run


def work(sweep: Sweep, train: Callable[[ClaimedRun, Reporter], Outcome], count: int | None = None) -> list[ClaimedRun]:
    """Run until there is nothing to do, or ``count`` runs."""
    runs: list[ClaimedRun] = []
    with working(sweep) as (dealer, reporter, _):
        while count is None or len(runs) < count:
            run = dealer.next_run()
            if isinstance(run, NoRun):
                break
            runs.append(run)
            assert reporter.finish(run, train(run, reporter))
    return runs


def finished(run: ClaimedRun, reporter: Reporter) -> Outcome:
    """Reports one value."""
    reporter.report(run, {"loss": float(run.ticket or 0)})
    return Outcome("finished")


def loss_of(values: Mapping[str, Any]) -> float:
    """A loss that follows from the parameters alone."""
    return float(sum(value for value in values.values() if isinstance(value, (int, float))))


def work_together(sweep: Sweep, processes: int) -> list[list[dict[str, Any]]]:
    """Let real processes work on a sweep at once; the values of the runs of each."""
    command = [sys.executable, __file__, sweep.storage.url, sweep.id, str(processes)]
    ended = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    done: list[list[dict[str, Any]]] = json.loads(ended.stdout)
    return done


def _agent(url: str, sweep_id: str, name: str) -> list[dict[str, Any]]:
    sweep = Sweep.load(sweep_id, storage=url)
    done = []
    with working(sweep, name) as (dealer, reporter, _):
        _start.wait(60)
        while True:
            run = dealer.next_run()
            if isinstance(run, ClaimedRun):
                reporter.report(run, {"loss": loss_of(run.values)})
                assert reporter.finish(run, Outcome("finished"))
                done.append(run.values)
            elif run.for_good or not sweep.config.stages:
                break
            else:
                time.sleep(0.01)  # the next stage begins when the runs of the others have ended
    sweep.storage.close()
    return done


if __name__ == "__main__":
    # Forked from a process that has imported everything and has no threads yet: each begins at once.
    _url, _sweep_id, _processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    _context = multiprocessing.get_context("fork")
    _start = _context.Barrier(_processes)
    with _context.Pool(_processes) as _pool:
        _jobs = [(_url, _sweep_id, f"agent{number}") for number in range(_processes)]
        print(json.dumps(_pool.starmap_async(_agent, _jobs, chunksize=1).get(100)))
