"""A storage whose tables have a version that is not known: all goes through Optuna's public API."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep.agents.launchers.function import FunctionLauncher
from lightsweep.agents.worker import Agent
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.controller.runs import ATTEMPT
from lightsweep.storage import open_storage, opening
from lightsweep.storage.sql_trials import SqlTrials

CONFIG = {
    "program": "train.py",
    "method": "random",
    "run_cap": 9,
    "metric": {"name": "loss"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b"]}},
    "early_terminate": {"type": "hyperband", "min_iter": 2},
    "lightsweep": {"lease": 3, "seed": 1},
}


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A version of the tables that is not known; SQL of ours fails."""
    monkeypatch.setattr(opening, "KNOWN_SCHEMAS", frozenset({"v9.9.9.a"}))
    opening._warn_of_schema.cache_clear()

    def refuse(*_: Any) -> None:
        raise AssertionError("SQL on tables that are not known")

    for name in ("changes", "heartbeats", "claim", "set_parameters", "report", "end"):
        monkeypatch.setattr(SqlTrials, name, refuse)
    yield
    opening._warn_of_schema.cache_clear()


def train() -> None:
    with lightsweep.init() as run:
        for step in range(1, 5):
            time.sleep(0.02)
            run.log({"loss": run.config.x / step})


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.usefixtures("unknown")
def test_two_agents_run_a_whole_sweep(sandbox: Sandbox, caplog: pytest.LogCaptureFixture, method: str) -> None:
    with caplog.at_level(logging.WARNING, "lightsweep"):
        sweep = Sweep.create({**CONFIG, "method": method}, storage=sandbox.storage)
        loaded = [Sweep.load(sweep.id, storage=open_storage(sandbox.storage)) for _ in range(2)]
    told = [record.getMessage() for record in caplog.records if "version" in record.getMessage()]
    assert len(told) == 1
    assert re.search(r"\.db: .* does not know version v3\.2\.0\.a of Optuna's tables; .*API, which is slow$", told[0])
    agents = [Agent(each, FunctionLauncher(train)) for each in loaded]
    threads = [threading.Thread(target=agent.run) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = sweep.runs
    assert [run.id for run in runs] == [f"{number:04d}" for number in range(1, 10)]
    assert {run.state for run in runs} <= {"finished", "pruned"}
    assert "finished" in {run.state for run in runs}
    assert len({run.values["x"] for run in runs}) == 9
    for run in runs:
        assert run.history == tuple(run.values["x"] / step for step in range(1, len(run.history) + 1))
        assert run.metrics["loss"]["last"] == run.history[-1]
    assert str(sweep.state) == "finished (run_cap 9)"
    assert len({run.agent for run in runs}) == 2
    for each in loaded:
        each.storage.close()
    sweep.storage.close()


@pytest.mark.usefixtures("unknown")
def test_a_claim_that_comes_late_is_void(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep.create(CONFIG, storage=sandbox.storage)
    first, second = RunClaimer(sweep, "one"), RunClaimer(Sweep.load(sweep.id, storage=sandbox.storage), "two")
    create, late = sweep.storage.optuna.create_new_trial, iter([True, False])

    def create_late(*given: Any) -> int:
        if next(late):
            second.next_run()
        return int(create(*given))

    monkeypatch.setattr(sweep.storage.optuna, "create_new_trial", create_late)
    assert isinstance(first.next_run(), ClaimedRun)
    trials = sweep.storage.optuna.get_all_trials(sweep.study_id)
    assert [(trial.user_attrs[ATTEMPT]["number"], trial.state.name) for trial in trials] == [
        (0, "RUNNING"),
        (0, "FAIL"),
        (2, "RUNNING"),
    ]
    assert [(run.id, run.agent, run.state, run.attempt) for run in sweep.runs] == [
        ("0001", "two", "running", 1),
        ("0002", "one", "running", 1),
    ]
    assert sweep.runs[1].values == trials[2].params
    sweep.storage.close()


@pytest.mark.usefixtures("unknown")
def test_a_run_whose_agent_beats_no_more_is_carried_on(sandbox: Sandbox) -> None:
    sweep = Sweep.create({**CONFIG, "run_cap": 1}, storage=sandbox.storage)
    lost = RunClaimer(sweep, "one").next_run()
    assert isinstance(lost, ClaimedRun)
    writer = Writer(sweep.storage)
    writer.put(lost, 1, 0.5)
    assert writer.flush(30)
    other = RunClaimer(Sweep.load(sweep.id, storage=sandbox.storage), "two")
    began = beaten = time.monotonic()
    while isinstance(found := other.next_run(), NoRun):
        assert time.monotonic() < began + 60
        if time.monotonic() < began + 4:
            sweep.beat(lost.trial_id)
            beaten = time.monotonic()
        time.sleep(0.1)
    assert time.monotonic() > beaten + 2.5
    assert (found.id, found.attempt, list(found.reports), found.values) == ("0001", 2, [0.5], lost.values)
    assert not Reporter(sweep, writer).finish(lost, Outcome("finished"))
    assert [run.state for run in sweep.runs] == ["running"]
    writer.close()
    sweep.storage.close()
