"""`launch --with-storage` on a real Slurm: a database as a job, and agents that wait for it and follow it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
import sqlalchemy
from others_eyes import seen_by_others
from real_slurm import Cluster, begun, check_runs, prepare
from sandboxes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster for a user without a storage."""
    cluster.environment["LIGHTSWEEP_STORAGE"] = ""
    yield cluster
    cluster.environment.pop("LIGHTSWEEP_STORAGE_FILE", None)


def storage_jobs(cluster: Cluster) -> list[str]:
    lines = cluster.call("squeue", "--noheader", "--format=%i %j").splitlines()
    return [line.split()[0] for line in lines if " storage-of-lightsweep-" in line]


def test_a_sweep_needs_no_database_but_its_own_job_and_survives_the_loss_of_it(place: Cluster) -> None:
    prepare(place, 24, 12)
    command = ("launch", "sweep.yaml", "--on", "slurm", "--with-storage", "--agents", "4")
    sweep_id = place.lightsweep(*command).strip()
    file = place.folder / "lightsweep_storage" / "url"
    assert file.stat().st_mode & 0o777 == 0o600
    place.environment["LIGHTSWEEP_STORAGE_FILE"] = str(file)
    first = sqlalchemy.make_url(file.read_text().strip())
    (job,) = storage_jobs(place)
    wait_until(lambda: len(begun(place)) >= 6, "the first runs", 60)

    assert re.search(rf"^storage: job {job} is running on n\d$", place.lightsweep("status", sweep_id), re.MULTILINE)
    assert place.status(sweep_id)["storage_job"]["id"] == job

    # No password where other users could read it.
    secret = str(first.password)
    shown = [place.call("scontrol", "show", "job", each) for each in (job, *place.agents(sweep_id))]
    shown += [path.read_text() for path in (*place.folder.rglob("*.out"), *place.folder.rglob("*.log"))]
    shown += [place.call("scontrol", "write", "batch_script", job, "-")]
    processes = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [text for text in processes if " storage serve " in text]
    shown += processes
    assert not [text for text in shown if secret in text]
    assert seen_by_others(secret, place.folder) == []

    # The job of the storage ends; the next one gets another port, and the agents go there.
    place.call("scancel", job)
    wait_until(lambda: not storage_jobs(place), "the end of the storage", 60)
    told = place.lightsweep("status", sweep_id, check=False)
    assert "its server does not run, or not yet; start it, or wait for it, by: lightsweep launch ID --on slurm" in told
    late = subprocess.Popen(
        [sys.executable, "-m", "lightsweep", "agent", sweep_id, "--wait-for-storage"],
        cwd=place.folder, env={**place.environment, "SLURMD_NODENAME": "login"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert late.stdout is not None
    where = f"{first.host}:{first.port}"
    assert late.stdout.readline().startswith(f"lightsweep: waiting for the storage: {where} does not answer (")
    with socket.create_server(("0.0.0.0", first.port)):
        told = subprocess.run(
            [sys.executable, "-m", "lightsweep", "launch", sweep_id, *command[2:]],
            cwd=place.folder, env=place.environment, capture_output=True, text=True, check=True, timeout=120,
        ).stderr  # fmt: skip
    second = sqlalchemy.make_url(file.read_text().strip())
    assert (second.password, second.database) == (first.password, first.database)
    assert second.port != first.port
    assert "submitted the storage as job " in told
    check_runs(place.finish(sweep_id, 120), 24, 12)
    output, _ = late.communicate(timeout=60)
    assert "the sweep is finished" in output
    assert len(storage_jobs(place)) == 1, "it stays for half an hour"
