"""Ctrl-C and signals to an agent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from sandboxes import Sandbox

from lightsweep.agents.displays.base import Display
from lightsweep.agents.launchers.process import CommandLauncher
from lightsweep.agents.signals import Interrupts
from lightsweep.agents.worker import Agent
from lightsweep.controller import RunState, Sweep


class ScriptedAgent(Display):
    """Records the requests to an agent; its runs end at one of them."""

    def __init__(self, until: str, running: int = 1) -> None:
        self.display = self
        self.told: list[Any] = []
        self.notes: list[str] = []
        self.signalled = 0
        self.over = threading.Event()
        self._until, self._running = until, running

    def note(self, text: str) -> None:
        self.notes.append(text)

    def active_runs(self) -> list[None]:
        return [None] * self._running

    def leave(self, reason: str) -> None:
        self._hear("leave", reason)

    def terminate(self, reason: str, *, outcome: str = "killed") -> None:
        self._hear("terminate", reason, outcome)

    def kill(self) -> None:
        self._hear("kill")

    def signal(self, number: int) -> None:
        self._hear("signal", number)

    def _hear(self, *word: Any) -> None:
        self.told.append(word)
        if word[0] == self._until:
            self.over.set()


@contextmanager
def working(agent: ScriptedAgent, **options: Any) -> Iterator[tuple[Interrupts, threading.Thread]]:
    interrupts = Interrupts(cast(Agent, agent), **options)
    thread = threading.Thread(target=agent.over.wait, args=(20,))
    thread.start()
    try:
        with interrupts.installed():
            yield interrupts, thread
    finally:
        agent.over.set()
        thread.join()


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_each_ctrl_c_is_a_step_further(presses: int) -> None:
    agent = ScriptedAgent(until=["leave", "terminate", "kill"][presses - 1])
    with working(agent) as (interrupts, thread):
        for _ in range(presses):
            send(signal.SIGINT)
        interrupts.wait(thread)
    steps = [("leave", "interrupted by Ctrl-C"), ("terminate", "ended by Ctrl-C", "killed"), ("kill",)]
    assert agent.told == steps[:presses]
    assert agent.signalled == signal.SIGINT
    assert agent.notes[0] == "waiting for the running run to end; press Ctrl-C again to end it now"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_of_a_scheduler_ends_the_beginning_of_runs_at_once(number: signal.Signals) -> None:
    """It reaches the runs too: a slot whose run it has ended must not claim another before the main loop acts."""
    agent = ScriptedAgent(until="terminate")
    with working(agent) as (interrupts, thread):
        send(number)
        assert agent.signalled == number
        assert agent.told == []
        interrupts.wait(thread)
    assert len(agent.told) == 1


def test_a_run_that_was_claimed_meanwhile_is_given_back(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox.directory)
    sweep = Sweep.load(sandbox.sweep("raise SystemExit('the script must not be started')"), storage=sandbox.storage)
    agent = Agent(sweep, CommandLauncher(sweep))
    claim = agent._claimer.next_run

    def claim_slowly() -> Any:
        found = claim()
        agent.terminate("told to end", outcome=RunState.LOST)
        return found

    monkeypatch.setattr(agent._claimer, "next_run", claim_slowly)
    agent.run()
    (run,) = sweep.runs
    assert (run.state, run.reason, run.waiting) == ("killed", "told to end", True)


def test_nothing_is_said_of_waiting_where_nothing_runs() -> None:
    agent = ScriptedAgent(until="leave", running=0)
    with working(agent) as (interrupts, thread):
        send(signal.SIGINT)
        interrupts.wait(thread)
    assert agent.notes == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_being_told_to_end_gives_the_runs_back(number: signal.Signals) -> None:
    agent = ScriptedAgent(until="terminate")
    with working(agent) as (interrupts, thread):
        send(number)
        interrupts.wait(thread)
    assert agent.told == [("terminate", f"the agent was told to end ({number.name})", "lost")]
    assert agent.signalled == number


def test_forwarded_signals_reach_the_runs_and_end_nothing() -> None:
    agent = ScriptedAgent(until="leave")
    with working(agent, forward=True) as (interrupts, thread):
        send(signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2, signal.SIGINT)
        interrupts.wait(thread)
    assert sorted(agent.told[:3]) == sorted(
        ("signal", number) for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2)
    )


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        agent = ScriptedAgent(until="leave")
        with working(agent) as (interrupts, thread):
            send(signal.SIGHUP, signal.SIGINT)
            interrupts.wait(thread)
        assert agent.told == [("leave", "interrupted by Ctrl-C")]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_programs_own_use_of_sigusr1_is_respected() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        agent = ScriptedAgent(until="leave")
        with working(agent) as (interrupts, thread):
            send(signal.SIGUSR1, signal.SIGINT)
            interrupts.wait(thread)
        assert agent.told == [("leave", "interrupted by Ctrl-C")]
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_handlers_before_are_put_back() -> None:
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in names]
    with working(ScriptedAgent(until="leave"), forward=True):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in names] == before
