"""Runs that were stopped early reach the searcher with the end that is predicted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from controller_helpers import claim, config, working

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Reporter
from lightsweep.sampler import Observation, RunState
from lightsweep.stopping import stopped_ends
from lightsweep.storage import Storage

LENGTH = 12


class Watching:
    """A searcher that is told the runs, and notes them."""

    def __init__(self) -> None:
        self.told: dict[str, Observation] = {}

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Any]:
        self.told = {each.key: each for each in history}
        return {"x": ticket / 100}


def watched(monkeypatch: pytest.MonkeyPatch, storage: Storage, stopping: Any, **keys: Any) -> tuple[Sweep, Watching]:
    options = stopping if "early_terminate" in stopping else {"lightsweep": {"stopping": stopping}}
    sweep = Sweep.create(config(**{"method": "bayes", **options, **keys}), storage=storage)
    searcher = Watching()
    monkeypatch.setattr(sweep.plan, "searcher", lambda: searcher)
    return sweep, searcher


def trained(run: ClaimedRun, reporter: Reporter, end: float, sign: float = 1.0) -> str:
    """Train a run whose loss falls to ``end`` until it is told to stop; the state in which it ended."""
    for number in range(LENGTH):
        verdict = reporter.report(run, {"loss": sign * (end + 0.8**number)})
        if verdict.stop:
            assert reporter.finish(run, Outcome(RunState.PRUNED, verdict.reason))
            return "pruned"
    assert reporter.finish(run, Outcome(RunState.FINISHED))
    return "finished"


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize(
    "stopping",
    [
        "expected",
        {"type": "halving", "min_iter": 4},
        {"type": "median", "min_runs": 2},
        {"early_terminate": {"type": "hyperband", "min_iter": 4}},
    ],
    ids=["expected", "halving", "median", "hyperband"],
)
def test_a_stopped_run_is_told_with_its_predicted_end(
    monkeypatch: pytest.MonkeyPatch, storage: Storage, stopping: Any, goal: str
) -> None:
    sign = 1.0 if goal == "minimize" else -1.0
    sweep, searcher = watched(monkeypatch, storage, stopping, metric={"name": "loss", "goal": goal})
    with working(sweep) as (claimer, reporter, writer):
        ends = [3.0, 0.2, 0.1, 0.0]  # the rules need others before they stop a run
        ended = [trained(claim(claimer), reporter, end, sign) for end in ends]
        assert writer.flush(30)
        assert ended == ["finished"] * 4
        stopped = claim(claimer)
        assert all(each.end is None for each in searcher.told.values())
        assert trained(stopped, reporter, 8.0, sign) == "pruned"
        assert writer.flush(30)
        sweep.refresh()
        claim(claimer)
        told = searcher.told[stopped.id]
        assert (told.state, told.objectives) == (
            RunState.PRUNED,
            (sign * min(sign * each for each in stopped.history),),
        )
        assert told.end is not None
        assert 8.0 - 3.0 < sign * told.end.value < sign * told.objectives[0]  # type: ignore[index]
        assert 0 < told.end.deviation < 8
        assert [each.end for each in searcher.told.values() if each.state != RunState.PRUNED] == [None] * 4


def test_fewer_than_three_finished_runs_predict_nothing(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
    sweep, searcher = watched(monkeypatch, storage, {"type": "median", "min_runs": 1})
    with working(sweep) as (claimer, reporter, writer):
        found = []
        for end in (0.0, 9.0, 0.0, 9.0, 0.0):
            found.append(trained(claim(claimer), reporter, end))
            assert writer.flush(30)
            sweep.refresh()
            claimer._points.at(50, claimer._points._others())  # type: ignore[union-attr]
            predicted = sum(each.end is not None for each in searcher.told.values())
            assert predicted == (found.count("pruned") if found.count("finished") > 2 else 0)
        assert found == ["finished", "pruned", "finished", "pruned", "finished"]


def test_the_end_follows_from_runs_that_have_ended_alone(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
    sweep, _ = watched(monkeypatch, storage, {"type": "median", "min_runs": 3})
    with working(sweep) as (claimer, reporter, writer):
        for end in (0.2, 0.1, 0.0, 8.0):
            trained(claim(claimer), reporter, end)
        going, seen = claim(claimer), []
        for value in (1.0, 0.5, -3.0):
            reporter.report(going, {"loss": value})
            assert writer.flush(30)
            sweep.refresh()
            seen.append({each.key: each.end for each in claimer._points._others()})  # type: ignore[union-attr]
        assert any(seen[0].values())
        assert seen[0] == seen[1] == seen[2]
        assert reporter.finish(going, Outcome(RunState.FINISHED))
        assert writer.flush(30)
        sweep.refresh()
        assert {each.key: each.end for each in claimer._points._others()} != seen[0]  # type: ignore[union-attr]


def test_each_stage_is_predicted_from_its_own_runs(storage: Storage) -> None:
    numbers = {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}
    stages = [{"parameters": ["x"], "run_cap": 4, "defaults": {"y": 0.5}}, {"parameters": ["y"]}]
    options = {"stages": stages, "stopping": {"type": "median", "min_runs": 1}, "seed": 1}
    raw = config(numbers, method="bayes", lightsweep=options)
    sweep = Sweep.create(raw, storage=storage)
    predicted = []
    with working(sweep) as (claimer, reporter, writer):
        for end in (0.2, 0.1, 0.0, 8.0, 0.2, 8.0, 0.1, 0.0):
            trained(claim(claimer), reporter, end)
            assert writer.flush(30)
            sweep.refresh()
            predicted.append([each.key for each in claimer._points._others() if each.end])  # type: ignore[union-attr]
    assert predicted == [[], [], [], *[["0004"]] * 4, ["0004", "0006"]]


@pytest.mark.parametrize(
    "keys",
    [
        {"method": "bayes"},
        {"method": "random", "lightsweep": {"stopping": "expected"}},
    ],
)
def test_nothing_is_predicted_without_a_rule_or_a_model(
    monkeypatch: pytest.MonkeyPatch, storage: Storage, keys: Mapping[str, Any]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("lightsweep.controller.observations.stopped_ends", lambda *each: asked.append(each) or {})
    sweep = Sweep.create(config(**keys), storage=storage)
    with working(sweep) as (claimer, reporter, writer):
        for end in (0.2, 0.1, 0.0):
            trained(claim(claimer), reporter, end)
        run = claim(claimer)
        reporter.report(run, {"loss": 5.0})
        assert reporter.finish(run, Outcome(RunState.PRUNED, "by its script"))
        assert writer.flush(30)
        claim(claimer)
    assert asked == []


def test_ends_are_predicted_once_for_the_same_runs(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
    asked: list[int] = []

    def counted(goal: str, runs: Mapping[str, Any]) -> Any:
        asked.append(len(runs))
        return stopped_ends(goal, runs)

    monkeypatch.setattr("lightsweep.controller.observations.stopped_ends", counted)
    sweep, searcher = watched(monkeypatch, storage, {"type": "median", "min_runs": 3})
    with working(sweep) as (claimer, reporter, writer):
        for end in (0.2, 0.1, 0.0, 8.0):
            trained(claim(claimer), reporter, end)
            assert writer.flush(30)
        for _ in range(3):  # running runs change nothing
            claim(claimer)
        assert sum(each.end is not None for each in searcher.told.values()) == 1
    assert asked == sorted(set(asked))
    assert asked[-1] == 4
    monkeypatch.setattr("lightsweep.controller.observations.MOST_ENDS", 5)
    assert not any(each.end for each in claimer._points._others())  # type: ignore[union-attr]
