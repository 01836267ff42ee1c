"""The program on a node of a run, without an agent and without Slurm: only its channel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sandboxes import wait_until

from lightsweep.agents import exit_status
from lightsweep.agents.launchers import node
from lightsweep.agents.launchers.nodes import NodeEnds
from lightsweep.channel.server import ChannelServer
from scripted import ScriptedHandler


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    with ChannelServer(host="127.0.0.1") as server:
        yield server


class Played:
    """A run on one node of two, whose agent is played by a server."""

    def __init__(self, server: ChannelServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.ends = NodeEnds()
        self.handler = ScriptedHandler()
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")},
            **server.register("0007", self.handler),
            node.TOKEN: server.register(node.nodes_id("0007"), self.ends)["LIGHTSWEEP_TOKEN"],
            node.ADDRESSES: "10.0.0.1,10.0.0.2",
            "SLURM_NODEID": "1",
            "SLURM_PROCID": "1",
            "SLURM_NTASKS": "2",
            "SLURM_LOCALID": "0",
            "SLURMD_NODENAME": "n2",
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self, script: str, **changed: str) -> subprocess.Popen[str]:
        path = self.directory / "script.py"
        path.write_text(textwrap.dedent(script))
        return self.start_command([sys.executable, str(path)], **changed)

    def start_command(self, command: list[str], **changed: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, node.__file__, *command],
            cwd=self.directory,
            env={**self.variables, **changed},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def begun(self) -> int:
        """Wait until the script has written its process id, and return it."""
        path = self.directory / "begun"
        wait_until(lambda: path.exists() and path.read_text(), "the script to begin")
        return int(path.read_text())


@pytest.fixture
def played(server: ChannelServer, tmp_path: Path) -> Iterator[Played]:
    played = Played(server, tmp_path)
    yield played
    for process in played.started:
        process.kill()
        process.communicate()


BEGIN = """
    import os, signal, subprocess, sys, time
    def begin():
        open("new", "w").write(str(os.getpid()))
        os.rename("new", "begun")
    """

LONG = f"""{BEGIN}
    begin()
    time.sleep(120)
    """

STUBBORN = f"""{BEGIN}
    signal.signal(signal.SIGTERM, lambda *_: open("asked", "w").close())
    begin()
    while True:
        time.sleep(0.1)
    """


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_script_finds_the_other_nodes_and_its_agent(played: Played) -> None:
    process = played.start(
        """
        import json, os, lightsweep
        with lightsweep.init() as run:
            run.log({"loss": 1.0})
        open("seen.json", "w").write(json.dumps(dict(os.environ)))
        """
    )
    assert (process.wait(60), played.ends.code) == (0, 0)
    assert [each["metrics"] for each in played.handler.logs] == []  # of rank 1 only rank 0 counts
    seen: dict[str, Any] = json.loads((played.directory / "seen.json").read_text())
    expected = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "NODE_RANK": "1"}
    torchrun = {"PET_LOCAL_ADDR": "10.0.0.2", "PET_RDZV_CONF": "is_host=0"}
    assert {name: seen[name] for name in expected | torchrun} == expected | torchrun
    assert node.TOKEN not in seen


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("1 / 0", 1)])
def test_the_agent_gets_the_exit_code(played: Played, ending: str, code: int) -> None:
    failed: list[int] = []
    played.ends.failed = lambda: failed.append(1)
    assert played.start(f"import os, sys\n{ending}").wait(60) == 0  # for srun all is well: the agent knows
    assert (played.ends.code, failed) == (code, [1])


def test_without_an_agent_nothing_begins(played: Played) -> None:
    played.server.close()
    process = played.start(LONG)
    assert process.communicate(timeout=60)[0].startswith(
        "lightsweep: node n2 cannot start the run: the agent that serves"
    )
    assert process.returncode == node.UNREACHABLE
    assert not (played.directory / "begun").exists()


@pytest.mark.slow
def test_a_script_that_ignores_sigterm_has_as_long_as_the_agent_lets_it(played: Played) -> None:
    process = played.start(STUBBORN)
    pid = played.begun()
    played.server.unregister(node.nodes_id("0007"))
    wait_until((played.directory / "asked").exists, "SIGTERM")
    time.sleep(node.KILL_SECONDS + 2)
    assert process.poll() is None
    played.server.unregister("0007")  # as if the agent had died
    assert process.wait(60) == 128 + signal.SIGKILL
    assert gone(pid)


def test_the_death_of_the_agent_ends_scripts_that_never_call_init(played: Played) -> None:
    process = played.start(STUBBORN)
    pid = played.begun()
    played.server.close()
    assert process.wait(60) == 128 + signal.SIGKILL
    assert (played.directory / "asked").exists()
    assert gone(pid)


def test_nothing_that_the_command_has_started_is_left(played: Played) -> None:
    process = played.start(
        f"""{BEGIN}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
    open("child", "w").write(str(child.pid))
    """
    )
    assert process.wait(60) == 0
    assert gone(int((played.directory / "child").read_text()))


def test_a_run_that_slurm_ends_is_preempted_whatever_its_script_says(played: Played) -> None:
    process = played.start(
        f"""{BEGIN}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin()
    time.sleep(120)
    """
    )
    played.begun()
    process.terminate()
    assert process.wait(60) == 0
    assert played.ends.code == node.PREEMPTED == exit_status.PREEMPTED


def test_a_signal_right_after_the_command_began_ends_the_command_too(played: Played) -> None:
    process = played.start_command(["sh", "-c", "echo $$ > begun; kill -TERM $PPID; exec sleep 120"])
    assert process.wait(60) == 0
    assert played.ends.code == node.PREEMPTED
    assert gone(played.begun())
