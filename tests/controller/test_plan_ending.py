"""``stop_when`` ends a sweep: each condition, its reason, an update, and agents that agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from controller_helpers import claim, config, work, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep, plan
from lightsweep.controller.changes import update_config
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter
from lightsweep.controller.runs import ATTEMPT, GAIN, SUMMARY, RunEntry
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage
from lightsweep.storage.trials import TrialRow

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def stopping(when: dict[str, Any] | None, **keys: Any) -> dict[str, Any]:
    return config(lightsweep={"stop_when": when}, **keys)


def losses(*values: float | None, state: str = "finished") -> Callable[[ClaimedRun, Reporter], Outcome]:
    """Runs that report these values in turn, and then the last of them; one without a value fails."""

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        value = values[min(run.ticket or 0, len(values) - 1)]
        if value is None:
            return Outcome("failed", "no value")
        reporter.report(run, {"loss": value})
        return Outcome(state)

    return train


def entries(*rows: tuple[str, float | None, int], gains: tuple[float | None, ...] = ()) -> list[RunEntry]:
    """Runs with a state, a value and the minute of their end."""
    found = []
    for ticket, (state, value, minute) in enumerate(rows):
        stored = {"finished": "COMPLETE", "pruned": "PRUNED", "running": "RUNNING"}.get(state, "FAIL")
        attributes: dict[str, Any] = {ATTEMPT: {"kind": "fresh"}, SUMMARY: {"state": state}}
        if gains and gains[ticket] is not None:
            attributes[GAIN] = gains[ticket]
        record = TrialRow(ticket, ticket, stored)
        record.attributes = attributes
        record.started = START
        record.ended = None if state == "running" else START + timedelta(minutes=minute)
        record.reports.extend([1.0] * 10)
        entry = RunEntry(f"{ticket + 1:04d}", ticket, 1, record)
        entry.best, entry.iterations = value, 10
        found.append(entry)
    return found


def ended(when: dict[str, Any], runs: list[RunEntry], now: datetime = START, **keys: Any) -> str:
    return plan.ended_by(SweepConfig.load(stopping(when, **keys)), runs, now)


def test_no_better_in_so_many_runs(storage: Storage) -> None:
    made = Sweep.create(stopping({"no_better_in": 3}), storage=storage)
    done = work(made, losses(5.0, 4.0, 6.0, 3.0, 3.0))
    assert len(done) == 7
    assert str(made.state) == "finished (stop_when: no better than 3 in the last 3 runs)"
    seen = Sweep.load(made.id, storage=storage)
    found = RunClaimer(seen, "b").next_run()
    assert isinstance(found, NoRun)
    assert (found.for_good, found.reason) == (True, f"the sweep is {made.state}")


def test_runs_count_in_the_order_of_their_ends_and_a_condition_holds_from_then_on() -> None:
    late = ("finished", 1.0, 50)
    assert ended({"no_better_in": 2}, entries(("finished", 2.0, 1), ("finished", 3.0, 2), late)) == ""
    held = entries(late, ("finished", 2.0, 1), ("finished", 3.0, 2), ("finished", 3.0, 3))
    assert ended({"no_better_in": 2}, held) == "stop_when: no better than 2 in the last 2 runs"


def test_failed_runs_count_and_killed_and_running_ones_do_not() -> None:
    runs = entries(("finished", 2.0, 1), ("failed", 1.0, 2), ("killed", 3.0, 3), ("running", 3.0, 0), ("lost", 3.0, 4))
    assert ended({"no_better_in": 2}, runs) == ""
    assert ended({"no_better_in": 1}, runs) == "stop_when: no better than 2 in the last run"
    assert ended({"no_better_in": 2}, entries(("failed", None, 1), ("failed", None, 2))) == (
        "stop_when: no value in the last 2 runs"
    )
    waits = entries(("failed", None, 1))
    again = SweepConfig.load(config(lightsweep={"stop_when": {"no_better_in": 1}, "max_retries": 1}))
    assert plan.ended_by(again, waits, START) == ""


def test_if_all_runs_break_a_constraint_the_reason_says_so() -> None:
    bounded = SweepConfig.load(config(lightsweep={"stop_when": {"no_better_in": 2}, "constraints": ["ms <= 20"]}))
    runs = entries(("finished", 1.0, 1), ("finished", 2.0, 2))  # without the metric that is bounded
    found = plan.ended_by(bounded, runs, START)
    assert found == "stop_when: no run within the constraints in the last 2 runs"


def test_with_several_metrics_a_run_on_the_pareto_front_is_better(storage: Storage) -> None:
    made = Sweep.create(
        stopping({"no_better_in": 2}, metric=None, metrics=[{"name": "loss"}, {"name": "score", "goal": "maximize"}]),
        storage=storage,
    )
    points = [(1.0, 1.0), (2.0, 1.0), (3.0, 5.0), (4.0, 2.0), (5.0, 6.0), (1.0, 1.0), (0.5, math.nan), (0.1, 9.0)]

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        loss, score = points[run.ticket or 0]
        reporter.report(run, {"loss": loss, "score": score})
        return Outcome("finished")

    # The third and the fifth are behind the first in the first metric, but on the front; one that equals a run before
    # it, or lacks a metric, is not.
    assert len(work(made, train)) == 7
    assert str(made.state) == "finished (stop_when: no run has entered the Pareto front in the last 2 runs)"


def test_the_goal_decides_on_better() -> None:
    runs = entries(("finished", 2.0, 1), ("pruned", 3.0, 2), ("finished", 2.5, 3))
    assert ended({"no_better_in": 2}, runs) != ""
    assert ended({"no_better_in": 2}, runs, metric={"name": "loss", "goal": "maximize"}) == ""


def test_hours_since_the_first_run_started() -> None:
    runs = entries(("running", None, 0))
    assert ended({"hours": 1.5}, runs, START + timedelta(minutes=89)) == ""
    reason = "stop_when: 1.5 hours have passed since the first run started"
    assert ended({"hours": 1.5}, runs, START + timedelta(minutes=90)) == reason
    assert ended({"hours": 1.5}, [], START + timedelta(days=9)) == ""
    again = TrialRow(9, 9, "RUNNING")
    again.started = START + timedelta(hours=1)
    runs[0].adopt(2, again)
    assert ended({"hours": 1.5}, runs, START + timedelta(minutes=90)) == reason


def test_epochs_of_all_runs() -> None:
    runs = entries(("running", None, 0), ("failed", None, 1))
    assert ended({"epochs": 21}, runs) == ""
    assert ended({"epochs": 20}, runs) == "stop_when: all runs together have 20 iterations, of 20 allowed"


def test_epochs_of_trainings_before_the_last_one_of_a_run_count() -> None:
    runs = entries(("finished", 1.0, 0))
    runs[0].record.attributes = {**runs[0].record.attributes, SUMMARY: {"state": "finished", "since": 4}}
    runs[0].measure(min)
    assert runs[0].iterations == 6
    assert ended({"epochs": 10}, runs) == "stop_when: all runs together have 10 iterations, of 10 allowed"


def test_three_proposals_in_turn_that_promise_too_little() -> None:
    keys = {"method": "bayes"}
    rows = [("finished", 1.0, 1)] * 6
    assert ended({"expected_gain": 0.1}, entries(*rows, gains=(None, 0.01, 0.02, 0.5, 0.01, 0.02)), **keys) == ""
    low = entries(*rows, gains=(None, 0.5, 0.01, 0.02, 0.05, 0.5))
    assert ended({"expected_gain": 0.1}, low, **keys) == (
        "stop_when: a further run is expected to gain 0.05, less than 0.1"
    )


def test_a_retried_run_keeps_its_expected_gain() -> None:
    low = entries(*[("finished", 1.0, 1)] * 3, gains=(0.01, 0.02, 0.03))
    low[1].adopt(2, TrialRow(9, 9, "RUNNING"))
    assert low[1].gain == 0.02
    assert "expected to gain 0.03" in ended({"expected_gain": 0.1}, low, method="bayes")


def test_running_runs_end_normally_and_another_agent_agrees(storage: Storage) -> None:
    made = Sweep.create(stopping({"epochs": 2}), storage=storage)
    with working(made) as (dealer, reporter, writer), working(Sweep.load(made.id, storage=storage), "b") as (other, *_):
        first, second = claim(dealer), claim(other)
        reporter.report(first, {"loss": 1.0})
        reporter.report(second, {"loss": 2.0})
        assert writer.flush(30)
        reporter.finish(first, Outcome("finished"))
        for each in (dealer, other):
            found = each.next_run()
            assert isinstance(found, NoRun)
            assert found.exhausted
            reached = "stop_when: all runs together have 2 iterations, of 2 allowed"
            assert found.reason == f"{reached}: no further run starts; some are still running"
        assert made.state.name == "running"
        assert not reporter.report(second, {"loss": 1.5}).stop
        reporter.finish(second, Outcome("finished"))
    assert str(made.state) == "finished (stop_when: all runs together have 3 iterations, of 2 allowed)"
    assert [run.state for run in made.runs] == ["finished", "finished"]


def test_the_cap_is_named_if_it_was_first(storage: Storage) -> None:
    made = Sweep.create(stopping({"epochs": 2}, run_cap=2), storage=storage)
    work(made, losses(1.0))
    assert str(made.state) == "finished (run_cap 2)"


def test_an_update_lets_it_go_on(storage: Storage) -> None:
    made = Sweep.create(stopping({"no_better_in": 1}), storage=storage)
    assert len(work(made, losses(1.0))) == 2
    update_config(made, stopping({"no_better_in": 3}))
    assert made.state.name == "running"
    assert len(work(made, losses(1.0))) == 2
    assert made.state.name == "finished"
    update_config(made, config())
    assert made.state.name == "running"


def test_a_model_that_expects_little_ends_the_sweep(storage: Storage) -> None:
    keys = {"method": "bayes", "run_cap": 40}
    made = Sweep.create(config(lightsweep={"stop_when": {"expected_gain": 1e-3}, "seed": 1}, **keys), storage=storage)

    def bowl(run: ClaimedRun, reporter: Reporter) -> Outcome:
        reporter.report(run, {"loss": (run.values["x"] - 0.3) ** 2})
        return Outcome("finished")

    done = work(made, bowl)
    assert 7 < len(done) < 25
    assert "stop_when: a further run is expected to gain" in made.state.reason
    assert made.best_run is not None
    assert made.best_run.best is not None
    assert made.best_run.best < 1e-3
    assert str(Sweep.load(made.id, storage=storage).state) == str(made.state)


def test_a_sweep_with_stages_ends_by_its_epochs(storage: Storage) -> None:
    stages = [{"parameters": ["x"], "run_cap": 1, "defaults": {"y": 0.5}}, {"parameters": ["y"]}]
    both = {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}
    made = Sweep.create(config(both, lightsweep={"stages": stages, "stop_when": {"epochs": 3}}), storage=storage)
    assert len(work(made, losses(1.0))) == 3
    assert made.state.reason == "stop_when: all runs together have 3 iterations, of 3 allowed"
