"""A real Slurm of three nodes, started once by slurm.sh, and a database that its nodes reach."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_slurm import Cluster, cluster_tool, free_ports
from sandboxes import wait_until


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
    database, first = None, free_ports(5)
    try:
        environment["SLURM_CONF"] = cluster_tool("start", str(home / "cluster"), str(first))
        environment["COLUMNS"] = "200"
        storage = home / "cluster" / "storage"
        with (home / "storage.log").open("w") as log:
            serve = ["storage", "serve", "--directory", str(storage), "--port", str(first + 4)]
            database = subprocess.Popen(
                [sys.executable, "-m", "lightsweep", *serve], stdout=log, stderr=log, cwd=home, env=environment
            )
        wait_until(
            lambda: "stop it with" in (home / "storage.log").read_text() or database.poll() is not None, "PostgreSQL"
        )
        assert database.poll() is None, (home / "storage.log").read_text()
        url = (storage / "url").read_text().strip()
        yield Cluster(home / "cluster", url, environment)
    finally:
        try:
            if database is not None:
                _end(database)
        finally:
            try:
                cluster_tool("stop", str(home / "cluster"))
            finally:
                shutil.rmtree(home, ignore_errors=True)


def _end(database: subprocess.Popen[bytes]) -> None:
    database.terminate()
    try:
        database.wait(60)
    except subprocess.TimeoutExpired:
        database.kill()
        raise


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
