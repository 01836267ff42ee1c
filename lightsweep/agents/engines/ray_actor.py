"""An agent on a node of Ray: the actor, and what ties the agent to it.

Ray gets this module by value. It imports nothing of the package, so that an actor costs little beside its agent.

The agent is not a child of its actor: Ray sends SIGKILL to all children of an actor that is killed, and an agent could
not give its runs back then. Each of them holds an end of one socket, so each notices the end of the other.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any

TIED = "LIGHTSWEEP_ENDS_WITH_STDIN"
"""Set for an agent that is to end when the other end of its standard input closes."""

PYTHON = "python"
"""The interpreter of the node, as the first word of a command."""

_RUNS = "lightsweep_runs"
_URL = "LIGHTSWEEP_STORAGE"
# A storage of the node is not that of the launch; the others are what Ray sets for its own processes.
_NOT_INHERITED = {_URL, "LIGHTSWEEP_STORAGE_FILE", "PYTHONBREAKPOINT", "OMP_NUM_THREADS"}
_POLL_SECONDS = 1.0
_LEAVE_SECONDS = 5.0

# Starts a command in a process that is no child of the caller, and prints its id.
_START = """
import os, signal, sys
child = os.fork()
if child:
    os.write(1, f"{child}".encode())
    os._exit(0)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
os.dup2(2, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Secret:
    """A storage URL with a password, which no ``repr`` shows."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"


class AgentActor:
    """An agent in an actor of Ray; the actor ends with the agent, and the agent with the actor.

    Args:
        command: The command of the agent; its first word is `PYTHON`.
        name: The names of the sweep and of the agent, with a slash between them.
        place: The working directory; if it was shipped, the directory for the runs of this node.
        shipped: Whether Ray has shipped the working directory, which this process is in.
        variables: Variables of the agent.
        url: The storage's URL, if it has a password and the file with it was not shipped.

    Raises:
        RuntimeError: The agent cannot be started on this node.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        place: str,
        shipped: bool,
        variables: Mapping[str, str],
        url: Secret | None = None,
    ) -> None:
        self._name = name
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        secret = {} if url is None else {_URL: url.value}
        home = Path(place).expanduser()
        try:
            if shipped:
                home.mkdir(parents=True, exist_ok=True)
                _lead_runs_to(home)
                home = Path.cwd()
            log = home / _RUNS / f"{name}.log"
            for each in [] if shipped else [log.parent.parent, log.parent]:
                each.mkdir(exist_ok=True)
            with nullcontext() if shipped else log.open("ab") as output:
                environment = {**inherited, **variables, **secret, TIED: "1"}
                self._line, self._pid = started([sys.executable, *command[1:]], home, environment, output)
        except OSError as error:
            raise RuntimeError(
                f"host {socket.gethostname()}: {error.filename or home}: {error.strerror or error}; all nodes need "
                "the directory of the launch, or ship it by -- --working-dir ."
            ) from None
        threading.Thread(target=self._watch, name="lightsweep-agent-watch", daemon=True).start()

    def __repr__(self) -> str:
        return self._name

    def pid(self) -> int:
        """Return the process of the agent."""
        return self._pid

    def stop(self) -> None:
        """Tell the agent to end by SIGTERM."""
        with suppress(OSError):  # it has ended
            self._line.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """End the actor; Ray does not start it again."""
        importlib.import_module("ray").actor.exit_actor()

    def _watch(self) -> None:
        parent = os.getppid()  # Ray's process for the node; its death does not always end this one
        while not select.select([self._line], [], [], _POLL_SECONDS)[0]:
            if os.getppid() != parent:
                self.stop()
        print("the agent has ended", flush=True)
        if os.getppid() != parent:
            os._exit(1)
        ray: Any = importlib.import_module("ray")
        actor = ray.get_runtime_context().current_actor
        actor.leave.remote()
        time.sleep(_LEAVE_SECONDS)
        ray.kill(actor, no_restart=True)  # the call did not arrive


def _lead_runs_to(home: Path) -> None:
    """Let the runs' directory lead out of the shipped directory, which Ray removes at some time after its last use."""
    runs = Path(_RUNS)
    if not runs.is_symlink():
        with suppress(FileNotFoundError):
            runs.rename(f".{_RUNS}-{secrets.token_hex(4)}")  # that of a launch from this node
        with suppress(FileExistsError):  # another agent of this node was faster
            runs.symlink_to(home)


def started(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], output: IO[bytes] | None
) -> tuple[socket.socket, int]:
    """Start an agent; return the end of the socket that is its standard input, and the id of its process.

    Args:
        command: The command of the agent.
        directory: Its working directory.
        environment: Its environment.
        output: The file for what it prints; ``None`` for where this process prints.

    Raises:
        OSError: The agent cannot be started.
        RuntimeError: This node has no lightsweep.
    """
    if importlib.util.find_spec("lightsweep") is None:
        raise RuntimeError("No module named 'lightsweep'")
    line, other = socket.socketpair()
    with other:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _START, *command],
            stdin=other.fileno(),
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=directory,
            env=environment,
            start_new_session=True,
            check=True,
        )
    return line, int(done.stdout)


def tie_to_stdin() -> None:
    """Let this process, if it is an agent in an actor, get SIGTERM when its standard input closes."""
    if os.environ.pop(TIED, None) is None:
        return
    line = os.dup(0)  # which no process inherits that the agent starts
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        with suppress(OSError):
            os.read(line, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lightsweep-actor", daemon=True).start()
