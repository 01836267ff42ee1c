"""Verdicts of the reporter equal those of a naive reference, for any agent and any order of reports."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy
from controller_helpers import claim, config, working
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import StorageUnavailableError
from lightsweep.storage import Storage, open_storage

RUNS = 6
VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, math.nan, math.inf])
REPORTS = st.lists(st.tuples(st.integers(0, RUNS - 1), VALUES), min_size=10, max_size=60)


@pytest.fixture
def other(storage: Storage) -> Iterator[Storage]:
    opened = open_storage(storage.url)
    yield opened
    opened.close()


def stops(histories: list[list[float]], run: int, bands: list[int], eta: int, strict: bool, sign: int) -> bool:
    """Straight from the rules: the value at the highest band reached against the element at int(n / eta)."""
    counted = [[value for value in history if math.isfinite(value)] for history in histories]
    mine = counted[run]
    reached = [band for band in bands if band <= len(mine)]
    if not reached:
        return False
    band = reached[-1]
    at_band = sorted(sign * history[band - 1] for history in counted if len(history) >= band)
    value = sign * mine[band - 1] if strict else min(sign * value for value in mine)
    return value > at_band[int(len(at_band) / eta)] if int(len(at_band) / eta) < len(at_band) else False


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(REPORTS, st.booleans(), st.sampled_from(["minimize", "maximize"]), st.integers(2, 3))
def test_verdicts_of_two_agents_on_one_storage(
    storage: Storage, other: Storage, reports: list[tuple[int, float]], strict: bool, goal: str, eta: int
) -> None:
    stopping = {"type": "hyperband", "min_iter": 1, "eta": eta, "strict": strict}
    first = Sweep.create(config(metric={"name": "loss", "goal": goal}, early_terminate=stopping), storage=storage)
    sweeps = [first, Sweep.load(first.id, storage=other)]
    bands = [eta**power for power in range(8)]
    histories: list[list[float]] = [[] for _ in range(RUNS)]
    with ExitStack() as stack:
        agents = [stack.enter_context(working(sweep, str(number))) for number, sweep in enumerate(sweeps)]
        runs: list[ClaimedRun] = [claim(agents[number % 2][0]) for number in range(RUNS)]
        stopped: set[int] = set()
        for run, value in reports:
            if run in stopped:
                continue
            histories[run].append(value)
            _, reporter, writer = agents[run % 2]
            verdict = reporter.report(runs[run], {"loss": value, "other": 1.0})
            assert writer.flush(30)
            # Between bands an agent knows what it read last: the reference may know more. At a band it knows all.
            finite = len([one for one in histories[run] if math.isfinite(one)])
            if math.isfinite(value) and finite in bands:
                sign = 1 if goal == "minimize" else -1
                assert verdict.stop == stops(histories, run, bands, eta, strict, sign)
            if verdict.stop:
                stopped.add(run)
    first.refresh()
    for run, history in zip(runs, histories, strict=True):
        assert [repr(value) for value in first.book.entries[run.id].record.reports] == [repr(one) for one in history]
        assert run.pruned == (runs.index(run) in stopped)


def test_a_run_is_judged_again_at_later_reports(storage: Storage) -> None:
    stopping = {"type": "hyperband", "min_iter": 1, "eta": 2}
    sweep = Sweep.create(config(early_terminate={**stopping, "min_iter": 3}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        early, *others = [claim(dealer) for _ in range(3)]
        for _ in range(3):
            assert not reporter.report(early, {"loss": 5.0}).stop
        for run in others:
            for _ in range(3):
                assert not reporter.report(run, {"loss": 1.0}).stop
        # A value that does not count as an iteration is judged, too.
        verdict = reporter.report(early, {"loss": math.nan})
        assert verdict.stop
        assert "stopped at band 3: 5.000 > cut-off 1.000" in verdict.reason
        assert early.pruned
        repeated = reporter.report(early, {"loss": 0.0})
        assert (repeated.stop, repeated.reason) == (True, verdict.reason)
        assert list(early.history) == [5.0] * 3


def test_other_numbers_are_kept_but_not_judged(storage: Storage) -> None:
    sweep = Sweep.create(config(early_terminate={"type": "hyperband", "min_iter": 1}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        run = claim(dealer)
        for value in (2.0, math.nan, 0.5, math.inf):
            assert not reporter.report(run, {"acc": value}).stop
        reporter.report(run, {"acc": math.nan})
        assert not run.reports
        assert reporter.finish(run, Outcome("finished", unread=["x"]))
    (seen,) = sweep.runs
    assert (seen.metrics["acc"]["min"], seen.metrics["acc"]["max"]) == (0.5, 2.0)
    assert math.isnan(seen.metrics["acc"]["last"])
    assert seen.unread == ("x",)


def test_the_last_report_of_a_training_is_compared_with_but_not_judged(storage: Storage) -> None:
    sweep = Sweep.create(config(early_terminate={"type": "hyperband", "min_iter": 2}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        first, second, third = (claim(dealer) for _ in range(3))
        reporter.report(first, {"loss": 1.0})
        assert not reporter.report(first, {"loss": 1.0}, last=True).stop
        reporter.report(second, {"loss": 5.0})
        assert not reporter.report(second, {"loss": 5.0}, last=True).stop
        assert reporter.finish(second, Outcome("finished"))
        reporter.report(third, {"loss": 7.0})
        verdict = reporter.report(third, {"loss": 7.0})
        assert (verdict.stop, verdict.compared) == (True, 3)
        cancelled = claim(dealer)
        reporter.stop(cancelled, "the sweep was cancelled")
        assert reporter.report(cancelled, {"loss": 1.0}, last=True).stop
    assert sweep.runs[1].state == "finished"


def test_a_run_that_is_told_to_stop_hears_it_at_its_next_report(storage: Storage) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        run = claim(dealer)
        reporter.stop(run, "the sweep was cancelled")
        reporter.stop(run, "another reason")
        verdict = reporter.report(run, {"loss": 1.0})
        assert (verdict.stop, verdict.reason, run.pruned) == (True, "the sweep was cancelled", False)


def test_at_a_band_without_the_database_the_known_runs_count(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        good, bad = claim(dealer), claim(dealer)

        def gone(**_: Any) -> None:
            raise StorageUnavailableError("gone")

        monkeypatch.setattr(sweep, "refresh", gone)
        assert not reporter.report(good, {"loss": 1.0}).stop
        assert not reporter.report(bad, {"loss": 1.5}).stop  # of two the second is the threshold
        third = ClaimedRun("0003", 2, 1, bad.trial_id, {}, {})
        assert reporter.report(third, {"loss": 2.0}).stop
        monkeypatch.undo()


def test_reports_do_not_wait_for_a_read_of_the_storage(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(early_terminate={"type": "hyperband", "min_iter": 2}), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        run, at_band = claim(dealer), claim(dealer)
        sweep.refresh()
        reading, go_on = threading.Event(), threading.Event()
        read = sweep.ledger.read

        def slow(*arguments: Any, **options: Any) -> Any:
            reading.set()
            assert go_on.wait(30)
            return read(*arguments, **options)

        monkeypatch.setattr(sweep.ledger, "read", slow)
        reporter.report(at_band, {"loss": 1.0})
        thread = threading.Thread(target=reporter.report, args=(at_band, {"loss": 1.0}))
        thread.start()
        assert reading.wait(30)
        # Each of these would wait for ever if it needed a lock that is held while the storage is read.
        reporter.report(run, {"loss": 1.0})
        reporter.stop(at_band, "told to stop")
        assert sweep.known_state().name == "running"
        assert len(sweep.known_runs()) == 2
        go_on.set()
        thread.join(30)
        assert not thread.is_alive()


class FakeTrials:
    """Stands for a database: fails as often as told, and keeps what it was given."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.over: set[int] = set()
        self.batches: list[list[tuple[int, int, float]]] = []
        self.tried = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        self.tried.set()
        assert self.go_on.wait(30)
        if self.failures > 0:
            self.failures -= 1
            raise sqlalchemy.exc.OperationalError("INSERT", {}, Exception("gone"))
        self.batches.append(list(reports))
        return self.over


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTrials:
    found = FakeTrials()
    monkeypatch.setattr("lightsweep.controller.reports.trials_of", lambda _: found)
    return found


@pytest.fixture
def run() -> ClaimedRun:
    return ClaimedRun("0001", 0, 1, 7, {}, {})


def test_reports_are_delivered_in_order_after_an_outage(
    storage: Storage, run: ClaimedRun, fake: FakeTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightsweep.controller.reports._FIRST_PAUSE", 0.001)
    outages: list[str] = []
    fake.failures = 5
    writer = Writer(storage, outages.append)
    for step in range(1, 11):
        writer.put(run, step, step / 2)
    assert writer.flush(30)
    assert [report for batch in fake.batches for report in batch] == [(7, step, step / 2) for step in range(1, 11)]
    assert [outage[:27] for outage in outages] == ["the storage does not answer", ""]
    writer.close()
    assert not writer.flush(1)


def test_what_has_gathered_is_delivered_at_once(storage: Storage, run: ClaimedRun, fake: FakeTrials) -> None:
    fake.go_on.clear()
    writer = Writer(storage)
    writer.put(run, 1, 0.5)
    assert fake.tried.wait(30)
    for step in range(2, 1003):
        writer.put(run, step, 0.5)
    fake.go_on.set()
    assert writer.flush(30)
    assert [len(batch) for batch in fake.batches] == [1, 500, 500, 1]
    began = time.monotonic()
    writer.put(run, 1003, 0.5)
    writer.put(run, 1004, 0.5)
    assert writer.flush(30)  # which does not wait for more
    assert (len(fake.batches[-1]), time.monotonic() - began < 10) == (2, True)
    writer.close()


def test_nothing_more_is_delivered_of_a_run_that_is_over(storage: Storage, run: ClaimedRun, fake: FakeTrials) -> None:
    other = ClaimedRun("0002", 1, 1, 8, {}, {})
    fake.over = {7}
    fake.go_on.clear()
    writer = Writer(storage)
    writer.put(run, 1, 0.5)
    assert fake.tried.wait(30)
    writer.put(run, 2, 0.5)
    writer.put(other, 1, 0.5)
    fake.go_on.set()
    assert writer.flush(30)
    assert (run.taken, other.taken) == (True, False)
    assert fake.batches == [[(7, 1, 0.5)], [(8, 1, 0.5)]]
    writer.close()


def test_closing_drops_what_the_database_does_not_take(storage: Storage, run: ClaimedRun, fake: FakeTrials) -> None:
    fake.failures = 10**9
    writer = Writer(storage)
    for step in range(100):
        writer.put(run, step, 0.0)
    assert fake.tried.wait(30)
    assert not writer.flush(0.01)
    writer.close()
    assert fake.failures >= 10**9 - 50
    assert not writer.flush()


def test_finish_waits_for_the_reports(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(), storage=storage)
    with working(sweep) as (dealer, reporter, writer):
        run = claim(dealer)
        reporter.report(run, {"loss": 1.0})
        monkeypatch.setattr(writer, "flush", lambda timeout=None: False)  # noqa: ARG005 - the same signature
        with pytest.raises(StorageUnavailableError, match="reports wait"):
            reporter.finish(run, Outcome("finished"))
        monkeypatch.undo()
        assert reporter.finish(run, Outcome("finished"))
    assert isinstance(reporter, Reporter)
    assert [one.state for one in sweep.runs] == ["finished"]
