"""An agent without a run to start ends only if the agents of all running runs are alive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy
from controller_helpers import claim, config, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.changes import update_config
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.errors import StorageUnavailableError
from lightsweep.storage import Storage, open_storage

LEASE = 60.0


class Clock:
    """The clock of one agent, which tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def other(storage: Storage) -> Iterator[Storage]:
    """A second agent's storage."""
    opened = open_storage(storage.url)
    yield opened
    opened.close()


@pytest.fixture
def sweep(storage: Storage) -> Sweep:
    return Sweep.create(config(run_cap=1, lightsweep={"lease": LEASE}), storage=storage)


def second(sweep: Sweep, other: Storage, *, stay: bool = False) -> tuple[RunClaimer, Clock]:
    loaded = Sweep.load(sweep.id, storage=other)
    clock = Clock()
    loaded.ledger.clock = clock
    return RunClaimer(loaded, "second", stay=stay), clock


def shift(sweep: Sweep, run: ClaimedRun, seconds: int) -> None:
    """Let the run's last sign of life lie as far back."""
    with sweep.storage.engine.begin() as connection:
        query = "UPDATE trial_heartbeats SET heartbeat = datetime('now', :shift) WHERE trial_id = :trial"
        values = {"shift": f"{-seconds} seconds", "trial": run.trial_id}
        assert connection.execute(sqlalchemy.text(query), values).rowcount == 1


def leaves(dealer: RunClaimer) -> bool:
    found = dealer.next_run()
    assert isinstance(found, NoRun), found
    assert found.exhausted
    return found.for_good


def test_it_leaves_after_a_new_sign_of_life(sweep: Sweep, other: Storage) -> None:
    run = claim(RunClaimer(sweep, "first"))
    shift(sweep, run, 10)
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    assert not leaves(dealer)  # it looked again, at once, to know the last one so far
    clock.now += LEASE / 4
    assert not leaves(dealer)  # and again, and there was none
    sweep.beat(run.trial_id)
    assert not leaves(dealer)  # not looked again yet
    clock.now += LEASE / 4
    assert leaves(dealer)


def test_a_sign_of_life_between_its_last_look_and_its_question_does_not_count(sweep: Sweep, other: Storage) -> None:
    update_config(sweep, {**sweep.config.raw, "run_cap": 2})
    run = claim(RunClaimer(sweep, "first"))
    shift(sweep, run, 10)
    dealer, clock = second(sweep, other)
    mine = claim(dealer)  # it looks
    shift(sweep, run, 5)  # a last one
    with working(dealer._sweep) as (_, reporter, _writer):
        assert reporter.finish(mine, Outcome("finished"))
    assert not leaves(dealer)
    for _ in range(3):
        clock.now += LEASE / 4
        assert not leaves(dealer)
    sweep.beat(run.trial_id)
    clock.now += LEASE / 4
    assert leaves(dealer)


def test_it_takes_the_run_of_one_that_died_just_before(sweep: Sweep, other: Storage) -> None:
    run = claim(RunClaimer(sweep, "first"))
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    shift(sweep, run, int(LEASE) + 2)
    clock.now += LEASE / 4
    again = claim(dealer)
    assert (again.id, again.attempt) == (run.id, 2)


def test_one_that_stays_waits_for_the_end_of_every_run(sweep: Sweep, other: Storage) -> None:
    dealer, clock = second(sweep, other, stay=True)
    with working(sweep) as (first, reporter, _):
        run = claim(first)
        for _ in range(5):
            sweep.beat(run.trial_id)
            shift(sweep, run, 0)
            clock.now += LEASE
            assert not leaves(dealer)
        assert reporter.finish(run, Outcome("finished"))
    found = dealer.next_run()
    assert isinstance(found, NoRun)
    assert (found.for_good, found.reason) == (True, "the sweep is finished (run_cap 1)")


def test_signs_of_life_are_asked_for_anew_after_a_run(sweep: Sweep, other: Storage, storage: Storage) -> None:
    run = claim(RunClaimer(sweep, "first"))
    shift(sweep, run, 10)
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    sweep.beat(run.trial_id)
    update_config(Sweep.load(sweep.id, storage=storage), {**sweep.config.raw, "run_cap": 2})
    mine = claim(dealer)
    with working(dealer._sweep) as (_, reporter, _writer):
        assert reporter.finish(mine, Outcome("finished"))
    clock.now += LEASE
    assert not leaves(dealer)


def test_after_an_outage_the_others_get_time_for_a_sign_of_life(
    sweep: Sweep, other: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claim(RunClaimer(sweep, "first"))
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    with monkeypatch.context() as patch:
        patch.setattr(
            other, "reading", lambda: (_ for _ in ()).throw(sqlalchemy.exc.OperationalError("", {}, OSError()))
        )
        with pytest.raises(StorageUnavailableError):
            dealer.next_run()
    shift(sweep, run, int(LEASE) + 2)
    clock.now += LEASE
    assert not leaves(dealer)
    for _ in range(3):
        clock.now += LEASE / 4
        assert not leaves(dealer)
    clock.now += LEASE / 4
    assert claim(dealer).attempt == 2


def test_after_a_suspension_the_others_get_one_more_lease(sweep: Sweep, other: Storage) -> None:
    run = claim(RunClaimer(sweep, "first"))
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    shift(sweep, run, int(LEASE) + 2)
    clock.now += 0.6 * LEASE  # nothing of this process looked at the storage meanwhile
    assert not leaves(dealer)
    for _ in range(3):
        clock.now += LEASE / 4
        assert not leaves(dealer)
    clock.now += LEASE / 4
    assert claim(dealer).attempt == 2


@pytest.mark.parametrize("hours", [2, -2])
def test_after_a_step_of_the_clock_the_others_get_one_more_lease(
    sweep: Sweep, other: Storage, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    run = claim(RunClaimer(sweep, "first"))
    dealer, clock = second(sweep, other)
    assert not leaves(dealer)
    trials, began = dealer._sweep.ledger.trials, clock.now
    heartbeats, stepped = trials.heartbeats, timedelta(hours=hours)

    def later(study_id: int) -> tuple[datetime, dict[int, datetime]]:
        now, beats = heartbeats(study_id)
        return now + timedelta(seconds=clock.now - began) + stepped, beats

    monkeypatch.setattr(trials, "heartbeats", later)
    shift(sweep, run, int(LEASE) + 2 - 3600 * min(hours, 0))
    for _ in range(4):
        clock.now += LEASE / 4
        assert not leaves(dealer)
    clock.now += LEASE / 4
    assert claim(dealer).attempt == 2
