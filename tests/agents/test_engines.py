"""Engines: the local one by real processes, and one that is added from outside of the package."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import psutil
import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import UsageError
from lightsweep.agents import engines
from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch, LostAnswerError, make_engine
from lightsweep.agents.engines.local import LocalEngine
from lightsweep.agents.launches import record, recorded
from lightsweep.cli import main
from lightsweep.controller import Sweep
from lightsweep.schema.launching import LaunchSettings

SLOW = """
    import time, lightsweep
    with lightsweep.init() as run:
        open(f"begun-{run.id}", "w").close()
        time.sleep(180)
    """


class NoteEngine(Engine):
    """An engine of another package: it keeps its jobs in a list, and starts nothing."""

    jobs_of: ClassVar[dict[str, list[AgentJob]]] = {}
    commands: ClassVar[list[list[str]]] = []

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        super().__init__(sweep_id, options)
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
def test_only_agents_of_this_storage_are_listed_and_stopped(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copied sweep has the same id in two storages, and so have jobs that were submitted by hand."""
    sweep_id = sandbox.sweep()
    assert main(["launch", sweep_id, "--on", "notes"]) == 0
    (own,) = NoteEngine.jobs_of[sweep_id]
    NoteEngine.jobs_of[sweep_id].insert(0, AgentJob("of-another", JobState.RUNNING))
    capsys.readouterr()
    assert main(["status", sweep_id]) == 0
    assert "agents: 1 queued\n" in capsys.readouterr().out
    assert main(["launch", "--stop", sweep_id]) == 0
    assert capsys.readouterr().out == f"told to end: notes {own.id}\n"
    assert main(["launch", "--stop", sweep_id, "--on", "notes"]) == 0
    assert capsys.readouterr().out == "told to end: notes of-another\n", "the engine is named"


@pytest.mark.usefixtures("notes")
def test_a_launch_without_an_answer_is_recorded_and_one_that_was_refused_is_not(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id = sandbox.sweep()
    submit = NoteEngine.submit

    def refuse(self: NoteEngine, launch: Launch) -> list[str]:
        raise UsageError("notes: no more paper")

    def forget(self: NoteEngine, launch: Launch) -> list[str]:
        submit(self, launch)
        raise LostAnswerError("notes: the answer is lost")

    monkeypatch.setattr(NoteEngine, "submit", refuse)
    assert main(["launch", sweep_id, "--on", "notes"]) == 2
    assert recorded(Sweep.load(sweep_id, storage=sandbox.storage)) == []
    monkeypatch.setattr(NoteEngine, "submit", forget)
    assert main(["launch", sweep_id, "--on", "notes"]) == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: notes: the answer is lost",
        f"error: agents may have been submitted: lightsweep status {sweep_id}",
    ]
    assert main(["launch", "--stop", sweep_id]) == 0
    assert capsys.readouterr().out == "told to end: notes 1\n"


@pytest.mark.usefixtures("notes")
def test_an_agent_that_has_failed_is_listed_and_not_stopped(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_id = sandbox.sweep()
    assert main(["launch", sweep_id, "--on", "notes", "--agents", "2"]) == 0
    NoteEngine.jobs_of[sweep_id][0] = AgentJob("1", JobState.FAILED, reason="exit code 1, six times")
    capsys.readouterr()
    assert main(["status", sweep_id]) == 0
    said = capsys.readouterr().out
    assert "agents: 1 queued, 1 failed\n" in said
    assert re.search(r"^notes +1 +failed +– +exit code 1, six times$", said, re.MULTILINE)
    assert main(["launch", "--stop", sweep_id]) == 0
    assert capsys.readouterr().out == "told to end: notes 2\n"


@pytest.mark.usefixtures("notes")
def test_sqlite_on_a_network_file_system_is_refused_for_a_cluster_of_one_host(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id = sandbox.sweep()
    system = tmp_path / "proc"
    (system / "self").mkdir(parents=True)
    (system / "filesystems").write_text("nodev\tproc\nnodev\tnfs4\n\text4\n")
    where = str(sandbox.directory.resolve()).replace(" ", "\\040")
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/home {where} nfs4 rw,hard 0 0\n"
    (system / "self" / "mounts").write_text(mounts)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(system))  # psutil's own switch, for containers
    assert main(["launch", sweep_id, "--on", "notes"]) == 2
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert "SQLite serves one host only, and the file lies on a network file system (nfs4)" in first
    assert "start a database with `lightsweep storage serve --host 0.0.0.0`" in second
    assert NoteEngine.commands == []
    (system / "self" / "mounts").write_text(mounts.replace("nfs4", "ext4"))
    assert main(["launch", sweep_id, "--on", "notes"]) == 0


def test_agents_of_another_host_are_named_with_their_host(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep()
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    with patch.dict(os.environ, SLURMD_NODENAME="alice"):
        record(sweep, LaunchSettings(on="local"), ["agent-abc"])
    shown = sandbox.ask("status", sweep_id).stdout
    assert "agents were launched on alice; `lightsweep status` there shows them\n" in shown
    assert "have ended" not in shown
    assert json.loads(sandbox.ask("status", sweep_id, "--json").stdout)["launched_on_hosts"] == ["alice"]
    done = sandbox.ask("launch", "--stop", sweep_id)
    assert f"no launched agent of sweep {sweep_id} is left to end on this host\n" in done.stdout
    assert "agents were launched on alice too; the same command ends them there" in done.stderr


@pytest.mark.usefixtures("notes")
def test_an_unknown_engine_is_refused_with_those_that_there_are(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match=r"no engine 'note'; did you mean 'notes'\? There are: local, .*notes"):
        make_engine("note", sandbox.sweep())


@pytest.mark.slow
def test_local_agents_outlive_the_command_and_give_their_runs_back(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    try:
        done = sandbox.call("launch", sweep_id, "--on", "local", "--agents", "2", "--storage", sandbox.storage)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: len(list(sandbox.directory.glob("begun-*"))) == 2, "both agents to have a run")
        seen = json.loads(sandbox.ask("status", sweep_id, "--json").stdout)["agents"]
        assert [agent["state"] for agent in seen] == ["running"] * 2
        assert "agents: 2 running\n" in sandbox.ask("status", sweep_id).stdout
        assert sandbox.ask("launch", "--stop", sweep_id).stdout.count("told to end: local agent-") == 2
        wait_until(lambda: LocalEngine(sweep_id).jobs() == [], "the agents to end")
    finally:
        for _, process in list(LocalEngine(sweep_id)._processes()):
            process.kill()
    assert {run.reason for run in sandbox.runs(sweep_id)} == {"the agent was told to end (SIGTERM)"}
    for agent in seen:
        assert "lost: the agent was told to end (SIGTERM)" in Path(agent["output"]).read_text()
    assert not [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
