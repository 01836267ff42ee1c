"""The storage stops answering while an agent works: runs go on, and all is delivered when it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from sandboxes import Sandbox, wait_until

import lightsweep
from lightsweep import Sweep
from lightsweep.agents import Agent, Display
from lightsweep.agents.launch import FunctionLauncher, ProcessLauncher
from lightsweep.controller import LiveRun, Outcome

WRITES = ("create_new_trial", "set_trial_intermediate_value", "set_trial_state_values", "record_heartbeat")


class Switch:
    """A storage that fails on demand: each method named, and every read, raises while it is off."""

    def __init__(self, sweep: Sweep, names: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
        self.off = threading.Event()
        self.refused = threading.Event()
        if names == WRITES:
            patch.setattr(sweep.storage, "reading", self._guard(sweep.storage.reading))
        for name in names:
            patch.setattr(sweep.storage.optuna, name, self._guard(getattr(sweep.storage.optuna, name)))

    def _guard(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.off.is_set():
                self.refused.set()
                raise StorageInternalError("the server closed the connection")
            return method(*arguments, **options)

        return call


class Notes(Display):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ends: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, run: LiveRun, outcome: Outcome) -> None:
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


def test_reports_and_the_end_of_a_run_wait_for_the_storage(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = Switch(sweep, WRITES, monkeypatch)
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


def test_a_claim_waits_for_the_storage(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = Switch(sweep, WRITES, monkeypatch)
    switch.off.set()
    timer = back_after(switch, 1.5)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})

    display = Notes()
    Agent(sweep, FunctionLauncher(train), display=display).run()
    timer.join()
    assert [run.state for run in sweep.runs] == ["finished"] * 2
    assert display.notes == [
        "the storage does not answer: the server closed the connection; trying again every 1 s",
        "the storage is back",
    ]


def test_the_third_ctrl_c_does_not_wait_for_the_storage(
    sandbox: Sandbox, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.write(
        "train.py", 'import lightsweep\nwith lightsweep.init() as run:\n    run.log({"loss": run.config.x})\n'
    )
    switch = Switch(sweep, ("set_trial_state_values",), monkeypatch)
    switch.off.set()
    display = Notes()
    agent = Agent(sweep, ProcessLauncher(sweep), display=display)
    thread = threading.Thread(target=agent.run_slots, args=(threading.Thread.join,))
    thread.start()
    wait_until(switch.refused.is_set, "the end to be refused", 30)
    agent.leave("enough")
    agent.kill()
    thread.join(30)
    assert not thread.is_alive()
    assert "the end of run 0001 was not recorded; an agent will start it again" in display.notes
    switch.off.clear()
    assert [run.state for run in sweep.runs] == ["running"]


def test_a_sweep_that_is_deleted_ends_the_agent(
    sandbox: Sandbox, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.write("train.py", "import lightsweep, time\nwith lightsweep.init() as run:\n    time.sleep(60)\n")
    fail = threading.Event()
    found = type(sweep).state.fget  # type: ignore[attr-defined]

    def state(self: Sweep) -> Any:
        if fail.is_set():
            raise KeyError("No such study")
        return found(self)

    monkeypatch.setattr(Sweep, "state", property(state))
    agent = Agent(sweep, ProcessLauncher(sweep), display=Notes())
    errors: list[BaseException] = []

    def work() -> None:
        try:
            agent.run_slots(threading.Thread.join)
        except KeyError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: any(hand.started for hand in agent.hands()), "the run to begin", 30)
    fail.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len(errors) == 1
    fail.clear()
    assert [(run.state, run.reason) for run in sweep.runs] == [("killed", "the agent failed")]
