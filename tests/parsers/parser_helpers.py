"""A script with a real parser, started by the command of a sweep file; what it received comes back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lightsweep.schema import SweepConfig
from lightsweep.schema.command import build_command

__all__ = ["PAGE", "VALUES", "blocks", "receive", "sweep_of"]

PAGE = (Path(__file__).parent.parent.parent / "docs" / "parsers.md").read_text()

VALUES: dict[str, Any] = {
    "lr": 1e-05,
    "amp": False,
    "clip": None,
    "layers": [16, 32],
    "title": "two words",
    "optim.momentum": 0.9,
    "model": {"hidden": 64, "dropout": 0.25},
}
"""The parameters of the page, each at one value; a null, a false, a flat name with a dot and a group among them."""

_PRELUDE = """
import dataclasses, json, types

def train(received):
    def plain(value):
        if dataclasses.is_dataclass(value):
            value = dataclasses.asdict(value)
        elif type(value).__module__.startswith("omegaconf"):
            from omegaconf import OmegaConf
            value = OmegaConf.to_container(value, resolve=True)
        elif not isinstance(value, dict) and hasattr(value, "__dict__"):
            value = vars(value)
        if isinstance(value, dict):
            return {name: plain(below) for name, below in value.items()}
        return value

    print("RECEIVED", json.dumps(plain(received)), flush=True)
"""


def blocks(section: str) -> tuple[list[str], str]:
    """The command and the script that the page shows for a parser."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    (command,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return yaml.safe_load(command)["command"], script


def sweep_of(values: dict[str, Any], command: list[str]) -> SweepConfig:
    """A sweep file's text with these constants, loaded."""

    def parameters(level: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"parameters": parameters(value)} if isinstance(value, dict) else {"value": value}
            for name, value in level.items()
        }

    text = {"program": "train.py", "method": "random", "command": command, "parameters": parameters(values)}
    return SweepConfig.load(yaml.safe_load(yaml.safe_dump(text)))


def receive(directory: Path, script: str, command: list[str], values: dict[str, Any] | None = None) -> Any:
    """Return the parameters that a script received from the command of a sweep on ``values``."""
    program = directory / "train.py"
    program.write_text(_PRELUDE + script)
    config = sweep_of(VALUES if values is None else values, command)
    flat = config.space.at([])
    argv = build_command(
        str(program), config.command, flat, config.space.nest(flat), json_path=directory / "parameters.json"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)
    received = [line for line in done.stdout.splitlines() if line.startswith("RECEIVED ")]
    assert len(received) == 1, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(received[0].removeprefix("RECEIVED "))
