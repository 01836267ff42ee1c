"""The first screen of README.md, in a fresh directory."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
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
        ["lightsweep", name] for name in ("check", "run", "runs", "best", "report")
    ]
    shown = {}
    for command in commands:
        done = sandbox.call(*command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
        shown[command[1]] = done.stdout
    assert re.search(r"--batch_size=\d+ --learning_rate=[\d.e-]+", shown["best"])
    runs = only_sweep(sandbox).runs
    assert len(runs) == 20
    assert {run.state for run in runs} == {"finished", "pruned"}
    script = [sys.executable, "train.py"]  # with its defaults, without a sweep
    alone = subprocess.run(script, cwd=sandbox.directory, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stdout + alone.stderr
