"""An agent on a node of Ray: the actor, and the program between the actor and its agent.

Ray gets this module by value, and its file is run by its path. It imports nothing of the package, so that an actor
costs little beside its agent.
"""

from __future__ import annotations

import importlib.util
import json
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

GRACE_SECONDS = 120.0
"""From SIGTERM to SIGKILL; an agent needs its ``--term-timeout``, 30 s by default, and the time to record the ends."""

PYTHON = "python"
"""The interpreter of the node, as the first word of a command."""

_RUNS = "lightsweep_runs"
_URL = "LIGHTSWEEP_STORAGE"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# A storage of the node is not that of the launch; the others are what Ray sets for its own processes.
_NOT_INHERITED = {_URL, "LIGHTSWEEP_STORAGE_FILE", "PYTHONBREAKPOINT", "OMP_NUM_THREADS"}
_START_SECONDS = 60.0
_POLL_SECONDS = 1.0
_LEAVE_SECONDS = 5.0


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
                environment = {**inherited, **variables, **secret}
                self._guard = Guard([sys.executable, *command[1:]], home, environment, output)
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
        return self._guard.pid

    def stop(self) -> None:
        """Tell the agent to end by SIGTERM."""
        self._guard.terminate()

    def leave(self) -> None:
        """End the actor; Ray does not start it again."""
        importlib.import_module("ray").actor.exit_actor()

    def _watch(self) -> None:
        parent = os.getppid()  # Ray's process for the node; its death does not always end this one
        while not self._guard.has_ended(_POLL_SECONDS):
            if os.getppid() != parent:
                self._guard.terminate()
        code = self._guard.wait()
        print(f"the agent has ended with exit code {'unknown' if code is None else code}", flush=True)
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


class Guard:
    """An agent that gets SIGTERM when this process ends, however it ends.

    The program in between is not a child of this process: Ray sends SIGKILL to all children of an actor that is killed,
    and an agent could not give its runs back then.

    Args:
        command: The command of the agent.
        directory: Its working directory.
        environment: Its environment.
        output: The file for what it prints; ``None`` for where this process prints.

    Attributes:
        pid: The agent.

    Raises:
        OSError: The agent cannot be started.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], output: IO[bytes] | None = None
    ) -> None:
        package = importlib.util.find_spec("lightsweep")
        if package is None or package.origin is None:
            raise RuntimeError("No module named 'lightsweep'")
        program = Path(package.origin).parent / "agents" / "engines" / "ray_actor.py"
        self._line, other = socket.socketpair()
        with other:
            starter = subprocess.Popen(
                [sys.executable, "-I", str(program), str(GRACE_SECONDS), *command],
                stdin=other.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        starter.wait()  # it leaves the program behind
        self._line.settimeout(_START_SECONDS)
        self._answers = self._line.makefile("r", encoding="utf-8")
        first: dict[str, Any] = json.loads(self._answers.readline() or '{"error": "it was killed"}')
        self._line.settimeout(None)
        if "error" in first:
            raise OSError(first["error"])
        self.pid: int = first["pid"]

    def has_ended(self, seconds: float) -> bool:
        """Wait for the agent's end, and return whether it has ended after so many seconds."""
        return bool(select.select([self._line], [], [], seconds)[0])

    def wait(self) -> int | None:
        """Return the exit code of the agent when it has ended, negative for a signal; ``None`` if it is not known."""
        last = self._answers.readline()
        self._line.close()
        if not last:  # the program in between was killed
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            return None
        code: int = json.loads(last)["exit_code"]
        return code

    def terminate(self) -> None:
        """Send SIGTERM to the agent, and SIGKILL after `GRACE_SECONDS`; returns at once."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)


def main() -> None:
    """Start the command that follows the seconds of grace, and end it when the other side of standard input closes.

    One line of JSON is written there at its start, and one at its end.
    """
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    line = socket.socket(fileno=os.dup(0))
    try:
        agent = subprocess.Popen(
            sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_usual_signals
        )
    except OSError as error:
        _tell(line, error=f"cannot start {sys.argv[2]!r}: {error.strerror or error}")
        return
    _tell(line, pid=agent.pid)
    ended = threading.Event()

    def watch() -> None:
        with suppress(OSError):
            line.recv(1)
        agent.terminate()
        if not ended.wait(float(sys.argv[1])):
            agent.kill()  # its own helper ends its runs

    threading.Thread(target=watch, daemon=True).start()
    code = agent.wait()
    ended.set()
    _tell(line, exit_code=code)


def _usual_signals() -> None:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)


def _tell(line: socket.socket, **message: Any) -> None:
    with suppress(OSError):  # nobody listens any more
        line.sendall(f"{json.dumps(message)}\n".encode())


if __name__ == "__main__":
    main()
