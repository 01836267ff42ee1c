"""A real Slurm of three nodes, started once by slurm.sh, and a database that its nodes reach."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sandboxes import wait_until

_SCRIPT = Path(__file__).with_name("slurm.sh")


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

    def call(self, *command: str, check: bool = True, **variables: str) -> str:
        """Run a command at the login node in the test's folder; return what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
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


@pytest.fixture(scope="session")
def whole_cluster() -> Iterator[Cluster]:
    """The cluster; a test that needs it fails without Slurm, as root installs it by `make slurm`."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "unshare"))):
        pytest.fail("these tests need Slurm and munge: run `make slurm` as root, or apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.fail("these tests start nodes of Slurm, each with a host name of its own, which only root may do")
    home = Path(tempfile.mkdtemp(prefix="lightsweep-slurm-"))
    home.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LIGHTSWEEP", "SLURM"))}
    database = None
    try:
        environment["SLURM_CONF"] = cluster_tool("start", str(home / "cluster"), str(free_ports(4)))
        environment["COLUMNS"] = "200"
        storage = home / "cluster" / "storage"
        with (home / "storage.log").open("w") as log:
            serve = ["storage", "serve", "--directory", str(storage), "--port", "0"]
            database = subprocess.Popen(
                [sys.executable, "-m", "lightsweep", *serve], stdout=log, stderr=log, cwd=home, env=environment
            )
        wait_until(
            lambda: "stop it by" in (home / "storage.log").read_text() or database.poll() is not None, "PostgreSQL"
        )
        url = (storage / "url").read_text().strip()
        yield Cluster(home / "cluster", url, environment)
    finally:
        if database is not None:
            database.terminate()
            database.wait(60)
        cluster_tool("stop", str(home / "cluster"))
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with a folder and an empty queue."""
    folder = whole_cluster.home / f"work-{secrets.token_hex(3)}"
    folder.mkdir()
    whole_cluster.folder = folder
    whole_cluster.environment["LIGHTSWEEP_STORAGE"] = whole_cluster.url
    yield whole_cluster
    whole_cluster.call("scancel", "--user=root")
    wait_until(lambda: not whole_cluster.call("squeue", "--noheader"), "an empty queue")
