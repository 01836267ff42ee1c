"""An agent of grid or random claims runs without a look at its sweep, unless that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep
from lightsweep.controller.changes import request, update_config
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer

CONFIG = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}


def claimed(sweep: Sweep, agent: str) -> ClaimedRun:
    run = RunClaimer(sweep, agent).next_run()
    assert isinstance(run, ClaimedRun)
    return run


@pytest.fixture
def sweep(postgresql: Callable[[], str]) -> Iterator[Sweep]:
    made = Sweep.create(CONFIG, storage=postgresql())
    yield made
    made.storage.close()


def test_a_claim_right_after_a_look_needs_none(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    claimer, other, now = RunClaimer(sweep, "me"), Sweep.load(sweep.id, storage=sweep.storage), [0.0]
    looks: list[float] = []
    monkeypatch.setattr(sweep.ledger, "clock", lambda: now[0])
    look = sweep.refresh

    def noted() -> object:
        looks.append(now[0])
        return look()

    monkeypatch.setattr(sweep, "refresh", noted)

    def ticket() -> int | None:
        found = claimer.next_run()
        assert isinstance(found, ClaimedRun)
        return found.ticket

    assert ticket() == 0
    assert looks == [0.0]
    assert claimed(other, "other").ticket == 1
    assert [ticket(), ticket()] == [2, 3]
    assert looks == [0.0]
    now[0] = 2.5
    assert ticket() == 4
    assert looks == [0.0, 2.5]
    request(other, "pause")
    assert isinstance(claimer.next_run(), NoRun)
    request(other, "resume")
    update_config(other, {**CONFIG, "run_cap": 6})
    looks.clear()
    assert ticket() == 5
    assert looks
    assert isinstance(claimer.next_run(), NoRun)
    assert len(sweep.runs) == 6


def test_with_many_agents_claims_need_no_look_for_longer(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    claimer, now = RunClaimer(sweep, "me"), [0.0]
    monkeypatch.setattr(sweep.ledger, "clock", lambda: now[0])
    assert isinstance(claimer.next_run(), ClaimedRun)
    monkeypatch.setattr(sweep, "running", lambda: [None] * 100)
    for now[0], looked in ((9.5, 0.0), (10.5, 10.5)):
        assert isinstance(claimer.next_run(), ClaimedRun)
        assert sweep.looked == looked


def test_a_claim_looks_if_results_may_end_the_sweep(postgresql: Callable[[], str]) -> None:
    url = postgresql()
    sweep = Sweep.create({**CONFIG, "metric": {"name": "loss", "target": 0.5}}, storage=url)
    claimer, other = RunClaimer(sweep, "me"), Sweep.load(sweep.id, storage=url)
    assert isinstance(claimer.next_run(), ClaimedRun)
    run = claimed(other, "other")
    writer = Writer(other.storage)
    reporter = Reporter(other, writer)
    reporter.report(run, {"loss": 0.1})
    reporter.finish(run, Outcome(RunState.FINISHED))
    found = claimer.next_run()
    assert isinstance(found, NoRun)
    assert "target" in found.reason
    reporter.close()
    writer.close()
    sweep.storage.close()
    other.storage.close()
