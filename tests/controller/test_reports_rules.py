"""Rules of ``lightsweep.stopping`` in a sweep: what an agent knows of others, of ends, retries and outages."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import Any

import pytest
from controller_helpers import claim, config, working

from lightsweep.controller import Outcome, Sweep
from lightsweep.controller.changes import retry_runs, update_config
from lightsweep.controller.summary import savings
from lightsweep.errors import StorageUnavailableError
from lightsweep.hyperband import BandValues, brief
from lightsweep.stopping import Curves
from lightsweep.storage import Storage, open_storage

LENGTH = 12


def curve(random: Random) -> list[float]:
    """A loss that falls to its end, with noise."""
    end, gain = random.random(), random.random()
    return [end + gain / number + 0.02 * random.random() for number in range(1, LENGTH + 1)]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("stopping", ["expected", "halving", {"type": "median", "min_runs": 2}])
def test_two_agents_judge_by_all_that_both_know_in_any_order(storage: Storage, stopping: Any, goal: str) -> None:
    raw = config(metric={"name": "loss", "goal": goal}, lightsweep={"stopping": stopping})
    other = open_storage(storage.url)
    first = Sweep.create(raw, storage=storage)
    sweeps = [first, Sweep.load(first.id, storage=other)]
    random, stops, ends, sign = Random(3), 0, 0, 1 if goal == "minimize" else -1
    histories: dict[str, list[float]] = {}
    ended: set[str] = set()
    with ExitStack() as stack:
        stack.callback(other.close)
        agents = [stack.enter_context(working(sweep, str(number))) for number, sweep in enumerate(sweeps)]
        for _, reporter, _ in agents:
            reporter._refresher._patience = 60.0  # else a busy machine judges by what one agent knows alone
        going = [(claim(agents[number % 2][0]), number % 2, curve(random)) for number in range(6)]
        while going:
            place = random.randrange(len(going))
            run, agent, values = going[place]
            claimer, reporter, writer = agents[agent]
            history = histories.setdefault(run.id, [])
            history.append(sign * values[len(history)])
            verdict = reporter.report(run, {"loss": history[-1]})
            assert writer.flush(30)

            known = Curves(first.config.rule, goal)  # type: ignore[arg-type]
            for name in random.sample(sorted(histories), len(histories)):
                known.note(name, histories[name])
            for name in ended:
                known.end(name)
            reference = known.judge(run.id, history)
            assert (verdict.stop, brief(verdict.reason)) == (reference.stop, brief(reference.reason))
            if verdict.stop or len(history) == LENGTH:
                assert reporter.finish(run, Outcome("pruned" if verdict.stop else "finished", verdict.reason))
                stops += verdict.stop
                if not verdict.stop:
                    ends += 1
                    ended.add(run.id)
                going.pop(place)
                if len(histories) + len(going) < 16:
                    going.append((claim(claimer), agent, curve(random)))
    assert stops > 2
    assert ends > 1


def test_a_run_as_long_as_a_finished_one_is_not_stopped(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": "halving"}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        good, bad = claim(claimer), claim(claimer)
        for value in (1.0, 0.9, 0.8):
            assert not reporter.report(good, {"loss": value}).stop
        assert reporter.finish(good, Outcome("finished"))
        bad.history.extend([5.0, 5.0])  # as of an attempt before
        verdict = reporter.report(bad, {"loss": 5.0})
        assert (verdict.stop, verdict.reason) == (
            False,
            "passed band 3: as long as the longest finished run, 3 iterations",
        )
        another = claim(claimer)
        verdict = reporter.report(another, {"loss": 5.0})
        assert verdict.stop
        assert verdict.reason == "stopped at band 1: best so far 5.000 > cut-off 1.000 (the best of 3 runs)"
        assert brief(verdict.reason) == "stopped at 1: 5.000 (cut-off 1.000)"
        assert another.pruned


def test_a_resumed_run_is_judged_with_the_reports_of_its_attempts(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": {"type": "median", "min_runs": 1}}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        steady, crashed = claim(claimer), claim(claimer)
        for value in (1.0, 1.0, 1.0, 1.0):
            reporter.report(steady, {"loss": value})
        for value in (0.5, 3.0):  # its best so far is better
            assert not reporter.report(crashed, {"loss": value}).stop
        assert reporter.finish(crashed, Outcome("failed", "out of memory"))
        retry_runs(sweep, crashed.id)
        again = claim(claimer)
        assert (again.id, list(again.history)) == (crashed.id, [0.5, 3.0])
        assert not reporter.report(again, {"loss": 3.0}).stop
        assert reporter.report(claim(claimer), {"loss": 3.0}).stop


def test_the_second_training_of_a_run_is_judged_by_itself(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": {"type": "median", "min_runs": 1}}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        steady, twice = claim(claimer), claim(claimer)
        for value in (5.0, 4.0, 3.0):
            reporter.report(steady, {"loss": value})
            assert not reporter.report(twice, {"loss": value}).stop
        twice.begin_anew()
        verdict = reporter.report(twice, {"loss": 4.5})
        assert (verdict.stop, verdict.band, verdict.value, verdict.threshold) == (False, 1, 4.5, 5.0)
        assert reporter.report(twice, {"loss": 4.5}).stop


def test_without_the_database_the_known_runs_count(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": {"type": "median", "min_runs": 1}}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        good, bad = claim(claimer), claim(claimer)

        def gone(**_: Any) -> None:
            raise StorageUnavailableError("gone")

        monkeypatch.setattr(sweep, "refresh", gone)
        assert not reporter.report(good, {"loss": 1.0}).stop
        assert reporter.report(bad, {"loss": 2.0}).stop
        monkeypatch.undo()


def test_an_update_changes_the_rule_of_a_running_sweep(storage: Storage) -> None:
    raw = config(early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2})
    sweep = Sweep.create(raw, storage=storage)
    with working(sweep) as (claimer, reporter, _):
        runs = [claim(claimer) for _ in range(3)]
        for run in runs[:2]:
            assert not reporter.report(run, {"loss": 1.0}).stop
        assert isinstance(sweep.bands_of(0), BandValues)
        assert reporter.finish(runs[0], Outcome("finished"))
        changed = {**raw, "early_terminate": None, "lightsweep": {"stopping": {"type": "median", "min_runs": 2}}}
        update_config(sweep, changed)
        sweep.refresh()
        assert isinstance(sweep.bands_of(0), Curves)
        verdict = reporter.report(runs[2], {"loss": 9.0})
        assert verdict.reason == "passed band 1: as long as the longest finished run, 1 iteration"
        assert reporter.report(runs[1], {"loss": 1.0}).reason.startswith("passed band 2")


def test_savings_count_stopped_runs_as_long_as_finished_ones(storage: Storage) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": {"type": "median", "min_runs": 1}}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        good, bad = claim(claimer), claim(claimer)
        for _ in range(10):
            reporter.report(good, {"loss": 1.0})
        reporter.finish(good, Outcome("finished"))
        verdict = reporter.report(bad, {"loss": 2.0})
        reporter.finish(bad, Outcome("pruned", verdict.reason))
    sweep.refresh()
    assert str(savings(sweep.runs, sweep.config)) == "1 run stopped early, 9 of 20 iterations saved (45%)"
    assert sweep.runs[1].reason == "stopped at band 1: best so far 2.000 > cut-off 1.000 (the median of 1 other run)"


@pytest.mark.parametrize("bound", [20.0, 40.0])
def test_a_run_that_breaks_a_constraint_is_not_the_one_to_beat(storage: Storage, bound: float) -> None:
    """The first run is the best by far, and takes 30 ms; the last one falls a little behind the others."""
    block = {"stopping": "expected", "constraints": [f"ms <= {bound:g}"]}
    sweep, verdicts = Sweep.create(config(lightsweep=block), storage=storage), []
    with working(sweep) as (claimer, reporter, _):
        for level in (0.001, 1.0, 1.1, 1.2, 1.001):
            run = claim(claimer)
            verdicts = [
                reporter.report(run, {"loss": level + 0.001 / step, "ms": 30.0 if level < 0.5 else 10.0})
                for step in range(1, 11)
            ]
            state = "pruned" if verdicts[-1].stop else "finished"
            assert reporter.finish(run, Outcome(state, verdicts[-1].reason))
    assert verdicts[-1].stop == (bound == 40.0), verdicts[-1].reason


def test_other_agents_compare_with_the_last_training_of_a_run_that_has_ended(storage: Storage) -> None:
    first = Sweep.create(config(lightsweep={"stopping": "expected"}), storage=storage)
    other = Sweep.load(first.id, storage=storage)
    with working(first) as (claimer, reporter, writer):
        run = claim(claimer)
        for value in (0.1, 0.01, 0.001):
            reporter.report(run, {"loss": value})
        assert writer.flush(30)
        other.refresh()
        run.begin_anew()
        for value in (3.0, 2.0):
            reporter.report(run, {"loss": value})
        assert reporter.finish(run, Outcome("finished"))
    other.refresh()
    known = other.bands_of(0)
    assert known is not None
    verdict = known.judge("0002", [1.0])
    assert "to beat 2.000" in verdict.reason, verdict.reason


@pytest.mark.parametrize("state", ["failed", "killed", "finished"])
def test_a_run_that_failed_is_not_the_one_to_beat(storage: Storage, state: str) -> None:
    sweep = Sweep.create(config(lightsweep={"stopping": "expected", "max_preemptions": 0}), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        for value, ended in ((0.1, state), (2.0, "finished")):
            run = claim(claimer)
            for _ in range(2):
                reporter.report(run, {"loss": value})
            assert reporter.finish(run, Outcome(ended))
        sweep.refresh()
        known = sweep.bands_of(0)
        assert known is not None
        reason = known.judge("0003", [3.0]).reason
    assert f"to beat {'0.1000' if state == 'finished' else '2.000'}" in reason, reason
