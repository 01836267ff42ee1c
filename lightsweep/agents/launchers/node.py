"""The program that Slurm starts on each node of a run: start the run's command there, and end it with the run.

It runs by its path, so that it costs little, and imports nothing of the agent. The agent gets the exit code from it,
since that of ``srun`` tells a failure on one node from the end that it causes on the others no more.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # the folder of this package, in the place of the folder of this file
    sys.path[0] = str(Path(__file__).parents[3])

from lightsweep.channel.connection import ENVIRONMENT, Connection
from lightsweep.channel.messages import FrameStream
from lightsweep.errors import AgentLostError, LightsweepError

if TYPE_CHECKING:
    from lightsweep.agents.reaper import Processes

TOKEN = "LIGHTSWEEP_NODES_TOKEN"
"""The secret by which the programs of a run's nodes reach the agent; the run's command does not get it."""

ADDRESSES = "LIGHTSWEEP_NODES"
"""The addresses of the run's nodes, in the order of their numbers, separated by commas."""

MARK = "LIGHTSWEEP_NODE_TOKEN"
"""The variable that marks the processes of this task."""

PREEMPTED = 75
"""As in `exit_status.py`, which imports the agent."""

UNREACHABLE = 69
"""The exit code if this program cannot start the command (``EX_UNAVAILABLE`` of sysexits.h)."""

UNREACHABLE_WORDS = "lightsweep: node "
"""The beginning of the line that says why."""

GRACE_SECONDS = 2.0
"""From the death of an agent to SIGTERM: a script with ``init`` ends before, and says why."""

KILL_SECONDS = 5.0
"""From there to SIGKILL."""

LEFTOVER_SECONDS = 2.0
"""From the end of the command to SIGKILL for what it has left behind."""


def nodes_id(run_id: str) -> str:
    """Return the id under which the programs on the nodes of a run reach the agent."""
    return f"{run_id}@nodes"


def ranks(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what torch and torchrun need to find each other on the nodes, from the variables of Slurm's task.

    ``PET_...`` are defaults of torchrun's options; the rest serves scripts that Slurm starts once for each process.
    """
    addresses = environ[ADDRESSES].split(",")
    node = int(environ.get("SLURM_NODEID", "0"))
    return {
        "RANK": environ.get("SLURM_PROCID", "0"),
        "WORLD_SIZE": environ.get("SLURM_NTASKS", str(len(addresses))),
        "LOCAL_RANK": environ.get("SLURM_LOCALID", "0"),
        "NODE_RANK": str(node),
        "PET_LOCAL_ADDR": addresses[node],
        "PET_RDZV_CONF": f"is_host={int(node == 0)}",
    }


class Task:
    """The command of a run on this node, as a process in a session of its own.

    Args:
        command: Program and arguments.
        environ: The environment of this process; the secret of the nodes is taken out of it.

    Raises:
        AgentLostError: The agent cannot be reached.
    """

    def __init__(self, command: list[str], environ: MutableMapping[str, str]) -> None:
        address, run_id, token = (environ[name] for name in ENVIRONMENT)
        self._agent = Connection(address, nodes_id(run_id), environ.pop(TOKEN))
        self._run = Connection(address, run_id, token)
        self._stream = self._agent.open()
        self._ended = threading.Event()
        self._told = 0
        self._all: Processes | None = None
        self._command = command
        self._environ = environ

    def start(self) -> None:
        """Start the command, and pass on a signal that came before it. Raises ``OSError`` if it cannot be started."""
        processes = _processes()
        mark = secrets.token_hex(16)
        self._process = subprocess.Popen(
            self._command,
            env={**self._environ, **ranks(self._environ), MARK: mark},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._all = processes({self._process.pid: mark}, MARK)
        if self._told:
            self._all.signal(self._told)
        threading.Thread(target=self._watch, args=(self._all,), daemon=True).start()

    def told(self, number: int, frame: object) -> None:
        """Handle a signal that ends this job: pass it on, or note it until the command exists."""
        del frame
        self._told = number
        if self._all is not None:
            self._all.signal(number)

    def wait(self) -> int:
        """Wait for the end of the command, end what is left of it here, and return its exit code.

        It is that of a preempted run if this process was told to end and the command has failed: on SIGTERM from Slurm
        torchrun fails, and a script may say that it has finished.
        """
        code = self._process.wait()
        self._ended.set()
        assert self._all is not None
        self._all.end(LEFTOVER_SECONDS)
        return PREEMPTED if self._told and code else code

    def report(self, code: int) -> bool:
        """Tell the agent the exit code; False if it has ended the run already, or is gone."""
        try:
            self._agent.request("finish", node=socket.gethostname(), exit_code=code)
        except AgentLostError:
            return False
        return True

    def _watch(self, processes: Processes) -> None:
        """End the command when the agent ends the run, or dies.

        The agent ends a run by the end of an idle connection. It sees to SIGKILL itself, unless it dies meanwhile.
        """
        _wait_for_end(self._stream)
        try:
            stream = self._run.open()
        except AgentLostError:
            stream = None
        if self._ended.wait(GRACE_SECONDS if stream is None else 0):
            return
        processes.signal(signal.SIGTERM)
        if stream is not None:
            _wait_for_end(stream)
        if not self._ended.wait(KILL_SECONDS):
            processes.kill()


def _wait_for_end(stream: FrameStream) -> None:
    """Wait until the agent closes a connection on which nothing is sent."""
    with suppress(OSError, LightsweepError):
        stream.receive()
    stream.close()


def _processes() -> type[Processes]:
    """Return the class of the reaper's file, without the import of the agent."""
    path = Path(__file__).parents[1] / "reaper.py"
    spec = importlib.util.spec_from_file_location("lightsweep_reaper", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[Processes] = module.Processes
    return found


def main() -> int:
    """Run the command in the arguments, and return its exit code; 0 if the agent got to know it."""
    try:
        task = Task(sys.argv[1:], os.environ)
        signal.signal(signal.SIGTERM, task.told)  # before the command exists, which would else outlive this program
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)  # Slurm sends them to the command's processes too
        task.start()
    except (AgentLostError, OSError) as error:
        where = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        print(f"{UNREACHABLE_WORDS}{where} cannot start the run: {error}", file=sys.stderr, flush=True)
        return UNREACHABLE
    code = task.wait()
    return 0 if task.report(code) else code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
