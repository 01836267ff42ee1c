"""The states of a sweep: requested by the user, and finished by its config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from controller_helpers import claim, config, finished, work, working

from lightsweep.controller import Outcome, Sweep, best_run, sweep
from lightsweep.controller.changes import request
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.runs import SWEEP
from lightsweep.errors import ConfigError, NotFoundError, StorageError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage


def test_pause_resume_stop(storage: Storage) -> None:
    made = Sweep.create(config(), storage=storage)
    seen = Sweep.load(made.id, storage=storage)
    dealer = RunClaimer(seen, "a")
    assert str(seen.state) == "running"
    request(made, "pause")
    waiting = dealer.next_run()
    assert isinstance(waiting, NoRun)
    assert (waiting.for_good, waiting.reason) == (False, "the sweep is paused")
    request(made, "resume")
    claim(dealer)
    request(made, "stop")
    leaving = dealer.next_run()
    assert isinstance(leaving, NoRun)
    assert (leaving.for_good, leaving.reason, made.state.name) == (True, "the sweep is stopped", "stopped")
    request(made, "resume")
    claim(dealer)
    assert seen.state.name == "running"


def test_cancelled_is_final(storage: Storage) -> None:
    made = Sweep.create(config(), storage=storage)
    request(made, "cancel")
    assert made.state.name == "cancelled"
    for action in ("pause", "resume", "stop"):
        with pytest.raises(UsageError, match="cancelled, which is final; create a new sweep"):
            request(made, action)
    request(made, "cancel")
    assert isinstance(RunClaimer(made, "a").next_run(), NoRun)


def test_cancelled_counts_more_than_finished(storage: Storage) -> None:
    made = Sweep.create(config(run_cap=1), storage=storage)
    request(made, "cancel")
    work(made, finished)
    assert made.state.name == "cancelled"


@pytest.mark.parametrize("action", ["stop", "pause", "resume", "cancel"])
def test_a_finished_sweep_stays_as_it_is(storage: Storage, action: str) -> None:
    made = Sweep.create(config(run_cap=1), storage=storage)
    work(made, finished)
    with pytest.raises(UsageError, match=rf"nothing to {action}: sweep {made.id} is finished already \(run_cap 1\)"):
        request(made, action)
    assert str(made.state) == "finished (run_cap 1)"
    assert made.requested == "running"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"run_cap": 2}, "run_cap 2"),
        ({"method": "grid", "parameters": {"a": {"values": [1, 2]}}}, "all 2 points of the grid"),
        ({"method": "random", "parameters": {"a": {"values": [1, 2, 3]}}}, "all 3 points of the space"),
        ({"method": "grid", "parameters": {"a": {"value": 1}}}, "the one point of the grid"),
        ({"metric": {"name": "loss", "target": 0.0}}, "target 0 of loss reached"),
        ({"metric": {"name": "loss", "goal": "maximize", "target": 1}}, "target 1 of loss reached"),
    ],
)
def test_what_finishes_a_sweep(storage: Storage, keys: dict[str, Any], reason: str) -> None:
    made = Sweep.create({**config(), **keys}, storage=storage)
    work(made, finished)
    assert str(made.state) == f"finished ({reason})"
    assert str(Sweep.load(made.id, storage=storage).state) == f"finished ({reason})"


def test_a_sweep_is_not_finished_while_runs_are_going_on(storage: Storage) -> None:
    made = Sweep.create(config(run_cap=1), storage=storage)
    with working(made) as (dealer, reporter, _):
        run = claim(dealer)
        found = dealer.next_run()
        assert isinstance(found, NoRun)
        assert (found.exhausted, found.for_good) == (True, False)  # the running run may be lost and retried
        assert made.state.name == "running"
        reporter.finish(run, Outcome("lost", "preempted"))
        assert made.state.name == "running"
        assert made.runs[0].reason == "preempted"
        again = claim(dealer)
        reporter.finish(again, Outcome("killed", "by hand"))
    assert made.state.name == "finished"
    assert [(run.state, run.reason) for run in made.runs] == [("killed", "by hand")]


def test_a_running_run_reaches_the_target(storage: Storage) -> None:
    made = Sweep.create(config(metric={"name": "loss", "target": 0.5}), storage=storage)
    with working(made) as (dealer, reporter, writer):
        run = claim(dealer)
        reporter.report(run, {"loss": 0.4})
        reporter.report(run, {"loss": 0.9})
        assert writer.flush(30)
        assert made.state.name == "finished"
        request(made, "cancel")  # for this run, which is running
        assert made.state.name == "cancelled"


def test_of_several_metrics_the_target_of_the_first_finishes_the_sweep(storage: Storage) -> None:
    metrics = [{"name": "loss", "target": 0.5}, {"name": "size", "target": 10}]
    made = Sweep.create({**config(metric=None), "metrics": metrics}, storage=storage)
    with working(made) as (dealer, reporter, writer):
        run = claim(dealer)
        reporter.report(run, {"loss": 0.9, "size": 1})
        assert writer.flush(30)
        assert made.state.name == "running"
        reporter.report(run, {"loss": 0.4, "size": 90})
        assert writer.flush(30)
        assert made.state.name == "finished"


# --- finding it again


def test_a_sweep_is_found_by_its_id(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("method: random\nprogram: t.py\nparameters: {x: {min: 0.0, max: 1.0}}\n")
    made = Sweep.create(tmp_path / "sweep.yaml", storage=storage)
    found = Sweep.load(made.id, storage=storage)
    assert (found.config, found.seed, found.created) == (made.config, made.seed, made.created)
    assert found.config.source == str(tmp_path / "sweep.yaml")
    assert found.directory == str(tmp_path)
    optuna.create_study(storage=storage.optuna, study_name="not ours")
    other = sweep(config(), "me", "q", storage=storage)
    everything = Sweep.all(storage=storage)
    assert [one.id for one in everything] == [made.id, other]
    assert (everything[1].config.entity, everything[1].config.project) == ("me", "q")


@pytest.mark.parametrize("missing", ["not ours", "gone"])
def test_an_unknown_id(storage: Storage, missing: str) -> None:
    optuna.create_study(storage=storage.optuna, study_name="not ours")
    with pytest.raises(NotFoundError, match="it holds no sweep yet"):
        Sweep.load(missing, storage=storage)
    made = Sweep.create(config(), storage=storage)
    with pytest.raises(NotFoundError, match="the latest is"):
        Sweep.load(missing, storage=storage)
    with pytest.raises(NotFoundError, match=f"did you mean '{made.id}'"):
        Sweep.load(made.id[1:], storage=storage)


def test_a_sweep_of_a_newer_lightsweep(storage: Storage) -> None:
    made = Sweep.create(config(), storage=storage)
    kept = storage.optuna.get_study_user_attrs(made.study_id)[SWEEP]
    storage.optuna.set_study_user_attr(made.study_id, SWEEP, {**kept, "format": 99})
    with pytest.raises(StorageError, match="newer lightsweep"):
        Sweep.load(made.id, storage=storage)


def test_a_wrong_config_writes_nothing(storage: Storage) -> None:
    with pytest.raises(ConfigError):
        Sweep.create({"method": "grdi"}, storage=storage)
    assert storage.optuna.get_all_studies() == []


def test_creating_a_sweep_reads_its_config_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a config of many parameters takes a while."""
    loaded: list[Any] = []
    load = SweepConfig.load
    monkeypatch.setattr(SweepConfig, "load", lambda source: loaded.append(source) or load(source))
    made = Sweep.create(config(), storage=storage)
    assert len(loaded) == 1
    assert made.config == Sweep.load(made.id, storage=storage).config


@pytest.mark.parametrize(("goal", "sign"), [("minimize", 1), ("maximize", -1)])
def test_the_best_run(storage: Storage, goal: str, sign: int) -> None:
    made = Sweep.create(config(run_cap=4, metric={"name": "loss", "goal": goal}), storage=storage)
    ends = iter([("finished", 2.0), ("failed", 0.0), ("pruned", 1.0), ("finished", 1.0)])

    def train(run: Any, reporter: Any) -> Outcome:
        state, value = next(ends)
        reporter.report(run, {"loss": sign * value})
        return Outcome(state)

    assert made.best_run is None
    work(made, train)
    best = made.best_run
    assert best is not None
    assert (best.id, best.best) == ("0003", sign * 1.0)
    assert made.book.best == 0.0  # what the target is compared with
    failed = [run for run in made.runs if run.state == "failed"]
    assert best_run(failed, made.config) == failed[0]


def test_known_runs_are_made_again_only_where_the_run_changed(storage: Storage) -> None:
    made = Sweep.create(config(run_cap=2), storage=storage)
    work(made, finished, count=1)
    with working(made) as (dealer, reporter, writer):
        run = claim(dealer)
        made.refresh()
        before = made.known_runs()
        reporter.report(run, {"loss": 3.0})
        assert writer.flush(30)
        made.refresh()
        after = made.known_runs()
    assert after[0] is before[0]
    assert (before[1].last, after[1].last) == (None, 3.0)
    assert made.runs[0] == after[0]
    assert made.runs[0] is not after[0]  # users may change what they get
