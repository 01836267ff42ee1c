"""Retries, and updates of the config during a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from controller_helpers import claim, config, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.changes import request, retry_runs, update_config
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.controller.summary import summarize
from lightsweep.errors import NotFoundError, UsageError
from lightsweep.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    yield opened
    opened.close()


def grid(*values: Any, **keys: Any) -> dict[str, Any]:
    return {
        "method": "grid",
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": list(values)}, "y": {"values": ["a", "b"]}},
        **keys,
    }


class Worker:
    """An agent without processes: each run logs ``loss`` and ends in the given state."""

    def __init__(self, sweep_id: str, storage: Storage) -> None:
        self.sweep = Sweep.load(sweep_id, storage=storage)
        self.dealer = RunClaimer(self.sweep, "worker")
        self.writer = Writer(storage)
        self.reporter = Reporter(self.sweep, self.writer)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.reporter.close()
        self.writer.close()

    def claim(self) -> ClaimedRun | None:
        found = self.dealer.next_run()
        return None if isinstance(found, NoRun) else found

    def work(self, count: int | None = None, *, state: str = "finished", loss: float = 1.0) -> list[ClaimedRun]:
        done: list[ClaimedRun] = []
        while (count is None or len(done) < count) and (run := self.claim()) is not None:
            self.reporter.report(run, {"loss": loss})
            assert self.reporter.finish(run, Outcome(state, "as told"))
            done.append(run)
        return done


def test_failed_runs_are_started_again_when_the_user_asks(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, 2), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work(2, state="failed")
        worker.work(2)
        assert sweep.state.name == "finished"
        assert retry_runs(sweep, "0001") == ["0001"]
        assert sweep.state.name == "running"
        (again,) = worker.work()
        assert (again.id, again.values) == ("0001", {"x": 1, "y": "a"})
        assert list(again.history) == [1.0, 1.0]
        assert retry_runs(sweep, failed=True) == ["0002"]
        assert [run.id for run in worker.work()] == ["0002"]
    assert sweep.state.name == "finished"
    assert [run.state for run in sweep.runs] == ["finished"] * 4
    assert retry_runs(sweep, failed=True) == []


def test_every_run_without_a_result_is_started_again(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, 2, 3, lightsweep={"max_preemptions": 0}), storage=storage)
    with Worker(sweep.id, storage) as worker:
        for state in ("finished", "pruned", "failed", "killed", "lost"):
            worker.work(1, state=state)
        assert not sweep.spent()
        worker.work(1)
        assert (str(sweep.state), sweep.spent()) == ("finished (all 6 points of the grid)", True)
        assert retry_runs(sweep, failed=True) == ["0003", "0004", "0005"]
        assert retry_runs(sweep, failed=True) == []  # they wait already
        assert [run.id for run in worker.work()] == ["0003", "0004", "0005"]
    assert {run.state for run in sweep.runs} == {"finished", "pruned"}


def test_a_sweep_that_reached_its_target_has_nothing_to_start_again(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, metric={"name": "loss", "target": 0.5}), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work(1, state="killed")
        worker.work(1, loss=0.1)
    assert sweep.state.name == "finished"
    assert not sweep.spent()


def test_a_run_that_is_to_be_started_again_waits(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, lightsweep={"max_retries": 2}), storage=storage)

    def shown() -> list[tuple[str, str]]:
        return [(run.state, run.standing) for run in sweep.runs]

    with Worker(sweep.id, storage) as worker:
        worker.work(1, state="lost")
        assert shown() == [("killed", "waiting")]
        assert [run.standing for run in sweep.known_runs()] == ["waiting"]
        assert summarize(sweep).states == {"waiting": 1}
        request(sweep, "stop")
        assert shown() == [("killed", "killed")]  # nobody starts it now
        assert [run.standing for run in sweep.known_runs()] == ["killed"]
        request(sweep, "resume")
        worker.work(1, state="failed")
        assert shown() == [("failed", "waiting")]
        worker.work(1, state="killed")  # by the user; a retry has to be requested
        assert shown() == [("killed", "killed")]
        retry_runs(sweep, "0001")
        assert shown() == [("killed", "waiting")]


def test_attempts_are_counted_by_those_that_began(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, lightsweep={"max_preemptions": 2}), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work(1, state="killed")
        for _ in range(2):
            retry_runs(sweep, "0001")
        assert sweep.runs[0].attempt == 1
        (again,) = worker.work(1, state="lost")
        assert (again.id, again.attempt) == ("0001", 2)
        (again,) = worker.work(1)  # that it was asked for is not one of the times that it was lost
        assert (again.id, again.attempt) == ("0001", 3)
    assert sweep.runs[0].attempt == 3


def test_what_cannot_be_started_again_is_an_error(storage: Storage) -> None:
    sweep = Sweep.create(grid(1), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work()
    with pytest.raises(UsageError, match="run 0001 is finished; only failed and killed"):
        retry_runs(sweep, "0001")
    with pytest.raises(NotFoundError, match="no run '0009'"):
        retry_runs(sweep, "0009")


def test_nothing_of_a_cancelled_sweep_is_started_again(storage: Storage) -> None:
    sweep = Sweep.create(grid(1), storage=storage)
    request(sweep, "cancel")
    with pytest.raises(UsageError, match="cancelled"):
        retry_runs(sweep, failed=True)


def test_a_run_is_asked_for_again_however_often_it_was_lost(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, lightsweep={"max_preemptions": 0}), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work(1, state="lost")
        assert [run.id for run in worker.work()] == ["0002"]
        retry_runs(sweep, "0001")
        assert [run.id for run in worker.work()] == ["0001"]


def test_a_grid_is_extended_under_way(storage: Storage) -> None:
    sweep = Sweep.create(grid(1, 2, 3), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work(3)
        held = worker.claim()
        assert held is not None
        update_config(sweep, grid(0, 1, 2, 3, 4))
        worker.work(2)
        worker.reporter.report(held, {"loss": 1.0})
        worker.reporter.finish(held, Outcome("finished"))
        worker.work()
    runs = sweep.runs
    points = [(run.values["x"], run.values["y"]) for run in runs]
    assert len(runs) == 10
    assert sorted(points) == [(x, y) for x in range(5) for y in "ab"]
    assert points[:4] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert sweep.state.reason == "all 10 points of the grid"
    again = Sweep.load(sweep.id, storage=storage)
    assert [run.values for run in again.runs] == [run.values for run in runs]
    assert again.state.name == "finished"
    assert len(optuna.load_study(study_name=sweep.id, storage=storage.optuna).trials) == 11


def test_a_finished_grid_goes_on_after_it_was_extended(storage: Storage) -> None:
    sweep = Sweep.create(grid(1), storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work()
        assert sweep.state.name == "finished"
        update_config(sweep, grid(1, [2, 3]))
        assert sweep.state.name == "running"
        assert [run.values["x"] for run in worker.work()] == [[2, 3], [2, 3]]
        update_config(sweep, grid([2, 3]))
        assert worker.work() == []
    assert [run.values["x"] for run in sweep.runs] == [1, 1, [2, 3], [2, 3]]


def test_an_extended_grid_is_shared_by_agents_that_saw_it_at_different_times(storage: Storage) -> None:
    sweep = Sweep.create(grid(*range(6)), storage=storage)
    with Worker(sweep.id, storage) as one, Worker(sweep.id, storage) as two:
        one.work(2)
        two.work(1)
        update_config(sweep, grid(*range(9)))
        for _ in range(20):
            one.work(1)
            two.work(1)
    points = [(run.values["x"], run.values["y"]) for run in sweep.runs]
    assert sorted(points) == [(x, y) for x in range(9) for y in "ab"]


def test_a_cap_below_what_was_handed_out_hides_nothing(storage: Storage) -> None:
    sweep = Sweep.create(config(run_cap=4), storage=storage)
    with working(sweep) as (dealer, reporter, _):
        runs = [claim(dealer) for _ in range(3)]
        update_config(sweep, {**sweep.config.raw, "run_cap": 1})
        for run in runs[:2]:
            assert reporter.finish(run, Outcome("finished"))
        assert reporter.finish(runs[2], Outcome("lost", "preempted"))
        assert sweep.state.name == "running"
        again = claim(dealer)
        assert (again.id, again.attempt) == ("0003", 2)
        assert reporter.finish(again, Outcome("finished"))
    assert [run.state for run in sweep.runs] == ["finished"] * 3
    assert str(sweep.state) == "finished (run_cap 1)"


def test_the_cap_and_the_bands_change_under_way(storage: Storage) -> None:
    random = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    bands = {"early_terminate": {"type": "hyperband", "min_iter": 1}}
    sweep = Sweep.create({**random, "run_cap": 2}, storage=storage)
    with Worker(sweep.id, storage) as worker:
        worker.work()
        assert sweep.state.name == "finished"
        update_config(sweep, {**random, **bands, "run_cap": 4})
        run = worker.claim()
        assert run is not None
        verdict = worker.reporter.report(run, {"loss": 2.0})
        assert verdict.stop
        assert verdict.compared == 3
        worker.reporter.finish(run, Outcome("pruned", verdict.reason))
        assert len(worker.work()) == 1
    assert len(sweep.runs) == 4
    assert sweep.state.reason == "run_cap 4"


def test_what_cannot_change_is_named(storage: Storage) -> None:
    sweep = Sweep.create(grid(1), storage=storage)
    other = grid(1, method="random", metric={"name": "accuracy", "goal": "maximize"}, lightsweep={"seed": 3})
    with pytest.raises(UsageError, match=r"cannot change method, metric.name, metric.goal, lightsweep.seed"):
        update_config(sweep, other)
    with pytest.raises(UsageError, match=r"cannot change lightsweep.lease in an update"):
        update_config(sweep, grid(1, lightsweep={"lease": 5}))
    update_config(sweep, grid(1, lightsweep={"lease": 60, "max_retries": 2}))
    renamed = grid(1)
    renamed["parameters"]["z"] = {"value": 1}
    with pytest.raises(UsageError, match="the names of the parameters"):
        update_config(sweep, renamed)


def bayes(**keys: Any) -> dict[str, Any]:
    return {
        "method": "bayes",
        "metric": {"name": "loss"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "lightsweep": {"seed": 1, "sampler": "tpe"},
        **keys,
    }


def test_a_run_of_a_dead_agent_is_no_longer_running_in_a_sweep_that_was_stopped(storage: Storage) -> None:
    sweep = Sweep.create(bayes(), storage=storage)
    with Worker(sweep.id, storage) as worker:
        run = worker.claim()
        assert run is not None
        request(sweep, "stop")
        later = Worker(sweep.id, storage)
        with later:
            later.sweep.ledger.stale = lambda _: list(later.sweep.ledger.records)
            assert later.claim() is None
    assert [found.state for found in sweep.runs] == ["killed"]
