"""The SQLite file of a working agent is removed or replaced: the agent ends with a message and saves the content."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep import Sweep
from lightsweep.errors import StorageError
from lightsweep.storage import open_storage

TRAIN = """
import time, lightsweep
with lightsweep.init() as run:
    run.log({"loss": 10.0 + run.config.x})
    if run.config.x == 2 and not run.resumed:
        print("in the second run", flush=True)
        while True:
            run.log({"loss": 2.0})
            time.sleep(0.1)
"""


def remove(directory: Path) -> None:
    for path in directory.glob("lightsweep.db*"):
        path.unlink()


def replace(directory: Path) -> None:
    remove(directory)
    open_storage(f"sqlite:///{directory}/lightsweep.db").close()


@pytest.mark.parametrize("lose", [remove, replace])
def test_an_agent_notices_and_saves_everything(sandbox: Sandbox, lose: object) -> None:
    assert callable(lose)
    sweep_id = sandbox.sweep(TRAIN)
    agent = sandbox.follow("agent", sweep_id)
    agent.until("in the second run")
    lose(sandbox.directory)
    code, said = agent.end()
    assert code == 2
    assert f"error: the storage {sandbox.directory}/lightsweep.db was removed or replaced while it was in use" in said
    (saved,) = sandbox.directory.glob("lightsweep.rescued-*.db")
    url = f"sqlite:///{saved}"
    assert f"is saved in {saved}; continue with the storage {url}" in said
    done = sandbox.call("agent", sweep_id, "--storage", url)
    assert done.returncode == 0, done.stderr
    sweep = Sweep.load(sweep_id, storage=url)
    runs = sweep.runs
    assert [(run.state, run.attempt, run.history[0]) for run in runs] == [
        ("finished", 1, 11.0),
        ("finished", 2, 12.0),
        ("finished", 1, 13.0),
    ]
    assert runs[1].history[1] == 2.0  # reported by the agent that lost its storage
    sweep.storage.close()


def test_what_cannot_be_saved_is_said(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep_id = sandbox.sweep()

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 1.0})
        remove(sandbox.directory)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("lightsweep.storage.opening.Storage.rescue", fail)
    with pytest.raises(StorageError, match="was removed or replaced"):
        lightsweep.agent(sweep_id, function=train, storage=sandbox.storage)
    assert "the content of the storage could not be saved: database or disk is full" in capfd.readouterr().out


def test_a_program_that_changes_its_directory_keeps_its_file(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage("sqlite:///lightsweep.db")
    with storage.reading():
        (sandbox.directory / "elsewhere").mkdir()
        monkeypatch.chdir(sandbox.directory / "elsewhere")
        with storage.reading():  # by another connection
            pass
    storage.close()
    assert not list((sandbox.directory / "elsewhere").iterdir())
