"""Engines: the local one by real processes, and one that is added from outside of the package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import UsageError
from lightsweep.agents import engines
from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch, make_engine
from lightsweep.agents.engines.local import LocalEngine
from lightsweep.cli import main

SLOW = """
    import time, lightsweep
    with lightsweep.init() as run:
        open(f"begun-{run.id}", "w").close()
        time.sleep(180)
    """


class NoteEngine:
    """An engine of another package: it keeps its jobs in a list, and starts nothing."""

    jobs_of: ClassVar[dict[str, list[AgentJob]]] = {}
    commands: ClassVar[list[list[str]]] = []

    def __init__(self, sweep_id: str) -> None:
        self._jobs = self.jobs_of.setdefault(sweep_id, [])

    def plan(self, launch: Launch) -> str:
        return f"{launch.agents} times {launch.command()}"

    def submit(self, launch: Launch) -> list[str]:
        self.commands.extend([launch.command()] * launch.agents)
        names = [str(len(self._jobs) + each) for each in range(1, launch.agents + 1)]
        self._jobs.extend(AgentJob(name, JobState.QUEUED) for name in names)
        return names

    def jobs(self) -> list[AgentJob]:
        return list(self._jobs)

    def stop(self, job: str) -> None:
        self._jobs[:] = [each for each in self._jobs if each.id != job]


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install it as a package would."""
    entry = EntryPoint("notes", f"{__name__}:NoteEngine", "lightsweep.engines")
    monkeypatch.setattr(engines, "entry_points", lambda **_: EntryPoints([entry]))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[NoteEngine.__module__])
    yield
    NoteEngine.jobs_of.clear()
    NoteEngine.commands.clear()


@pytest.mark.usefixtures("notes")
def test_an_engine_is_added_from_outside(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_id = sandbox.sweep()
    engine: Engine = make_engine("notes", sweep_id)
    assert engine.jobs() == []
    assert main(["agents", sweep_id, "--engine", "notes", "--start", "2", "--", "--jobs", "4"]) == 0
    assert capsys.readouterr().out == "1  queued\n2  queued\n"
    assert NoteEngine.commands == [[sys.executable, "-m", "lightsweep", "agent", sweep_id, "--jobs", "4"]] * 2
    assert main(["agents", sweep_id, "--engine", "notes", "--stop"]) == 0
    assert capsys.readouterr().out == "1  told to end\n2  told to end\n"
    assert main(["agents", sweep_id, "--engine", "notes"]) == 0
    assert f"the engine 'notes' runs no agent of sweep {sweep_id} here" in capsys.readouterr().out


@pytest.mark.usefixtures("notes")
def test_an_unknown_engine_is_refused_with_those_that_there_are(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match=r"no engine 'note'; did you mean 'notes'\?; there are: local, notes"):
        make_engine("note", sandbox.sweep())


def test_local_agents_outlive_the_command_and_give_their_runs_back(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    other = sandbox.sweep()
    try:
        done = sandbox.call("agents", sweep_id, "--start", "2", "--storage", sandbox.storage)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [state for _, state, _ in lines] == ["running"] * 2
        assert sandbox.call("agents", other).stdout.startswith("the engine 'local' runs no agent of sweep")
        wait_until(lambda: len(list(sandbox.directory.glob("begun-*"))) == 2, "both agents to have a run")
        assert sandbox.call("agents", sweep_id).stdout.splitlines() == done.stdout.splitlines()
        assert "told to end" in sandbox.call("agents", sweep_id, "--stop").stdout
        wait_until(lambda: LocalEngine(sweep_id).jobs() == [], "the agents to end")
    finally:
        for _, process in list(LocalEngine(sweep_id)._processes()):
            process.kill()
    assert {run.reason for run in sandbox.runs(sweep_id)} == {"the agent was told to end (SIGTERM)"}
    for *_, output in lines:
        assert "lost: the agent was told to end (SIGTERM)" in Path(output).read_text()
    assert not [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
