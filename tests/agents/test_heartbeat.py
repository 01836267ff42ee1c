"""Heartbeats: an agent keeps its runs, and gives up a run that another agent has taken."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from sandboxes import Sandbox

import lightsweep
from lightsweep import RunPruned
from lightsweep.agents.displays.base import Display
from lightsweep.agents.heartbeat import Looks, pause
from lightsweep.agents.launchers.function import FunctionLauncher
from lightsweep.agents.worker import Agent
from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.runs import ATTEMPT, CONFIG
from lightsweep.errors import StorageUnavailableError


class Notes(Display):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def create(sandbox: Sandbox, lease: float) -> Sweep:
    return Sweep.create(
        {
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {"x": {"values": [1]}},
            "lightsweep": {"lease": lease},
        },
        storage=sandbox.storage,
    )


@pytest.mark.slow
def test_a_run_that_takes_longer_than_the_lease_stays_in_hand(sandbox: Sandbox) -> None:
    lease = 4.0  # seconds of which a busy machine may take some
    sweep = create(sandbox, lease)
    other = RunClaimer(Sweep.load(sweep.id, storage=sandbox.storage), "other")
    answers = []

    def train() -> None:
        with lightsweep.init() as run:
            began = time.monotonic()
            while time.monotonic() < began + 2 * lease:
                time.sleep(0.2)
                answers.append(other.next_run())
            run.log({"loss": 1})

    display = Notes()
    Agent(sweep, FunctionLauncher(train), display=display).run()
    assert {type(answer) for answer in answers} == {NoRun}
    assert [(run.state, run.attempt) for run in sweep.runs] == [("finished", 1)]
    assert not [note for note in display.notes if "agent" in note]


def test_a_run_that_was_taken_over_is_ended_and_not_recorded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = create(sandbox, 1.0)
    other = RunClaimer(Sweep.load(sweep.id, storage=sandbox.storage), "other")
    monkeypatch.setattr(Sweep, "beat", lambda *_: None)
    taken: list[ClaimedRun] = []
    reasons = []

    def train() -> None:
        run = lightsweep.init()
        run.log({"loss": 3})
        deadline = time.monotonic() + 60
        while not taken and time.monotonic() < deadline:
            time.sleep(0.1)
            found = other.next_run()
            if isinstance(found, ClaimedRun):
                taken.append(found)
        try:
            while time.monotonic() < deadline:
                time.sleep(0.02)
                run.log({"loss": 2})
        except RunPruned as verdict:
            reasons.append(verdict.reason)
            raise

    display = Notes()
    agent = Agent(sweep, FunctionLauncher(train), display=display, count=1)
    agent.run()
    assert [(run.id, run.attempt) for run in taken] == [("0001", 2)]
    assert reasons == ["another agent took the run over"]
    assert display.notes == ["run 0001 was taken over by another agent"]
    assert agent.exit_code == 0
    assert [(run.state, run.attempt) for run in sweep.runs] == [("running", 2)]


def test_signs_of_life_follow_a_lease_that_changed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an earlier version let an update change it, and the others go by what it is now."""
    sweep = create(sandbox, 3600.0)
    beats: list[int] = []
    monkeypatch.setattr(Sweep, "beat", lambda _, trial_id: beats.append(trial_id))

    def train() -> None:
        with lightsweep.init() as run:
            raw = {**sweep.config.raw, "lightsweep": {"lease": 1.0}}
            attributes = {ATTEMPT: {"kind": "update"}, CONFIG: raw}
            updated = create_trial(state=TrialState.FAIL, user_attrs=attributes)
            sweep.storage.optuna.create_new_trial(sweep.study_id, updated)
            deadline = time.monotonic() + 60
            while not beats and time.monotonic() < deadline:
                time.sleep(0.02)
            run.log({"loss": 1})

    Agent(sweep, FunctionLauncher(train), count=1).run()
    assert beats


class _Crowded:
    """Stands in for a sweep with so many running runs."""

    def __init__(self, runs: int, lease: float) -> None:
        self.config = SimpleNamespace(options=SimpleNamespace(lease=lease))
        self._runs = runs

    def running(self) -> list[None]:
        return [None] * self._runs


@pytest.mark.parametrize(
    ("runs", "lease", "seconds"),
    [
        (0, 60.0, 1.0),
        (256, 60.0, 2.56),
        (1_000, 60.0, 7.5),  # twice in the time of a heartbeat
        (5_000, 3_600.0, 15.0),  # a request to stop is not left for minutes
        (100, 2.0, 0.5),  # a short lease needs more heartbeats
    ],
)
def test_agents_look_less_often_if_there_are_many(runs: int, lease: float, seconds: float) -> None:
    """Each look reads every running trial."""
    crowded: Any = _Crowded(runs, lease)
    assert pause(crowded) == seconds


class _Watched(_Crowded):
    """Notes how it is looked at."""

    def __init__(self, runs: int, lease: float = 60.0) -> None:
        super().__init__(runs, lease)
        self.seen: list[object] = []
        self.now, self.looked = 0.0, -math.inf
        self.ledger = SimpleNamespace(clock=lambda: self.now)

    def refresh(self) -> None:
        self.seen.append("whole")
        self.looked = self.now

    def beat(self, *trials: int) -> None:
        self.seen.append(["beat", *trials])


@pytest.mark.parametrize(
    ("lease", "away", "seen"),
    [
        (0.0, "", [["beat", 7, 8], "whole"]),
        (0.0, "refresh", [["beat", 7, 8]]),
        (0.0, "beat", ["whole"]),  # as on a full disk
        (600.0, "", ["whole"]),
    ],
)
def test_heartbeats_do_not_wait_for_a_look(lease: float, away: str, seen: list[object]) -> None:
    def fail(*_: int) -> None:
        raise StorageUnavailableError("away")

    watched: Any = _Watched(0, lease)
    looks = Looks(watched, lambda: [7, 8])
    if away:
        setattr(watched, away, fail)
    with nullcontext() if away != "refresh" else pytest.raises(StorageUnavailableError):
        looks.refresh()
    assert watched.seen == seen
