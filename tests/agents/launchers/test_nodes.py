"""Runs on several nodes, with an agent and a Slurm that is played by scripts on this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

import psutil
import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import CommandError, LightsweepError
from lightsweep.agents.launchers.nodes import check_job, meeting_point, node_addresses, srun_command

SRUN = f"""#!{sys.executable}
# Starts the command once for each node, and kills everything on SIGTERM, as srun does.
import os, signal, subprocess, sys, time
import psutil
words = sys.argv[1:]
options = [word for word in words[: words.index(sys.executable)]]
with open("srun.log", "a") as log:
    log.write(" ".join(options) + "\\n")
command, nodes = words[len(options):], 2
tasks = []

def kill(*_):
    for task in tasks:
        if task.poll() is None:
            for each in [*psutil.Process(task.pid).children(recursive=True), task]:
                each.kill()

signal.signal(signal.SIGTERM, kill)
for number in range(nodes):
    given = {{"SLURM_NODEID": number, "SLURM_PROCID": number, "SLURM_LOCALID": 0, "SLURM_NTASKS": nodes}}
    given = {{name: str(value) for name, value in given.items()}}
    if number and "UNREACHABLE" in os.environ:
        given["LIGHTSWEEP_CHANNEL"] = "tcp://127.0.0.1:9"
    tasks.append(subprocess.Popen(command, env={{**os.environ, **given, "SLURMD_NODENAME": f"n{{number + 1}}"}}))
while any(task.poll() is None for task in tasks):
    if any(task.poll() for task in tasks):  # --kill-on-bad-exit
        for task in tasks:
            task.terminate()
    time.sleep(0.05)
codes = [task.wait() for task in tasks]
sys.exit(max(128 - code if code < 0 else code for code in codes))
"""

SCONTROL = """#!/bin/sh
echo "NodeName=n1 Arch=x86_64 NodeAddr=127.0.0.1 NodeHostName=here Port=1"
echo "NodeName=n2 Arch=x86_64 NodeAddr=127.0.0.1 NodeHostName=here Port=2"
"""

SCRIPT = """
    import os, sys, time, lightsweep
    rank = int(os.environ["RANK"])
    run = lightsweep.init()
    open(f"rank-{run.number}-{rank}.new", "w").write(str(os.getpid()))
    os.rename(f"rank-{run.number}-{rank}.new", f"rank-{run.number}-{rank}")
    if rank == 0:
        run.log({"loss": float(run.config.x)})
    """

STAYING = f"""{SCRIPT}
    while True:
        time.sleep(0.1)
        if rank == 0:
            run.log({{"loss": 1.0}})
    """


@pytest.fixture
def two_nodes(sandbox: Sandbox) -> Sandbox:
    """A sandbox in a job of two nodes."""
    programs = sandbox.directory / "bin"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    sandbox.environment |= {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURMD_NODENAME": "n1",
    }
    return sandbox


def pids(sandbox: Sandbox, run: str = "0001") -> list[int]:
    """Wait for both ranks of a run, and return their processes."""
    paths = [sandbox.directory / f"rank-{run}-{rank}" for rank in (0, 1)]
    wait_until(lambda: all(path.exists() for path in paths), "both ranks to begin")
    return [int(path.read_text()) for path in paths]


def left(sandbox: Sandbox) -> list[str]:
    """The processes that work in the sandbox, on any node, that are not gone."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(sandbox.directory) and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
    return found


def nothing_is_left(sandbox: Sandbox, seconds: float = 20.0) -> None:
    wait_until(lambda: not left(sandbox), "all processes to end", seconds)


def test_a_run_is_started_on_all_nodes(two_nodes: Sandbox) -> None:
    sweep_id = two_nodes.sweep(SCRIPT)
    done = two_nodes.call("agent", sweep_id, "--nodes-per-run", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = two_nodes.runs(sweep_id)
    assert [(str(run.state), run.best, run.agent.split(":")[0]) for run in runs] == [
        ("finished", 1.0, "n1"),
        ("finished", 2.0, "n1"),
        ("finished", 3.0, "n1"),
    ]
    assert len(list(two_nodes.directory.glob("rank-000?-?"))) == 6
    begun = (two_nodes.directory / "srun.log").read_text().splitlines()
    assert len(begun) == 3
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 --job-name=run-0001" in begun[0]


def test_a_failure_on_one_node_is_the_run_s_and_ends_it_on_the_other(two_nodes: Sandbox) -> None:
    sweep_id = two_nodes.sweep(
        f"{SCRIPT}\n    if rank == 1:\n        raise ValueError('no data')\n    time.sleep(120)\n"
    )
    done = two_nodes.call("agent", sweep_id, "--nodes-per-run", "2", "--count", "1")
    (run,) = two_nodes.runs(sweep_id)
    assert (str(run.state), done.returncode) == ("failed", 1)
    assert "exit code 1" in run.reason
    assert "ValueError: no data" in done.stdout
    nothing_is_left(two_nodes)


def test_a_node_that_does_not_reach_the_agent_is_named(two_nodes: Sandbox) -> None:
    sweep_id = two_nodes.sweep(f"{SCRIPT}\n    time.sleep(120)\n")
    two_nodes.environment["UNREACHABLE"] = "1"
    done = two_nodes.call("agent", sweep_id, "--nodes-per-run", "2", "--count", "1")
    (run,) = two_nodes.runs(sweep_id)
    assert (str(run.state), done.returncode) == ("failed", 1)
    assert "exit code 69: lightsweep: node n2 cannot start the run: the agent that serves run" in run.reason
    assert "Connection refused" in run.reason
    nothing_is_left(two_nodes)


def test_sigterm_to_the_agent_lets_scripts_of_all_nodes_end_themselves(two_nodes: Sandbox) -> None:
    script = f"""{SCRIPT}
    import signal
    def end(*_):
        open(f"told-{{rank}}", "w").close()
        sys.exit(143)
    signal.signal(signal.SIGTERM, end)
    open(f"ready-{{rank}}", "w").close()
    time.sleep(120)
    """
    sweep_id = two_nodes.sweep(script)
    agent = two_nodes.follow("agent", sweep_id, "--nodes-per-run", "2", "--term-timeout", "90")
    wait_until(lambda: len(list(two_nodes.directory.glob("ready-?"))) == 2, "both to be ready")
    began = time.monotonic()
    agent.process.terminate()
    assert agent.end()[0] == 128 + signal.SIGTERM
    assert time.monotonic() - began < 60, "they ended by SIGTERM, not by SIGKILL"
    assert two_nodes.runs(sweep_id)[0].waiting
    assert len(list(two_nodes.directory.glob("told-?"))) == 2
    nothing_is_left(two_nodes)


def test_the_death_of_the_agent_ends_the_run_on_all_nodes(two_nodes: Sandbox) -> None:
    sweep_id = two_nodes.sweep(STAYING)
    agent = two_nodes.follow("agent", sweep_id, "--nodes-per-run", "2")
    pids(two_nodes)
    agent.process.kill()
    agent.end()
    nothing_is_left(two_nodes)


# --- what is asked of Slurm


IN_JOB = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, r"this agent is in no job of Slurm;\nsubmit the agent with: sbatch --nodes=2 --ntasks-per-node=1"),
        ({**IN_JOB, "SLURM_JOB_NUM_NODES": "4"}, "job 7 has 4 nodes;"),
        ({**IN_JOB, "PATH": "/nowhere"}, "no such program in PATH"),
    ],
)
def test_a_job_of_other_nodes_and_a_machine_without_srun_are_refused(environ: dict[str, str], why: str) -> None:
    with pytest.raises(LightsweepError, match=why):
        check_job(2, environ)


def test_several_nodes_are_for_one_run_at_a_time(two_nodes: Sandbox) -> None:
    sweep_id = two_nodes.sweep()
    for more in (["--jobs", "2"], ["--gpus", "0,1"]):
        done = two_nodes.call("agent", sweep_id, "--nodes-per-run", "2", *more)
        assert done.returncode == 2
        assert "leave out --jobs and --gpus" in done.stderr


def test_the_addresses_of_nodes() -> None:
    shown = (
        "NodeName=gpu-a Arch=x86_64 CoresPerSocket=2 NodeAddr=10.0.0.7 NodeHostName=gpu-a\n"
        "NodeName=gpu-b Arch=x86_64 CoresPerSocket=2 NodeAddr=gpu-b.local NodeHostName=gpu-b\n"
    )
    assert node_addresses("gpu-[a-b]", lambda _: shown) == {"gpu-a": "10.0.0.7", "gpu-b": "gpu-b.local"}
    with pytest.raises(CommandError, match=r"`scontrol show node x` names no address of a node: 'Node x not found'"):
        node_addresses("x", lambda _: "Node x not found\n")


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({}, ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]),
        (
            {"SLURM_NTASKS_PER_NODE": "4", "SLURM_CPUS_PER_TASK": "6"},
            ["--nodes=2", "--ntasks=8", "--ntasks-per-node=4", "--cpus-per-task=6"],
        ),
    ],
)
def test_as_many_tasks_on_a_node_as_the_job_says(environ: dict[str, str], options: list[str]) -> None:
    command = srun_command(2, environ)
    assert command[0] == "srun"
    assert command[-len(options) :] == options


def test_where_processes_meet() -> None:
    given = meeting_point(["10.0.0.1", "10.0.0.2"], "0007")
    assert given["PET_RDZV_ENDPOINT"] == f"10.0.0.1:{given['MASTER_PORT']}"
    assert (given["MASTER_ADDR"], given["PET_NNODES"], given["PET_RDZV_ID"]) == ("10.0.0.1", "2", "0007")
    assert 1024 < int(given["MASTER_PORT"]) < 65536
