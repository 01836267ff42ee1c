"""Runs of two nodes each on a real Slurm, with torchrun and two ranks of gloo."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil
import pytest
from real_slurm import Cluster
from sandboxes import wait_until

pytestmark = pytest.mark.slow

TRAIN = """
import os, time
import torch
import torch.distributed as dist
import lightsweep
from lightsweep.integrations.distributed import DistributedRun

dist.init_process_group("gloo")
rank, node = dist.get_rank(), os.environ["SLURMD_NODENAME"]
run = DistributedRun(lightsweep.init())
x = float(run.config["x"])
with open(f"begun-{os.environ['LIGHTSWEEP_RUN_ID']}.txt", "a") as file:
    print(rank, dist.get_world_size(), node, os.getpid(), file=file)
step, go = 0, 0.0
while step < 6 or not go:
    total = torch.tensor([x / 2, float(os.path.exists("go"))])
    dist.all_reduce(total)
    loss, go = total.tolist()
    step += 1
    run.log({"loss": loss + 1 / step})
    time.sleep(0.2)
dist.destroy_process_group()
"""

SWEEP = """
program: train.py
method: grid
metric: {name: loss}
command: ["${interpreter}", -m, torch.distributed.run, --nproc-per-node=1, "${program}", "${args}"]
parameters:
  x: {values: [VALUES]}
lightsweep: {launch: {on: slurm, nodes_per_run: 2}, lease: 8, max_retries: 1}
"""


def prepare(cluster: Cluster, values: str, more: str = "") -> str:
    (cluster.folder / "train.py").write_text(TRAIN)
    (cluster.folder / "sweep.yaml").write_text(SWEEP.replace("VALUES", values) + more)
    sweep_id: str = cluster.lightsweep("launch", "sweep.yaml").strip()
    return sweep_id


def begun(cluster: Cluster, run: str) -> list[tuple[int, int, str, int]]:
    """Rank, number of ranks, node and process of each process of a run, over all attempts."""
    found = []
    for path in cluster.folder.glob(f"begun-*{run}.txt"):
        for line in path.read_text().splitlines():
            rank, size, node, pid = line.split()
            found.append((int(rank), int(size), node, int(pid)))
    return found


def left(cluster: Cluster) -> list[str]:
    """The processes that work in the test's folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(cluster.folder):
                found.append(" ".join(process.cmdline()))
    return found


def test_each_run_has_two_nodes_and_a_bad_one_is_stopped_early_on_both(cluster: Cluster) -> None:
    (cluster.folder / "go").touch()
    sweep_id = prepare(cluster, "1, 2", "early_terminate: {type: hyperband, min_iter: 3}\n")
    runs = cluster.finish(sweep_id, 120)
    assert [(run["state"], run["iterations"]) for run in runs] == [("finished", 6), ("pruned", 3)]
    for run in runs:
        processes = begun(cluster, run["id"])
        assert {(rank, size) for rank, size, _, _ in processes} == {(0, 2), (1, 2)}
        assert len({node for _, _, node, _ in processes}) == 2
    wait_until(lambda: not left(cluster), "all processes to end")


def test_a_killed_process_a_cancelled_job_and_a_killed_agent_leave_nothing_and_lose_nothing(cluster: Cluster) -> None:
    sweep_id = prepare(cluster, "1")
    wait_until(lambda: len(begun(cluster, "0001")) == 2, "both ranks of the first attempt", 60)
    os.kill(begun(cluster, "0001")[1][-1], signal.SIGKILL)
    wait_until(lambda: len(begun(cluster, "0001")) == 4, "both ranks of the second attempt", 60)
    (job,) = cluster.agents(sweep_id)
    cluster.call("scancel", job)
    wait_until(lambda: not left(cluster), "all processes of the cancelled job to end", 30)

    cluster.lightsweep("launch", sweep_id, "--on", "slurm", "--nodes-per-run", "2")
    wait_until(lambda: len(begun(cluster, "0001")) == 6, "both ranks of the third attempt", 60)
    os.kill(agent_process(cluster), signal.SIGKILL)
    wait_until(lambda: not left(cluster), "all processes of the killed agent to end", 30)

    cluster.lightsweep("launch", sweep_id, "--on", "slurm", "--nodes-per-run", "2")
    wait_until(lambda: len(begun(cluster, "0001")) == 8, "both ranks of the fourth attempt", 60)
    (cluster.folder / "go").touch()
    (run,) = cluster.finish(sweep_id, 120)
    assert run["state"] == "finished"
    assert len(begun(cluster, "0001")) == 8


HANGING_UP = """
import os, signal, time
import lightsweep
run, node = lightsweep.init(), os.environ["SLURMD_NODENAME"]
signal.signal(signal.SIGHUP, lambda *_: open(f"hup-{node}", "w").close())
open(f"ready-{node}", "w").close()
while not os.path.exists("go"):
    time.sleep(0.1)
run.log({"loss": 1.0})
"""


def test_a_hangup_is_forwarded_to_all_nodes_and_ends_none(cluster: Cluster) -> None:
    (cluster.folder / "train.py").write_text(HANGING_UP)
    lines = SWEEP.replace("VALUES", "1").splitlines()
    lines = [line for line in lines if not line.startswith("command:")]
    (cluster.folder / "sweep.yaml").write_text("\n".join(lines))
    sweep_id = cluster.lightsweep("launch", "sweep.yaml", "--agent-options", "--forward-signals").strip()
    wait_until(lambda: len(list(cluster.folder.glob("ready-*"))) == 2, "both nodes", 60)
    os.kill(agent_process(cluster), signal.SIGHUP)
    wait_until(lambda: len(list(cluster.folder.glob("hup-*"))) == 2, "the signal on both nodes", 30)
    (cluster.folder / "go").touch()
    (run,) = cluster.finish(sweep_id, 120)
    assert (run["state"], run["iterations"]) == ("finished", 1)


def agent_process(cluster: Cluster) -> int:
    """The process of the only agent that works in the test's folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[1:4] == ["-m", "lightsweep", "agent"] and process.cwd() == str(cluster.folder):
                found.append(process.pid)
    (pid,) = found
    return pid
