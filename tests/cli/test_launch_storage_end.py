"""``launch --stop`` lets the storage end that a launch has started as a job, once no program uses it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lightsweep.agents import launches
from lightsweep.agents.engines import AgentJob, JobState
from lightsweep.agents.launches import record
from lightsweep.cli import main
from lightsweep.cli import storage as cli_storage
from lightsweep.controller import Sweep
from lightsweep.schema.launching import LaunchSettings
from lightsweep.storage.server import tell_to_end, told_to_end
from lightsweep.storage.url import SERVED

CONFIG = {"method": "grid", "parameters": {"x": {"values": [1, 2]}}}


class OneStorage:
    """An engine whose agents have ended, and whose storage runs."""

    def jobs(self) -> list[AgentJob]:
        return []

    def plan_storage(self, *_: object) -> str:
        return ""

    def submit_storage(self, *_: object) -> str:
        return ""

    def storage_job(self, _directory: Path) -> AgentJob | None:
        return AgentJob("7", JobState.RUNNING)


@pytest.mark.parametrize(
    ("exists", "words"), [(True, "the storage ends 60 s after the last program"), (False, "stays for half an hour")]
)
def test_a_stop_tells_the_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], exists: bool, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launches, "make_engine", lambda *_: OneStorage())
    if exists:
        SERVED.mkdir()
    sweep = Sweep.create(CONFIG, storage="sweeps.db")
    record(sweep, LaunchSettings(on="slurm", with_storage=True), ["3"])
    assert main(["launch", "--stop", sweep.id, "--storage", "sweeps.db"]) == 0
    assert words in capsys.readouterr().err
    assert told_to_end(SERVED, 0.0) == exists
    sweep.storage.close()


class Served:
    """A server without a connection at its first looks, as :class:`~lightsweep.storage.server.Server`."""

    def __init__(self, directory: Path, looks: int, used: bool) -> None:
        self.directory = directory
        self.stopping = False
        self._looks = looks
        self._used = used

    def wait(self, _seconds: float | None) -> int | None:
        self._looks -= 1
        return 0 if self.stopping or self._looks < 0 else None

    def connections(self) -> int:
        return int(self._used)

    def stop(self) -> None:
        self.stopping = True


@pytest.mark.parametrize(("told", "used"), [(True, False), (True, True), (False, False)])
def test_a_server_that_was_told_ends_once_nobody_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool, used: bool
) -> None:
    monkeypatch.setattr(cli_storage, "UNUSED_SECONDS", -1.0)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    tell_to_end(tmp_path)
    os.utime(tmp_path / "end-when-unused", (0, 2000.0 if told else 500.0))  # after its begin, or for one before
    server: Any = Served(tmp_path, 3, used)
    assert cli_storage._wait(server, 3600.0) == 0
    assert server.stopping == (told and not used)


def test_root_follows_no_link_when_it_tells_a_server(tmp_path: Path) -> None:
    (tmp_path / "end-when-unused").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        tell_to_end(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
