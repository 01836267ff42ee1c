"""A user at the login node of the Slurm that tests/clusters/slurm.sh starts, and the sweeps that the tests run."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from lightsweep.agents.engines.slurm import SlurmEngine

_SCRIPT = Path(__file__).parent / "clusters" / "slurm.sh"


def free_ports(count: int) -> int:
    """The first of some ports that nothing listens on now, below those that the system gives to clients."""
    for _ in range(100):
        first = 20_000 + secrets.randbelow(10_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    pytest.fail("no free ports for a cluster")


@dataclass
class Cluster:
    """A Slurm of three nodes with a directory that they share, and a database server.

    Attributes:
        home: The shared directory; a test works in a folder of it.
        url: The URL of the database, with a password.
        environment: The variables of a user at the login node.
    """

    home: Path
    url: str
    environment: dict[str, str]
    folder: Path = field(default_factory=Path)

    @property
    def password(self) -> str:
        return self.url.partition("@")[0].rpartition(":")[2]

    def call(self, *command: str, check: bool = True, seconds: float = 120, **variables: str) -> str:
        """Run a command at the login node in the test's folder, for so long at most; return what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def lightsweep(self, *arguments: str, check: bool = True) -> str:
        return self.call(sys.executable, "-m", "lightsweep", *arguments, check=check)

    def status(self, sweep_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lightsweep("status", sweep_id, "--json"))
        return found

    def agents(self, sweep_id: str) -> dict[str, dict[str, str]]:
        """The agents by the ids of their jobs, as status shows them."""
        return {agent["id"]: agent for agent in self.status(sweep_id)["agents"]}

    def states(self, sweep_id: str) -> dict[str, str]:
        """The states of the agents by the ids of their jobs, by Slurm: status takes seconds under load."""
        with patch.dict(os.environ, SLURM_CONF=self.environment["SLURM_CONF"]):
            return {job.id: str(job.state) for job in SlurmEngine(sweep_id).jobs()}

    def finish(self, sweep_id: str, seconds: float) -> list[dict[str, Any]]:
        """Wait for the end of a sweep and its agents; return its runs."""
        deadline = time.monotonic() + seconds
        while (seen := self.status(sweep_id))["state"] != "finished" or seen["agents"]:
            assert time.monotonic() < deadline, json.dumps(seen, indent=1) + self.outputs(sweep_id)
            time.sleep(1)
        runs: list[dict[str, Any]] = seen["runs"]
        return runs

    def outputs(self, sweep_id: str) -> str:
        paths = sorted((self.folder / "lightsweep_runs" / sweep_id).glob("slurm-*.out"))
        return "".join(f"\n--- {path.name}\n{path.read_text()}" for path in paths)


def cluster_tool(*arguments: str) -> str:
    """Call slurm.sh; its daemons keep no pipe of ours open."""
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [str(_SCRIPT), *arguments], stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False
        )
        said.seek(0)
        text = said.read()
    if done.returncode:
        pytest.fail(f"slurm.sh {' '.join(arguments)} failed; {text}")
    return text.strip()


TRAIN = """
import os, time, lightsweep
with lightsweep.init() as run:
    with open("begun.txt", "a") as file:
        print(run.config.x, os.environ["SLURMD_NODENAME"], os.environ.get("CUDA_VISIBLE_DEVICES"), file=file)
    for step in range(run.iterations, STEPS):
        time.sleep(0.25)
        run.log({"loss": run.config.x + 1 / (step + 1)})
"""
SWEEP = """
program: train.py
method: grid
metric: {name: loss}
parameters:
  x: {values: [VALUES]}
"""


def prepare(cluster: Cluster, points: int, steps: int = 4, more: str = "") -> None:
    (cluster.folder / "train.py").write_text(TRAIN.replace("STEPS", str(steps)))
    values = ", ".join(map(str, range(points)))
    (cluster.folder / "sweep.yaml").write_text(SWEEP.replace("VALUES", values) + more)


def launch(cluster: Cluster, *arguments: str) -> str:
    return cluster.lightsweep("launch", "sweep.yaml", *arguments).strip()


def begun(cluster: Cluster) -> list[list[str]]:
    path = cluster.folder / "begun.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def check_runs(runs: list[dict[str, Any]], points: int, steps: int = 4) -> None:
    """Nothing is lost, and no point is there twice."""
    assert Counter(run["state"] for run in runs) == {"finished": points}
    assert sorted(run["config"]["x"] for run in runs) == list(range(points))
    assert {run["iterations"] for run in runs} == {steps}
