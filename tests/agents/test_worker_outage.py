"""The storage is away while an agent works: runs continue, and their reports arrive when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sandboxes import Sandbox, wait_until

import lightsweep
from lightsweep.agents.displays.base import Display
from lightsweep.agents.launchers.function import FunctionLauncher
from lightsweep.agents.launchers.process import CommandLauncher
from lightsweep.agents.worker import Agent
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.errors import StorageError


class Switch:
    """A storage that fails on demand: while it is off, statements with the words raise; all of them by default."""

    def __init__(self, sweep: Sweep, words: str = "") -> None:
        self.off = threading.Event()
        self.refused = threading.Event()
        self._words = words
        sqlalchemy.event.listen(sweep.storage.engine, "before_cursor_execute", self._guard)

    def _guard(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self.off.is_set() and self._words in statement:
            self.refused.set()
            raise sqlalchemy.exc.OperationalError(statement, {}, Exception("the server closed the connection"))


class Notes(Display):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ends: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        self.ends.append(f"{run.id} {outcome.state}")


@pytest.fixture
def sweep(sandbox: Sandbox) -> Iterator[Sweep]:
    made = Sweep.create(
        {
            "program": "train.py",
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {"x": {"values": [1, 2]}},
            "lightsweep": {"lease": 2},
        },
        storage=sandbox.storage,
    )
    yield made
    made.storage.close()


def back_after(switch: Switch, seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, switch.off.clear)
    timer.start()
    return timer


def test_reports_and_the_end_of_a_run_wait_for_the_storage(sweep: Sweep) -> None:
    switch = Switch(sweep)
    timers = []

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 9.0})
            if run.config.x == 1:
                switch.off.set()
            for value in (3.0, 2.0, 1.0):
                run.log({"loss": value})
        if run.config.x == 1:
            timers.append(back_after(switch, 1.5))

    display = Notes()
    Agent(sweep, FunctionLauncher(train), display=display).run()
    for timer in timers:
        timer.join()
    assert switch.refused.is_set()
    assert [(run.state, run.history) for run in sweep.runs] == [("finished", (9.0, 3.0, 2.0, 1.0))] * 2
    assert display.ends == ["0001 finished", "0002 finished"]
    assert [note for note in display.notes if "the storage is back" in note]
    assert len(display.notes) <= 6  # told once an outage, not once a second


def test_a_claim_waits_for_the_storage(sweep: Sweep) -> None:
    switch = Switch(sweep)
    switch.off.set()

    def come_back() -> None:
        assert switch.refused.wait(60)
        switch.off.clear()

    back_again = threading.Thread(target=come_back)
    back_again.start()

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})

    display = Notes()
    Agent(sweep, FunctionLauncher(train), display=display).run()
    back_again.join()
    assert [run.state for run in sweep.runs] == ["finished"] * 2
    away, *_, back = display.notes  # a thread whose statement was refused may note it after another was answered
    assert away.startswith("the storage does not answer")
    assert away.endswith("; runs continue; reports and new runs wait until it is back")
    assert back == "the storage is back"


def test_a_storage_that_can_be_read_but_not_written_is_told_once(sweep: Sweep) -> None:
    switch = Switch(sweep, "trial_intermediate_values (")
    display, meanwhile = Notes(), []

    def train() -> None:
        with lightsweep.init() as run:
            if run.config.x == 1:
                switch.off.set()
                run.log({"loss": 1.0})
                assert switch.refused.wait(30)
                time.sleep(3.0)  # the agent reads the storage meanwhile, and writes signs of life
                meanwhile.extend(display.notes)
                switch.off.clear()
            run.log({"loss": 0.5})

    Agent(sweep, FunctionLauncher(train), display=display).run()
    assert len(meanwhile) == 1
    told = [note for note in display.notes if "waits to be recorded" not in note]
    assert told == [
        "the storage does not answer: the server closed the connection; "
        "runs continue; reports and new runs wait until it is back",
        "the storage is back",
    ]


def test_a_writer_that_dies_ends_the_agent_with_the_reason(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_(*_: object) -> None:
        raise RuntimeError("a fault in the writer")

    monkeypatch.setattr("lightsweep.storage.sql_trials.SqlTrials.report", break_)
    logged = []

    def train() -> None:
        with lightsweep.init() as run:
            for number in range(3000):
                run.log({"loss": 1.0})
                logged.append(number)
                time.sleep(0.01)

    with pytest.raises(RuntimeError, match="a fault in the writer"):
        Agent(sweep, FunctionLauncher(train), display=Notes()).run()
    assert len(logged) < 3000


def test_a_permission_that_is_taken_away_ends_the_agent(sweep: Sweep) -> None:
    def refuse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INTO trial_intermediate_values" in statement:
            raise sqlalchemy.exc.ProgrammingError(statement, {}, Exception("permission denied for table trials"))

    sqlalchemy.event.listen(sweep.storage.engine, "before_cursor_execute", refuse)

    def train() -> None:
        with lightsweep.init() as run:
            for _ in range(3000):
                run.log({"loss": 1.0})
                time.sleep(0.01)

    with pytest.raises(StorageError, match="the storage refuses: permission denied for table trials; check"):
        Agent(sweep, FunctionLauncher(train), display=Notes()).run()


def test_the_third_ctrl_c_does_not_wait_for_the_storage(sandbox: Sandbox, sweep: Sweep) -> None:
    sandbox.write(
        "train.py", 'import lightsweep\nwith lightsweep.init() as run:\n    run.log({"loss": run.config.x})\n'
    )
    switch = Switch(sweep, "UPDATE trials SET state")
    switch.off.set()
    display = Notes()
    agent = Agent(sweep, CommandLauncher(sweep), display=display)
    thread = threading.Thread(target=agent.run_slots, args=(threading.Thread.join,))
    thread.start()
    wait_until(switch.refused.is_set, "the end to be refused", 30)
    agent.leave("enough")
    agent.kill()
    thread.join(30)
    assert not thread.is_alive()
    assert "the end of run 0001 was not recorded; an agent will retry it" in display.notes
    switch.off.clear()
    assert [run.state for run in sweep.runs] == ["running"]


def test_a_sweep_that_is_deleted_ends_the_agent(
    sandbox: Sandbox, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.write("train.py", "import lightsweep, time\nwith lightsweep.init() as run:\n    time.sleep(60)\n")
    fail = threading.Event()
    refresh = Sweep.refresh

    def refreshing(self: Sweep) -> Any:
        if fail.is_set():
            raise KeyError("No such study")
        return refresh(self)

    monkeypatch.setattr(Sweep, "refresh", refreshing)
    agent = Agent(sweep, CommandLauncher(sweep), display=Notes())
    errors: list[BaseException] = []

    def work() -> None:
        try:
            agent.run_slots(threading.Thread.join)
        except KeyError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: any(active.job for active in agent.active_runs()), "the run to begin", 30)
    fail.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len(errors) == 1
    fail.clear()
    assert [(run.state, run.reason) for run in sweep.runs] == [("killed", "the agent failed")]
