"""Agents on a real Slurm of three nodes: from a sweep file to a finished sweep, whatever happens to its jobs."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from others_eyes import seen_by_others
from real_slurm import Cluster, begun, check_runs, cluster_tool, launch, prepare
from sandboxes import wait_until

pytestmark = pytest.mark.slow


def test_sixty_points_survive_a_preemption_a_cancelled_agent_and_a_lost_node(cluster: Cluster) -> None:
    prepare(cluster, 60, 14, more="lightsweep: {launch: {on: slurm, agents: 6}, lease: 8}\n")
    sweep_id = launch(cluster)
    wait_until(lambda: len(begun(cluster)) >= 9, "the first runs", 60)
    agents = cluster.agents(sweep_id)
    assert {agent["state"] for agent in agents.values()} == {"running"}
    assert {agent["node"] for agent in agents.values()} == {"n1", "n2", "n3"}
    by_node = {agent["node"]: job for job, agent in agents.items()}

    cluster.call("scancel", by_node["n1"])
    daemon = int((cluster.home / "slurmd-n3.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    cluster.call(
        "sbatch", "--export=NONE", "--partition=urgent", "--nodelist=n2", "--exclusive", "--time=1", "--wrap", "sleep 3"
    )

    def preempted() -> bool:
        states = cluster.states(sweep_id)
        return by_node["n1"] not in states and states.get(by_node["n2"]) == "preempted"

    try:
        wait_until(preempted, "the agents of n2 to be preempted", 60)
        shown = cluster.lightsweep("status", sweep_id)
        assert re.search(r"^agents: .*[12] preempted$", shown, re.MULTILINE), shown
        assert re.search(rf"^slurm +{by_node['n2']} +preempted +– +BeginTime$", shown, re.MULTILINE), shown
        wait_until(lambda: "down" in cluster.call("sinfo", "--noheader", "--nodes=n3"), "the node to be missed", 60)
    finally:
        cluster_tool("node", str(cluster.home), "n3")
    check_runs(cluster.finish(sweep_id, 150), 60, 14)
    outputs = cluster.outputs(sweep_id)
    assert "told to end (SIGTERM)" in outputs
    assert len(begun(cluster)) > 60, "some runs were lost, and tried again"


def test_a_job_gives_its_runs_back_and_is_queued_again_before_its_time_limit(cluster: Cluster) -> None:
    prepare(cluster, 30, 7)
    sweep_id = launch(cluster, "--on", "slurm", "--", "--time=1", "--signal=B:USR1@10")  # half a minute earlier
    (job,) = cluster.agents(sweep_id)
    wait_until(lambda: "it is queued again" in cluster.outputs(sweep_id), "the warning of Slurm", 60)
    wait_until(lambda: cluster.states(sweep_id).get(job) == "preempted", "the job to be queued", 30)
    check_runs(cluster.finish(sweep_id, 150), 30, 7)
    outputs = cluster.outputs(sweep_id)
    assert "told to end (SIGUSR1)" in outputs
    assert outputs.count("--- slurm-") == 1, "both starts write to the same file"


def test_a_drained_job_is_queued_again_as_long_as_work_is_left(cluster: Cluster) -> None:
    prepare(cluster, 50, 7)
    sweep_id = launch(
        cluster, "--on", "slurm", "--agents", "2", "--drain", "80s", "--", "--time=2", "--signal=B:USR1@5"
    )
    wait_until(lambda: "it is queued again" in cluster.outputs(sweep_id), "the drain", 75, strict=False)
    assert "it is queued again" in cluster.outputs(sweep_id), cluster.outputs(sweep_id)
    assert "no run begins within 80s of the end of its job" in cluster.outputs(sweep_id)
    assert cluster.status(sweep_id)["state"] == "running"
    check_runs(cluster.finish(sweep_id, 240), 50, 7)
    assert "told to end" not in cluster.outputs(sweep_id), "no run was cut off, by its own agent or by the other one"
    assert len(begun(cluster)) == 50


def test_agents_wait_run_and_are_stopped(cluster: Cluster) -> None:
    prepare(cluster, 100, steps=1000)
    sweep_id = launch(cluster, "--on", "slurm", "--agents", "8")
    wait_until(lambda: len(begun(cluster)) == 6, "a run on each core", 60)
    states = Counter(agent["state"] for agent in cluster.agents(sweep_id).values())
    assert states == {"running": 6, "queued": 2}
    shown = cluster.lightsweep("status", sweep_id)
    assert "agents: 2 queued, 6 running\n" in shown
    assert "Resources" in shown
    told = cluster.lightsweep("launch", "--stop", sweep_id)
    assert told.count("told to end: slurm ") == 8
    wait_until(lambda: not cluster.agents(sweep_id), "the agents to end", 60)
    runs = cluster.status(sweep_id)["runs"]
    assert {run["state"] for run in runs} == {"killed"}, cluster.outputs(sweep_id)
    assert {run["reason"] for run in runs} <= {
        "the agent was told to end (SIGTERM)",
        "ended from outside by SIGTERM",  # Slurm's own signal came first
    }
    assert "6 waiting" in cluster.lightsweep("status", sweep_id), "agents that come later will retry them"
    assert "is left to end" in cluster.lightsweep("launch", "--stop", sweep_id)


def test_each_run_has_gpus_of_its_own_among_those_that_slurm_gave(cluster: Cluster) -> None:
    prepare(cluster, 8, steps=8)
    sweep_id = launch(cluster, "--on", "slurm", "--agents", "2", "--gpus-per-run", "1", "--jobs-per-agent", "2")
    wait_until(lambda: len(begun(cluster)) >= 4, "four runs at once", 60)
    first = [(node, gpu) for _, node, gpu in begun(cluster)[:4]]
    assert len(set(first)) == 4
    assert {gpu for _, gpu in first} == {"0", "1"}
    check_runs(cluster.finish(sweep_id, 90), 8, 8)


def test_no_one_else_can_read_the_password(cluster: Cluster) -> None:
    prepare(cluster, 100, steps=1000)
    sweep_id = launch(cluster, "--on", "slurm", "--agents", "2", "--", "--comment=a test")
    wait_until(lambda: len(begun(cluster)) == 2, "two runs", 60)
    (job, *_) = cluster.agents(sweep_id)
    secret = cluster.password.encode()
    assert len(secret) > 8
    told = cluster.call("scontrol", "write", "batch_script", job, "-") + cluster.call(
        "scontrol", "-d", "show", "job", job
    )
    assert "LIGHTSWEEP_STORAGE_FILE" in told
    assert secret not in told.encode()
    ours = processes()
    assert sum(b"SLURM_JOB_ID" in environment for _, environment in ours) > 4, "the agents and their runs"
    for arguments, environment in ours:
        assert secret not in arguments
        if b"SLURM_JOB_ID" in environment or b"slurm" in arguments:
            assert secret not in environment
    file = cluster.folder / "lightsweep_runs" / sweep_id / "storage-url"
    assert file.stat().st_mode & 0o777 == 0o600
    kept = [path for path in cluster.home.rglob("*") if path.is_file() and path.parent != cluster.home / "storage"]
    kept = [path for path in kept if "data" not in path.parts]  # of the database itself
    assert len(kept) > 20
    assert {path.name for path in kept if secret in path.read_bytes()} == {file.name}
    assert secret not in cluster.lightsweep("status", sweep_id, "--json").encode()
    assert seen_by_others(cluster.password, cluster.home) == []
    cluster.lightsweep("launch", "--stop", sweep_id)


def processes() -> list[tuple[bytes, bytes]]:
    """The arguments and variables of every process but this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since
            if int(path.name) != os.getpid():
                found.append(((path / "cmdline").read_bytes(), (path / "environ").read_bytes()))
    return found


def test_what_slurm_refuses_leaves_no_sweep(cluster: Cluster) -> None:
    prepare(cluster, 2)
    before = cluster.lightsweep("ls")
    told = cluster.lightsweep("launch", "sweep.yaml", "--on", "slurm", "--", "--partition=mian", check=False)
    assert "slurm: sbatch refuses: " in told
    assert "invalid partition specified: mian" in told
    told = cluster.lightsweep("launch", "sweep.yaml", "--on", "slurm", "--", "--partitoin=main", check=False)
    assert "unrecognized option '--partitoin=main'" in told
    told = cluster.lightsweep("launch", "sweep.yaml", "--on", "slurm", "--storage", "sweeps.db", check=False)
    assert "SQLite serves one host only, and agents on slurm run on several" in told
    assert cluster.lightsweep("ls") == before
    assert not list(cluster.folder.glob("*.db"))
