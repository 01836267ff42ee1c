"""Engines: the local one by real processes, and one that is added from outside of the package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
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

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        self._jobs = self.jobs_of.setdefault(sweep_id, [])

    def plan(self, launch: Launch) -> str:
        return f"{launch.agents} of {launch.sweep_id}"

    def submit(self, launch: Launch) -> list[str]:
        self.commands.extend([launch.command()] * launch.agents)
        names = [str(len(self._jobs) + each) for each in range(1, launch.agents + 1)]
        self._jobs.extend(AgentJob(name, JobState.QUEUED) for name in names)
        return names

    def on_one_host(self) -> bool:
        return True

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
    arguments = ["--on", "notes", "--agents", "2", "--jobs-per-agent", "4"]
    assert main(["launch", sweep_id, *arguments, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"2 of {sweep_id}\n"
    assert NoteEngine.commands == []
    assert main(["launch", sweep_id, *arguments]) == 0
    assert "submitted 2 agents on notes: 1, 2\n" in capsys.readouterr().err
    assert NoteEngine.commands == [[sys.executable, "-m", "lightsweep", "agent", sweep_id, "--jobs", "4"]] * 2
    assert main(["launch", "--stop", sweep_id]) == 0
    assert capsys.readouterr().out == "told to end: notes 1\ntold to end: notes 2\n"
    assert main(["launch", "--stop", sweep_id]) == 0
    assert capsys.readouterr().out == f"no launched agent of sweep {sweep_id} is left to end\n"


@pytest.mark.usefixtures("notes")
def test_an_unknown_engine_is_refused_with_those_that_there_are(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match=r"no engine 'note'; did you mean 'notes'\?; there are: local, .*notes"):
        make_engine("note", sandbox.sweep())


def test_local_agents_outlive_the_command_and_give_their_runs_back(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    other = sandbox.sweep()
    try:
        done = sandbox.call("launch", sweep_id, "--on", "local", "--agents", "2", "--storage", sandbox.storage)
        assert done.returncode == 0, done.stderr
        assert "no launched agent" in sandbox.call("launch", "--stop", other).stdout
        wait_until(lambda: len(list(sandbox.directory.glob("begun-*"))) == 2, "both agents to have a run")
        seen = json.loads(sandbox.call("status", sweep_id, "--json").stdout)["agents"]
        assert [agent["state"] for agent in seen] == ["running"] * 2
        assert "agents: 2 running\n" in sandbox.call("status", sweep_id).stdout
        assert sandbox.call("launch", "--stop", sweep_id).stdout.count("told to end: local agent-") == 2
        wait_until(lambda: LocalEngine(sweep_id).jobs() == [], "the agents to end")
    finally:
        for _, process in list(LocalEngine(sweep_id)._processes()):
            process.kill()
    assert {run.reason for run in sandbox.runs(sweep_id)} == {"the agent was told to end (SIGTERM)"}
    for agent in seen:
        assert "lost: the agent was told to end (SIGTERM)" in Path(agent["output"]).read_text()
    assert not [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
