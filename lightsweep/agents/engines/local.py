"""Run agents in the background of this machine."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import psutil

from lightsweep.agents.active_run import RUNS, make_directory
from lightsweep.agents.engines import AgentJob, JobState, Launch
from lightsweep.agents.reaper import MARK, variables_of
from lightsweep.errors import UsageError
from lightsweep.storage.url import VARIABLES

_JOB = "LIGHTSWEEP_AGENT_JOB"


class LocalEngine:
    """Starts agents that outlive this process and its terminal, and finds them by a variable in their environment.

    The output of each is in a file of the sweep's directory below ``lightsweep_runs``.

    Args:
        sweep_id: The sweep.
        options: Not used: a launch with options is refused.
    """

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        del options
        self._sweep_id = sweep_id
        self._directory = RUNS.absolute() / sweep_id

    def plan(self, launch: Launch) -> str:
        """Return the command of each agent. Raises ``UsageError`` for what only a cluster can do."""
        for asked, option in [
            (launch.gpus_per_run, "--gpus-per-run"),
            (launch.cpus_per_run, "--cpus-per-run"),
            (launch.nodes_per_run > 1, "--nodes-per-run"),
            (launch.drain, "--drain"),
            (launch.options, "options after --"),
        ]:
            if asked:
                raise UsageError(
                    f"--on local takes no {option}: it starts agents as plain processes\n"
                    "options of the agents follow --agent-options, such as '--gpus all'"
                )
        return "\n".join([shlex.join(launch.command())] * launch.agents)

    def submit(self, launch: Launch) -> list[str]:
        """Start each agent in a session of its own."""
        self.plan(launch)
        make_directory(self._directory)
        names = [f"agent-{secrets.token_hex(3)}" for _ in range(launch.agents)]
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        for name in names:
            with open(self._job(name).output, "ab") as output:  # noqa: PTH123
                subprocess.Popen(
                    launch.command(),
                    cwd=launch.directory,
                    env={**inherited, **launch.environment(), _JOB: f"{self._sweep_id}/{name}"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        return names

    def on_one_host(self) -> bool:
        """Return true: the agents run here."""
        return True

    def jobs(self) -> list[AgentJob]:
        """Return the agents that run on this machine."""
        return [self._job(name) for name, _ in self._processes()]

    def stop(self, job: str) -> None:
        """Send SIGTERM to an agent."""
        for name, process in self._processes():
            if name == job:
                with suppress(psutil.Error):  # it has ended since
                    psutil.Process(process.pid).terminate()

    def _job(self, name: str) -> AgentJob:
        return AgentJob(name, JobState.RUNNING, output=str(self._directory / f"{name}.log"))

    def _processes(self) -> Iterator[tuple[str, Any]]:
        for process in psutil.process_iter():
            environment = variables_of(process)
            sweep_id, _, name = environment.get(_JOB, "").partition("/")
            if sweep_id == self._sweep_id and MARK not in environment:  # the processes of its runs have the mark
                yield name, process
