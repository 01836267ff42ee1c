"""A training function in the agent's process: the variables that it finds."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep.agents.launchers.function import FunctionLauncher
from scripted import ScriptedHandler

NAMES = ("LIGHTSWEEP_RUN_DIR", "LIGHTSWEEP_RUN_ID", "LIGHTSWEEP_SWEEP_ID")


def variables() -> list[str | None]:
    return [os.environ.get(name) for name in NAMES]


def test_a_function_finds_the_place_of_its_run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSWEEP_RUN_DIR", "/of/another/run")
    found = []

    def train() -> None:
        found.append(variables())
        with lightsweep.init() as run:
            found.append([str(run.dir), run.id, run.sweep_id])
            run.log({"loss": run.config.x})
            if run.config.x == 2:
                raise ValueError("no data")

    monkeypatch.chdir(sandbox.directory)
    sweep = sandbox.sweep(parameters={"x": {"values": [1, 2]}})
    lightsweep.agent(sweep, function=train, storage=sandbox.storage)
    assert len(found) == 4
    assert found[0] == found[1] == [str(Path("lightsweep_runs", sweep, "0001").absolute()), f"{sweep}-0001", sweep]
    assert found[2] == found[3]
    assert found[3][1] == f"{sweep}-0002"
    assert variables() == ["/of/another/run", None, None]


def test_no_function_finds_the_place_of_another_one() -> None:
    """The variables belong to the process, so with two functions at once they would be wrong for one of them."""
    inside, leave = threading.Event(), threading.Event()
    found: list[Any] = []

    def call(name: str, function: Any) -> None:
        launcher = FunctionLauncher(function)
        launcher.start(SimpleNamespace(), ScriptedHandler(), Path(), dict.fromkeys(NAMES, name), None)
        assert launcher.wait().exit_code == 0

    def waits() -> None:
        found.append(variables())
        inside.set()
        assert leave.wait(60)
        found.append(variables())

    first = threading.Thread(target=call, args=("one", waits))
    first.start()
    assert inside.wait(60)
    call("two", lambda: found.append(variables()))
    leave.set()
    first.join()
    assert found == [["one"] * 3, [None] * 3, [None] * 3]
    assert variables() == [None] * 3
    call("three", lambda: found.append(variables()))
    assert found[-1] == ["three"] * 3
