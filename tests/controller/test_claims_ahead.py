"""Claims whose points are found ahead: which sweeps have them, and that agents still share a finite space exactly."""

from __future__ import annotations

from typing import Any

import pytest
from controller_helpers import claim, config, finished, working

from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.controller.claims import NoRun, ParameterAssigner, RunClaimer
from lightsweep.sampler import ahead
from lightsweep.storage import Storage

FEW = {"a": {"values": [1, 2, 3, 4]}, "b": {"values": list("xyz")}}


@pytest.fixture(autouse=True)
def proposals_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside any run."""
    monkeypatch.setattr(ahead, "SHARE", -1.0)


def wait(dealer: RunClaimer) -> int:
    """Wait until nothing is found; return the number of points that are ready."""
    assert dealer._points is not None
    searcher = dealer._points._ahead
    if searcher is None:
        return 0
    if searcher._thread is not None:
        searcher._thread.join(60)
    return int(searcher._ready is not None)


@pytest.mark.parametrize(
    ("keys", "has"),
    [
        ({"method": "bayes"}, True),
        ({"method": "bayes", "lightsweep": {"seed": 1}}, False),
        ({"method": "grid", "parameters": FEW}, False),
        ({"method": "random"}, False),
    ],
)
def test_sweeps_whose_points_follow_from_a_seed_find_none_ahead(
    storage: Storage, keys: dict[str, Any], has: bool
) -> None:
    made = Sweep.create({**config(), **keys}, storage=storage)
    assert (ParameterAssigner(made)._ahead is not None) is has
    with working(made) as (dealer, _, _):
        claim(dealer)
        assert wait(dealer) == has


def test_none_is_found_ahead_of_the_last_run(storage: Storage) -> None:
    made = Sweep.create(config(method="bayes", run_cap=2), storage=storage)
    with working(made) as (dealer, reporter, _):
        for ready in (1, 0):
            run = claim(dealer)
            assert wait(dealer) == ready
            reporter.finish(run, finished(run, reporter))
            dealer.prepare()
            assert wait(dealer) == ready
        assert isinstance(dealer.next_run(), NoRun)


def test_two_agents_share_a_finite_space_exactly(storage: Storage) -> None:
    raw = config(FEW, method="bayes", lightsweep={"sampler": "tpe"})
    one = Sweep.create(raw, storage=storage)
    two = Sweep.load(one.id, storage=storage)
    points: list[tuple[Any, ...]] = []
    with working(one, "one") as (first, reporter, _), working(two, "two") as (second, other, _):
        turns = [(first, reporter), (second, other)]
        while turns:
            running: list[tuple[ClaimedRun, Any]] = []
            for dealer, reports in list(turns):
                found = dealer.next_run()
                if isinstance(found, NoRun):
                    turns.remove((dealer, reports))
                    continue
                wait(dealer)
                running.append((found, reports))
                points.append(tuple(found.values.values()))
            for run, reports in running:
                assert reports.finish(run, finished(run, reports))
    assert len(points) == len(set(points)) == 12
