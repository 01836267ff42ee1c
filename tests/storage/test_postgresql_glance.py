"""An agent whose runs are at work glances at its sweep, and looks at all of it if that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep
from lightsweep.controller.changes import request, update_config
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import NotFoundError

CONFIG = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}


def claimed(sweep: Sweep, agent: str) -> ClaimedRun:
    run = RunClaimer(sweep, agent).next_run()
    assert isinstance(run, ClaimedRun)
    return run


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_glance_reads_what_an_agent_at_work_must_know(postgresql: Callable[[], str], method: str) -> None:
    url = postgresql()
    user = Sweep.create({**CONFIG, "method": method}, storage=url)
    mine, other = Sweep.load(user.id, storage=url), Sweep.load(user.id, storage=url)
    run = claimed(mine, "me")
    claimed(other, "other")
    request(user, "pause")
    mine.glance(run.trial_id)
    assert mine.known_state().name == "paused"
    # A searcher that learns needs the runs, each time.
    assert len(mine.known_entries()) == {"random": 0, "bayes": 2}[method]
    update_config(user, {**CONFIG, "method": method, "run_cap": 7})
    mine.glance(run.trial_id)
    assert mine.config.run_cap == 7
    writer = Writer(other.storage)
    reporter = Reporter(other, writer)
    reporter.finish(run, Outcome(RunState.LOST, "taken by another"))
    mine.glance(run.trial_id)
    assert mine.lost(run.id, run.trial_id)
    reporter.close()
    writer.close()
    user.storage.optuna.delete_study(user.study_id)
    with pytest.raises(NotFoundError):
        mine.glance(run.trial_id)
    for sweep in (user, mine, other):
        sweep.storage.close()


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
