"""Each run is claimed once; lost and failed runs are retried under the same id."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from controller_helpers import GRID, claim, config, work, working
from optuna.trial import TrialState, create_trial

from lightsweep.controller import ClaimedRun, Outcome, Sweep, claims
from lightsweep.controller.changes import update_config
from lightsweep.controller.claims import ClaimTransaction, NoRun, ParameterAssigner, RunClaimer, claim_lock
from lightsweep.controller.runs import ATTEMPT, SUMMARY, VALUES
from lightsweep.errors import InputError, NotFoundError, StorageUnavailableError
from lightsweep.storage import Storage, open_storage


@pytest.fixture
def other(storage: Storage) -> Iterator[Storage]:
    """A second agent's storage."""
    opened = open_storage(storage.url)
    yield opened
    opened.close()


def lose(sweep: Sweep, trial_id: int) -> None:
    """Let the heartbeat of a trial be hours old, as where its agent's machine went down."""
    with sweep.storage.engine.begin() as connection:
        query = "UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00' WHERE trial_id = :trial"
        assert connection.execute(sqlalchemy.text(query), {"trial": trial_id}).rowcount == 1


def reports_of(sweep: Sweep, run: str) -> list[str]:
    return [repr(value) for value in sweep.book.entries[run].record.reports]


def test_a_lost_run_is_started_again_once_with_what_it_had(storage: Storage, other: Storage) -> None:
    sweep = Sweep.create(config(GRID, method="grid"), storage=storage)
    with working(sweep, "dead") as (dealer, reporter, _):
        lost = claim(dealer)
        for value in (3.0, math.nan, 1.0):
            reporter.report(lost, {"loss": value})
    lose(sweep, lost.trial_id)
    one, two = Sweep.load(sweep.id, storage=storage), Sweep.load(sweep.id, storage=other)
    dealers = RunClaimer(one, "one"), RunClaimer(two, "two")
    again, fresh = claim(dealers[0]), claim(dealers[1])
    assert (again.id, again.attempt, again.ticket, again.values) == (lost.id, 2, lost.ticket, lost.values)
    assert [repr(value) for value in again.reports] == ["3.0", "nan", "1.0"]
    assert again.history == [3.0, 1.0]
    assert (fresh.id, fresh.attempt) == ("0002", 1)
    assert two.refresh() is not None
    assert reports_of(two, lost.id) == ["3.0", "nan", "1.0"]
    assert sweep.refresh() is not None
    assert sweep.lost(lost.id, lost.trial_id)
    assert not sweep.lost(again.id, again.trial_id)


def test_a_retry_has_only_the_reports_that_count(storage: Storage) -> None:
    """As of a run that was preempted after a part, such as the last fold, had replaced its values."""
    sweep = Sweep.create(config(GRID, method="grid"), storage=storage)
    with working(sweep, "preempted") as (dealer, reporter, _):
        run = claim(dealer)
        reporter.report(run, {"loss": 0.5, "accuracy": 0.9})
        run.begin_anew()
        assert run.metrics == {}
        for value in (5.0, 4.0):
            reporter.report(run, {"loss": value})
        assert run.metrics == {"loss": {"min": 4.0, "max": 5.0, "last": 4.0}}
        assert reporter.finish(run, Outcome("lost"))
    other = Sweep.load(sweep.id, storage=storage)
    again = claim(RunClaimer(other, "other"))
    assert (again.id, again.attempt) == (run.id, 2)
    assert (list(again.reports), again.history) == ([5.0, 4.0], [5.0, 4.0])
    assert again.metrics == {"loss": {"min": 4.0, "max": 5.0, "last": 4.0}}
    entry = other.book.entries[run.id]
    assert (reports_of(other, run.id), entry.iterations, entry.best) == (["5.0", "4.0"], 2, 4.0)


def test_the_agent_of_a_run_that_was_taken_writes_nothing_more(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep, "slow") as (dealer, reporter, writer):
        run = claim(dealer)
        lose(sweep, run.trial_id)
        again = claim(RunClaimer(Sweep.load(sweep.id, storage=storage), "other"))
        reporter.report(run, {"loss": 1.0})
        assert writer.flush(30)
        assert run.taken
        assert not reporter.finish(run, Outcome("finished"))
    sweep.refresh()
    assert sweep.book.entries[run.id].record.trial_id == again.trial_id
    assert [entry.state for entry in sweep.book.entries.values()] == ["running"]


def test_an_agent_does_not_take_its_own_run_for_lost(storage: Storage) -> None:
    sweep = Sweep.create(config(run_cap=1), storage=storage)
    dealer = RunClaimer(sweep, "a")
    run = claim(dealer)
    lose(sweep, run.trial_id)  # the database was away, so no heartbeat arrived
    assert isinstance(dealer.next_run(), NoRun)
    assert isinstance(claim(RunClaimer(sweep, "b")), ClaimedRun)


def just_before_the_turn(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen when an agent has looked, and waits for its turn."""

    @contextmanager
    def late(sweep: Sweep) -> Iterator[ClaimTransaction]:
        monkeypatch.undo()
        happens()
        with claim_lock(sweep) as mine:
            yield mine

    monkeypatch.setattr(claims, "claim_lock", late)


def test_two_agents_that_retry_at_the_same_moment(
    storage: Storage, other: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.create(config(run_cap=1), storage=storage)
    lose(sweep, claim(RunClaimer(sweep, "dead")).trial_id)
    one, two = Sweep.load(sweep.id, storage=storage), Sweep.load(sweep.id, storage=other)
    winners: list[ClaimedRun | NoRun] = []
    just_before_the_turn(monkeypatch, lambda: winners.append(RunClaimer(one, "one").next_run()))
    found = RunClaimer(two, "two").next_run()
    assert isinstance(winners[0], ClaimedRun)
    assert winners[0].attempt == 2
    assert isinstance(found, NoRun)
    states = [trial.state for trial in storage.optuna.get_all_trials(sweep.study_id)]
    assert states == [TrialState.FAIL, TrialState.RUNNING]
    assert [run.attempt for run in sweep.runs] == [2]


def test_two_agents_that_want_the_last_ticket(
    storage: Storage, other: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.create(config(run_cap=2), storage=storage)
    one, two = RunClaimer(sweep, "one"), RunClaimer(Sweep.load(sweep.id, storage=other), "two")
    claim(one)
    winners: list[ClaimedRun | NoRun] = []
    just_before_the_turn(monkeypatch, lambda: winners.append(one.next_run()))
    found = two.next_run()
    assert isinstance(winners[0], ClaimedRun)
    assert isinstance(found, NoRun)
    assert (found.exhausted, found.for_good) == (True, False)
    assert len(storage.optuna.get_all_trials(sweep.study_id)) == 2


@pytest.mark.parametrize("method", ["random", "grid", "bayes"])
def test_a_ticket_that_another_agent_took_just_before(
    storage: Storage, other: Storage, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    sweep = Sweep.create(config(GRID, method=method, lightsweep={"seed": 1}), storage=storage)
    one, two = RunClaimer(sweep, "one"), RunClaimer(Sweep.load(sweep.id, storage=other), "two")
    taken: list[ClaimedRun] = []
    just_before_the_turn(monkeypatch, lambda: taken.append(claim(one)))
    run = claim(two)
    assert [(found.id, found.ticket) for found in (*taken, run)] == [("0001", 0), ("0002", 1)]
    assert run.values != taken[0].values
    assert [found.values for found in sweep.runs] == [taken[0].values, run.values]


def test_a_config_that_was_updated_just_before(
    storage: Storage, other: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.create(config({"a": {"values": [1, 2]}}, method="grid"), storage=storage)
    more = config({"a": {"values": [3, 4]}}, method="grid")
    just_before_the_turn(monkeypatch, lambda: update_config(sweep, more))
    assert claim(RunClaimer(Sweep.load(sweep.id, storage=other), "a")).values == {"a": 3}


def test_an_agent_that_died_in_its_turn_leaves_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(GRID, method="grid"), storage=storage)

    def die(*arguments: Any) -> None:
        raise SystemError("power cut")

    monkeypatch.setattr("lightsweep.storage.sql_trials._insert", die)
    with pytest.raises(SystemError):
        RunClaimer(sweep, "dead").next_run()
    assert storage.optuna.get_all_trials(sweep.study_id) == []
    monkeypatch.undo()
    assert claim(RunClaimer(sweep, "next")).id == "0001"


def test_an_agent_that_died_before_the_parameters_were_written(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.create(config(GRID, method="bayes", lightsweep={"seed": 1}), storage=storage)

    def die(*_: Any) -> None:
        raise SystemError("power cut")

    monkeypatch.setattr("lightsweep.storage.sql_trials.SqlTrials.set_parameters", die)
    monkeypatch.setattr(RunClaimer, "_end", lambda *_: None)
    with pytest.raises(SystemError):
        RunClaimer(sweep, "dead").next_run()
    monkeypatch.undo()
    trial = storage.optuna.get_all_trials(sweep.study_id)[0]
    assert trial.params == {}
    lose(sweep, trial._trial_id)
    run = claim(RunClaimer(Sweep.load(sweep.id, storage=storage), "next"))
    assert (run.id, run.attempt, run.values) == ("0001", 2, trial.user_attrs[VALUES])
    sweep.refresh()
    assert sweep.known_runs()[0].values == run.values


@pytest.mark.parametrize("written", [0, 1])
def test_an_agent_that_died_while_it_wrote_parameters_of_an_updated_grid(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    sweep = Sweep.create(config(GRID, method="grid"), storage=storage)
    update_config(sweep, {**sweep.config.raw, "run_cap": 50})
    write, calls = storage.optuna.set_trial_param, iter(range(9))

    def die(*arguments: Any) -> None:
        if next(calls) == written:
            raise SystemError("power cut")
        write(*arguments)

    monkeypatch.setattr(storage.optuna, "set_trial_param", die)
    monkeypatch.setattr(RunClaimer, "_end", lambda *_: None)
    with pytest.raises(SystemError):
        RunClaimer(sweep, "dead").next_run()
    monkeypatch.undo()
    trial = storage.optuna.get_all_trials(sweep.study_id)[-1]
    assert len(trial.params) == written
    lose(sweep, trial._trial_id)
    run = claim(RunClaimer(Sweep.load(sweep.id, storage=storage), "next"))
    assert (run.id, run.attempt, run.values) == ("0001", 2, {"a": 1, "b": "a"})
    sweep.refresh()
    assert sweep.known_runs()[0].values == run.values


def test_an_agent_that_died_before_its_first_sign_of_life(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"lease": 1.0}), storage=storage)
    attributes = {ATTEMPT: {"kind": "fresh", "agent": "dead"}}
    storage.optuna.create_new_trial(sweep.study_id, create_trial(state=TrialState.RUNNING, user_attrs=attributes))
    now = 0.0
    sweep.ledger.clock = lambda: now
    dealer = RunClaimer(sweep, "next")
    assert claim(dealer).id == "0002"
    while (
        now < 1.25
    ):  # a longer step than the database's clock takes is a suspension, after which there is one more lease
        now += 0.25
        sweep.refresh()
    again = claim(dealer)
    assert (again.id, again.attempt) == ("0001", 2)


def test_a_run_that_is_lost_too_often_is_given_up(storage: Storage) -> None:
    sweep = Sweep.create(config(run_cap=1, lightsweep={"max_preemptions": 2}), storage=storage)
    for attempt in range(1, 4):
        run = claim(RunClaimer(sweep, f"agent {attempt}"))
        assert run.attempt == attempt
        lose(sweep, run.trial_id)
    assert isinstance(RunClaimer(sweep, "last").next_run(), NoRun)
    assert [run.state for run in sweep.runs] == ["killed"]
    assert str(sweep.state) == "finished (run_cap 1)"


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
def test_failed_runs_are_retried_as_often_as_asked(storage: Storage, retries: int, attempts: int) -> None:
    sweep = Sweep.create(config(run_cap=2, lightsweep={"max_retries": retries}), storage=storage)
    runs = work(sweep, lambda run, _: Outcome("failed", "crashed") if run.id == "0001" else Outcome("finished"))
    assert [run.attempt for run in runs if run.id == "0001"] == list(range(1, attempts + 1))
    assert len({repr(run.values) for run in runs}) == 2
    assert [(run.state, run.attempt) for run in sweep.runs] == [("failed", attempts), ("finished", 1)]
    assert sweep.state.name == "finished"


def test_trials_of_others_count_for_nothing(storage: Storage) -> None:
    sweep = Sweep.create(config(GRID, method="grid"), storage=storage)
    storage.optuna.create_new_trial(sweep.study_id)
    storage.optuna.record_heartbeat(1)
    lose(sweep, 1)
    dealer = RunClaimer(sweep, "a")
    assert (claim(dealer).ticket, claim(dealer).ticket) == (0, 1)
    assert storage.optuna.get_trial(1).state == TrialState.RUNNING
    assert [run.id for run in sweep.runs] == ["0001", "0002"]


def test_a_claim_that_fails_gives_the_run_back(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(method="bayes"), storage=storage)
    dealer = RunClaimer(sweep, "a")

    def broken(*_: Any) -> None:
        raise InputError("space() failed")

    monkeypatch.setattr(ParameterAssigner, "give", broken)
    with pytest.raises(InputError, match="failed"):
        dealer.next_run()
    monkeypatch.undo()
    sweep.refresh()
    (entry,) = sweep.book.entries.values()
    assert entry.record.attributes[SUMMARY]["reason"] == "no parameters: space() failed"
    assert (claim(dealer).id, claim(dealer).id) == ("0001", "0002")


def test_a_proposal_that_takes_longer_than_the_lease(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(method="bayes"), storage=storage)
    slow, give = RunClaimer(sweep, "slow"), ParameterAssigner.give

    def late(points: ParameterAssigner, entry: Any) -> Any:
        monkeypatch.undo()
        lose(sweep, entry.record.trial_id)
        assert claim(RunClaimer(Sweep.load(sweep.id, storage=storage), "other")).id == "0001"
        return give(points, entry)

    monkeypatch.setattr(ParameterAssigner, "give", late)
    assert claim(slow).id == "0002"


def test_a_sweep_that_was_deleted(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep) as (dealer, reporter, writer):
        run = claim(dealer)
        storage.optuna.delete_study(sweep.study_id)
        reporter.report(run, {"loss": 1.0})
        assert writer.flush(30)
        assert not reporter.finish(run, Outcome("finished"))
        with pytest.raises(NotFoundError, match="deleted"):
            dealer.next_run()


def test_a_database_that_does_not_answer(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(), storage=storage)
    dealer = RunClaimer(sweep, "a")

    def gone() -> None:
        raise sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("gone: postgresql://u:secret@h/d"))

    monkeypatch.setattr(sweep.storage, "reading", gone)
    with pytest.raises(StorageUnavailableError, match=r"does not answer: gone: postgresql://u:\*\*\*@h/d"):
        dealer.next_run()
    monkeypatch.undo()
    assert claim(dealer).id == "0001"
