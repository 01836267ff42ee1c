"""Start the command of a run on all nodes of a Slurm job, by ``srun``.

Slurm starts `node.py` on each node, which starts the command. The agent ends a run by releasing its nodes: their
programs notice it, and send SIGTERM. ``srun`` itself never passes SIGTERM on, it kills, so that it gets SIGTERM last.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from lightsweep.agents.drain import slurm_job
from lightsweep.agents.launchers import Emit, ExitStatus, Variables, node
from lightsweep.agents.launchers.process import CommandLauncher, RunProcess, last_line
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.errors import CommandError, UsageError
from lightsweep.text import counted

HOST = "LIGHTSWEEP_HOST"
"""The variable that names an address of the agent's host, if the nodes do not reach it by that which Slurm knows."""

_SLURM_SECONDS = 30.0
_KILL_SECONDS = 5.0
_FAILED_SECONDS = 15.0
_HEAD_BYTES = 2**16


class NodesLauncher(CommandLauncher):
    """Starts the command of a sweep on all nodes of this Slurm job, once for each of the job's tasks on a node.

    Args:
        sweep: The sweep.
        nodes: Number of nodes for each run, which is that of the job.
        stand_in: See :class:`CommandLauncher`.

    Raises:
        UsageError: This process is in no Slurm job of so many nodes.
        CommandError: A program of Slurm does not exist, or fails.
    """

    def __init__(self, sweep: Sweep, nodes: int, stand_in: str | None = None) -> None:
        check_job(nodes)
        self._addresses = node_addresses(os.environ.get("SLURM_JOB_NODELIST") or os.environ["SLURM_NODELIST"])
        own = self._addresses.get(os.environ.get("SLURMD_NODENAME", ""), socket.gethostname())
        super().__init__(sweep, stand_in, host=os.environ.get(HOST) or own)
        self._begin = srun_command(nodes)

    def _process(
        self, run: ClaimedRun, command: list[str], environment: Variables, output: Path, emit: Emit, release: ExitStack
    ) -> RunProcess:
        name, ends = node.nodes_id(run.id), NodeEnds()
        secret = self._server.register(name, ends)["LIGHTSWEEP_TOKEN"]
        release.callback(self._server.unregister, name)
        addresses = list(self._addresses.values())
        given = {
            **environment,
            **meeting_point(addresses, run.id),
            node.ADDRESSES: ",".join(addresses),
            node.TOKEN: secret,
        }
        step = f"run-{run.id}"
        begin = [*self._begin, f"--job-name={step}", sys.executable, node.__file__]
        return NodesProcess([*begin, *command], given, output, emit, partial(self._server.unregister, name), ends, step)


def check_job(nodes: int, environ: Mapping[str, str] = os.environ) -> None:
    """Check that this process is in a Slurm job of so many nodes.

    Raises:
        UsageError: It is not.
        CommandError: There is no ``srun``.
    """
    begin = f"--nodes-per-run {nodes}: each run takes all nodes of the agent's Slurm job"
    remedy = f"submit the agent with: sbatch --nodes={nodes} --ntasks-per-node=1"
    if "SLURM_JOB_ID" not in environ:
        raise UsageError(f"{begin}, and this agent is in no job of Slurm;\n{remedy}")
    found = environ.get("SLURM_JOB_NUM_NODES") or environ.get("SLURM_NNODES") or "1"
    if found != str(nodes):
        has = counted(int(found), "node") if found.isdecimal() else f"{found} nodes"
        raise UsageError(f"{begin}, and job {environ['SLURM_JOB_ID']} has {has};\n{remedy}")
    if shutil.which("srun", path=environ.get("PATH")) is None:
        raise CommandError(f"{begin}, which `srun` starts, and there is no such program in PATH")


def node_addresses(nodes: str, ask: Callable[[str], str] | None = None) -> dict[str, str]:
    """Return the address of each node by its name, in Slurm's order.

    Args:
        nodes: Their names as Slurm writes them, such as ``n[1-2]``.
        ask: Returns what ``scontrol show node`` prints, one line for each.

    Raises:
        CommandError: Slurm does not tell.
    """
    shown = (ask or _scontrol)(nodes)
    found = dict(re.findall(r"^NodeName=(\S+).*?\bNodeAddr=(\S+)", shown, re.MULTILINE))
    if not found:
        raise CommandError(f"`scontrol show node {nodes}` names no address of a node: {shown.strip()[:200]!r}")
    return found


def _scontrol(nodes: str) -> str:
    return _call(["scontrol", "--oneliner", "show", "node", nodes])


def _call(command: list[str]) -> str:
    """Return what a command of Slurm's prints. Raises ``CommandError`` if it cannot be run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SLURM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandError(f"Slurm does not answer {' '.join(command)!r}: {error}") from None
    return done.stdout


def signal_step(name: str, signal_name: str) -> None:
    """Send a signal to all processes of a step of this Slurm job; does nothing if there is no such step.

    Raises:
        CommandError: A command of Slurm's cannot be run.
    """
    job = slurm_job(os.environ)
    steps = _call(["squeue", "--steps", "--noheader", f"--jobs={job}", "--format=%i %j"])
    for step in re.findall(rf"^({re.escape(job)}\.\S+) {re.escape(name)}$", steps, re.MULTILINE):
        _call(["scancel", f"--signal={signal_name}", step])


def srun_command(nodes: int, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the beginning of a command that Slurm starts on all nodes of the job, as often on each as the job says.

    A job says so by ``--ntasks-per-node``; once is what torchrun needs, and what is done otherwise.
    """
    each = environ.get("SLURM_NTASKS_PER_NODE", "1")
    each = each if each.isdecimal() and int(each) > 0 else "1"
    options = [
        *("--export=ALL", "--input=none", "--overlap", "--kill-on-bad-exit=1"),
        *(f"--nodes={nodes}", f"--ntasks={nodes * int(each)}", f"--ntasks-per-node={each}"),
    ]
    if cpus := environ.get("SLURM_CPUS_PER_TASK"):
        options.append(f"--cpus-per-task={cpus}")  # srun takes it from the job no more since Slurm 22.05
    return ["srun", *options]


def meeting_point(addresses: list[str], run_id: str) -> dict[str, str]:
    """Return where the processes of a run meet: the first node, and a port that is free here.

    They are the variables of torch.distributed and Lightning, and defaults of torchrun's options.
    """
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    return {
        "MASTER_ADDR": addresses[0],
        "MASTER_PORT": str(port),
        "PET_NNODES": str(len(addresses)),
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{addresses[0]}:{port}",
        "PET_RDZV_ID": run_id,
    }


class NodeEnds:
    """Takes in how the command ended on each node: a handler of the channel.

    Attributes:
        failed: Called at the first exit code that is not 0.
        code: That exit code; 0 before.
    """

    def __init__(self) -> None:
        self.failed: Callable[[], None] = lambda: None
        self.code = 0
        self._lock = threading.Lock()

    def start(self, message: StartRequest) -> StartReply:
        """Do nothing of use."""
        del message
        return StartReply()

    def log(self, message: LogRequest) -> LogReply:
        """Do nothing of use."""
        del message
        return LogReply()

    def finish(self, message: FinishRequest) -> None:
        """Keep the first exit code that is not 0."""
        code = dict(message).get("exit_code")
        with self._lock:
            first = isinstance(code, int) and code != 0 and self.code == 0
            if first and isinstance(code, int):
                self.code = code
        if first:
            self.failed()


class NodesProcess(RunProcess):
    """``srun``, and by it the processes of a run on all nodes.

    Args:
        command, environment, output, emit: See :class:`RunProcess`.
        release: Lets the programs on the nodes end their commands.
        ends: Gets the exit codes.
        step: The name of the step of the Slurm job.
    """

    def __init__(
        self,
        command: list[str],
        environment: Variables,
        output: Path,
        emit: Emit,
        release: Callable[[], None],
        ends: NodeEnds,
        step: str,
    ) -> None:
        self._release = release
        self._step = step
        self._ends = ends
        self._start = output.stat().st_size if output.exists() else 0  # of this attempt
        super().__init__(command, environment, output, emit)
        ends.failed = partial(self.terminate, _FAILED_SECONDS)  # the other nodes would wait for the one that failed
        if ends.code:
            ends.failed()

    def wait(self) -> ExitStatus:
        """Wait for the end on all nodes; the exit code is that of the first node that failed.

        A node that could not start the command counts first: Slurm ends the others after it.
        """
        status = super().wait()
        if status.exit_code and self._ends.code in (0, node.PREEMPTED) and (why := self._not_started()):
            return ExitStatus(node.UNREACHABLE, why)
        if self._ends.code:
            return ExitStatus(self._ends.code, status.last_line or last_line(self._output))
        return status

    def _not_started(self) -> str:
        """Return what a node has printed that could not start the command; empty if none has."""
        with self._output.open("rb") as file:
            file.seek(self._start)
            lines = file.read(_HEAD_BYTES).decode(errors="replace").splitlines()
        return next((line for line in lines if line.startswith(node.UNREACHABLE_WORDS)), "")

    def signal(self, number: int) -> None:
        """Send a signal to the processes on all nodes; by ``srun``, which would kill them on SIGHUP: by ``scancel``."""
        if number == signal.SIGHUP:
            with suppress(CommandError):  # the agent goes on without Slurm's answer, as it does without the database's
                signal_step(self._step, "HUP")
        else:
            super().signal(number)

    def kill(self) -> None:
        """Let Slurm kill the processes on all nodes; ``srun`` itself is killed if it does not end either."""
        self._release()
        with self._lock:
            if self._gone:
                return
            self._all.signal(signal.SIGTERM)
            self._killer = threading.Timer(_KILL_SECONDS, super().kill)
            self._killer.name = "lightsweep-killer"
            self._killer.daemon = True
            self._killer.start()

    def _ask(self) -> None:
        self._release()
