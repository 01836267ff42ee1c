"""Runs that break a constraint: never the best, in any view; what the searcher is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from controller_helpers import claim, config, work, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.changes import update_config
from lightsweep.controller.observations import observation
from lightsweep.controller.ranking import pareto_front
from lightsweep.controller.reports import Reporter
from lightsweep.controller.summary import summarize
from lightsweep.report.data import report_data
from lightsweep.report.points import history_figure

BOUND = {"constraints": ["ms <= 20", "mb < 50"], "seed": 1}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


def logs(*runs: Mapping[str, float]) -> Any:
    """Let the run of each ticket report these numbers and finish."""

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        reporter.report(run, dict(runs[run.ticket or 0]))
        return Outcome("finished")

    return train


GOOD, SLOW, UNKNOWN = (
    {"loss": 3.0, "ms": 20.0, "mb": 1.0},
    {"loss": 1.0, "ms": 31.2, "mb": 60.0},
    {"loss": 2.0, "mb": 1.0},
)


def bounded(url: str, **keys: Any) -> Sweep:
    return Sweep.create(config(lightsweep=BOUND, **keys), storage=url)


def test_a_run_that_breaks_a_constraint_is_never_the_best(url: str) -> None:
    sweep = bounded(url, run_cap=3)
    work(sweep, logs(SLOW, GOOD, UNKNOWN))
    slow, good, unknown = sweep.runs
    assert sweep.best_run == good
    assert slow.breaks == ("ms <= 20: 31.2", "mb < 50: 60")
    assert slow.reason == "breaks ms <= 20: 31.2 and mb < 50: 60"
    assert unknown.breaks == ("ms <= 20: not logged",)
    assert good.breaks == ()
    seen = summarize(sweep)
    assert (seen.best, seen.broken) == (good, 2)
    assert "2 runs break a constraint (ms <= 20, mb < 50)" in seen.remarks


def test_without_a_run_that_keeps_them_there_is_no_best(url: str) -> None:
    sweep = bounded(url, run_cap=1)
    work(sweep, logs(SLOW))
    assert sweep.best_run is None
    assert summarize(sweep).best_line == ""
    assert "1 run breaks a constraint (ms <= 20, mb < 50)" in summarize(sweep).remarks


def test_a_running_run_breaks_nothing_yet(url: str) -> None:
    sweep = bounded(url, run_cap=2)
    with working(sweep) as (claimer, reporter, writer):
        run = claim(claimer)
        reporter.report(run, SLOW)
        assert writer.flush(30)
        assert [each.breaks for each in sweep.runs] == [()]
        assert reporter.finish(run, Outcome("failed", "an error"))
    (failed,) = sweep.runs
    assert failed.breaks == ("ms <= 20: 31.2", "mb < 50: 60")


def test_a_failed_run_does_not_break_what_it_never_logged(url: str) -> None:
    sweep = bounded(url, run_cap=1)
    work(sweep, lambda run, reporter: (reporter.report(run, {"loss": 1.0}), Outcome("failed", "an error"))[1])
    assert [each.breaks for each in sweep.runs] == [()]


def test_the_target_is_reached_by_a_run_that_keeps_them(url: str) -> None:
    sweep = bounded(url, run_cap=5, metric={"name": "loss", "target": 1.5})
    work(sweep, logs(SLOW), count=1)
    assert sweep.state.name == "running"
    work(sweep, logs(SLOW, {**GOOD, "loss": 1.2}), count=1)
    assert sweep.state.name == "finished"


def test_a_lost_run_does_not_reach_the_target(url: str) -> None:
    """Whether it keeps the constraints is not known before it is retried and ends."""
    sweep = bounded(url, metric={"name": "loss", "target": 1.5}, run_cap=3)
    with working(sweep) as (claimer, reporter, _):
        run = claim(claimer)
        reporter.report(run, {"loss": 1.0})
        assert reporter.finish(run, Outcome("lost", "preempted"))
        assert sweep.state.name == "running"
        again = claim(claimer)
        assert (again.id, again.attempt) == (run.id, 2)
        reporter.report(again, {"loss": 1.0, "ms": 1.0, "mb": 1.0})
        assert reporter.finish(again, Outcome("finished"))
    assert str(sweep.state) == "finished (target 1.5 of loss reached)"


def test_a_retried_run_keeps_what_it_logged_before(url: str) -> None:
    sweep = bounded(url, run_cap=1)
    with working(sweep) as (claimer, reporter, _):
        reporter.report(first := claim(claimer), SLOW)
        assert reporter.finish(first, Outcome("preempted", "preempted"))
        reporter.report(again := claim(claimer), {"loss": 1.0, "mb": 10.0})
        assert reporter.finish(again, Outcome("finished"))
    (run,) = sweep.runs
    assert (run.attempt, run.breaks) == (2, ("ms <= 20: 31.2",))


def test_an_update_may_change_the_constraints(url: str) -> None:
    sweep = bounded(url, run_cap=3)
    work(sweep, logs(SLOW, GOOD, UNKNOWN))
    update_config(sweep, config(run_cap=3, lightsweep={"constraints": ["ms <= 40"], "seed": 1}))
    assert sweep.best_run == sweep.runs[0]
    assert sweep.runs[0].breaks == ()
    assert sweep.runs[2].breaks == ("ms <= 40: not logged",)


def test_a_searcher_is_told_how_far_runs_are_beyond_a_bound(url: str) -> None:
    sweep = bounded(url, run_cap=4)
    work(sweep, logs(SLOW, GOOD, UNKNOWN), count=3)
    sweep.refresh()
    entries = sweep.known_entries()
    sweep.complete(entries)  # a random sweep's agent has not read them
    found = [observation(entry, sweep.config) for entry in entries]
    assert [each.excess for each in found if each] == [
        (pytest.approx(11.2), 10.0),
        (0.0, -49.0),
        (float("inf"), -49.0),
    ]


def test_a_stage_begins_from_a_run_that_keeps_them(url: str) -> None:
    parameters = {"a": {"values": [1, 2, 3]}, "b": {"values": [1, 2]}}
    stages = [{"parameters": ["a"], "run_cap": 2, "defaults": {"b": 1}}, {"parameters": ["b"], "run_cap": 1}]
    sweep = Sweep.create(config(parameters, lightsweep={**BOUND, "stages": stages}), storage=url)
    work(sweep, logs(SLOW, GOOD, GOOD))
    assert sweep.plan.parts[-1].base == "0002"
    other = Sweep.create(config(parameters, lightsweep={**BOUND, "stages": stages}), storage=url)
    work(other, logs(SLOW, SLOW, SLOW))
    assert "no run has a value of loss and keeps the constraints that 'stage 2' could start from" in str(other.state)


def test_the_report_passes_over_runs_that_break_a_constraint(url: str) -> None:
    sweep = bounded(url, run_cap=3)
    work(sweep, logs(SLOW), count=1)
    data = report_data(sweep.config, sweep.runs)
    assert (data.best, data.without_best()) == (None, "No run keeps the constraints.")
    assert history_figure(data).data[-1].visible is False
    work(sweep, logs(SLOW, GOOD, UNKNOWN))
    data = report_data(sweep.config, sweep.runs)
    points, line = history_figure(data).data
    assert (data.best and data.best.id, list(line.x), list(line.y)) == ("0002", [2, 3], [3.0, 3.0])
    assert list(points.marker.symbol) == ["x", "circle", "x"]


def test_the_front_passes_over_them_too(url: str) -> None:
    metrics = [{"name": "loss"}, {"name": "mb"}]
    sweep = bounded(url, run_cap=3, metric=None, metrics=metrics)
    work(sweep, logs(SLOW, GOOD, UNKNOWN))
    assert [run.id for run in pareto_front(sweep.runs, sweep.config).best] == ["0002"]
