"""A launcher that is added from outside of the package: the agent needs nothing but its protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep.agents.launchers import ExitStatus, Job, Launcher
from lightsweep.agents.worker import Agent
from lightsweep.channel.messages import Handler
from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.controller.changes import request
from lightsweep.errors import CommandError


class ThreadJob:
    """A run as a thread, which asks its handler what a script would."""

    def __init__(self, handler: Handler, loss: float) -> None:
        self._handler = handler
        self._loss = loss
        self._told = threading.Event()
        self._code = 1
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        assert self._handler.start({}).metric == "loss"
        while not self._handler.log({"metrics": {"loss": self._loss}}).verdict.stop and self._loss < 0:
            if self._told.wait(0.02):
                self._code = -15
                return
        self._handler.finish({"state": "finished"})
        self._code = 0

    def wait(self) -> ExitStatus:
        self._thread.join()
        return ExitStatus(self._code)

    def terminate(self, grace: float) -> None:
        self._told.set()

    kill = terminate

    def signal(self, number: int) -> None:
        self._told.set()


class ThreadLauncher:
    """Starts threads, except for values that it does not like."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def check(self) -> None:
        self.calls.append("check")

    def start(
        self,
        run: ClaimedRun,
        handler: Handler,
        directory: Path,
        environment: Mapping[str, str],
        emit: Callable[[bytes], None] | None,
    ) -> Job:
        assert directory.is_dir()
        self.calls.append(run.id)
        if run.values["x"] == 2:
            raise CommandError("it does not like 2")
        return ThreadJob(handler, float(run.values["x"]))

    def hurry(self) -> None:
        self.calls.append("hurry")

    def close(self) -> None:
        self.calls.append("close")


def test_an_agent_works_with_a_launcher_from_outside(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(program=None)
    launcher = ThreadLauncher()
    given: Launcher = launcher
    Agent(Sweep.load(sweep_id, storage=sandbox.storage), given, count=3).run()
    assert launcher.calls == ["check", "0001", "0002", "0003", "close"]
    runs = sandbox.runs(sweep_id)
    assert [(run.state, run.reason) for run in runs] == [
        ("finished", ""),
        ("failed", "it does not like 2"),
        ("finished", ""),
    ]


@pytest.mark.parametrize("end", ["cancelled", "terminated"])
def test_it_is_told_when_its_run_is_to_end(sandbox: Sandbox, end: str) -> None:
    sweep_id = sandbox.sweep(program=None, parameters={"x": {"values": [-1]}}, lightsweep={"lease": 0.4})
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    agent = Agent(sweep, ThreadLauncher())
    thread = threading.Thread(target=agent.run)
    thread.start()
    while not any(active.job for active in agent.active_runs()):
        thread.join(0.02)
    if end == "cancelled":
        request(Sweep.load(sweep_id, storage=sandbox.storage), "cancel")
    else:
        agent.terminate("enough", outcome="killed")
    thread.join()
    reason = "the sweep was cancelled" if end == "cancelled" else "enough"
    assert [(run.state, run.reason) for run in sandbox.runs(sweep_id)] == [("killed", reason)]
