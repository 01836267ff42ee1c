"""The first screen of README.md, in a fresh directory."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def only_sweep(sandbox: Sandbox) -> Sweep:
    (sweep,) = Sweep.all(storage=sandbox.storage)
    return sweep


def test_its_script_sweep_file_and_commands_work(sandbox: Sandbox) -> None:
    sandbox.write("train.py", blocks("python")[0])
    sandbox.write("sweep.yaml", blocks("yaml")[0])
    commands = [shlex.split(line, comments=True) for line in blocks("")[1].splitlines()]
    assert [command[:2] for command in commands] == [
        ["lightsweep", name] for name in ("check", "run", "status", "best")
    ]
    smoke = sandbox.call("check", "sweep.yaml", "--smoke")
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    for command in commands:
        arguments = [only_sweep(sandbox).id if argument == "ID" else argument for argument in command[1:]]
        done = sandbox.call(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"--batch_size=\d+ --learning_rate=[\d.e-]+", done.stdout)
    runs = only_sweep(sandbox).runs
    assert len(runs) == 20
    assert {run.state for run in runs} == {"finished", "pruned"}
