"""Run agents in the background of this machine."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import psutil

from lightsweep.agents.active_run import RUNS, make_directory
from lightsweep.agents.engines import AgentJob
from lightsweep.agents.reaper import MARK, variables_of

_JOB = "LIGHTSWEEP_AGENT_JOB"


class LocalEngine:
    """Starts agents that outlive this process and its terminal, and finds them by a variable in their environment.

    The output of each is in a file of the sweep's directory below ``lightsweep_runs``.

    Args:
        sweep_id: The sweep.
    """

    def __init__(self, sweep_id: str) -> None:
        self._sweep_id = sweep_id
        self._directory = RUNS.absolute() / sweep_id

    def submit(self, command: Sequence[str]) -> AgentJob:
        """Start an agent in a session of its own."""
        make_directory(self._directory)
        job = self._job(f"agent-{secrets.token_hex(3)}")
        with open(job.output, "ab") as output:  # noqa: PTH123
            subprocess.Popen(
                command,
                env={**os.environ, _JOB: f"{self._sweep_id}/{job.id}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return job

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
        return AgentJob(name, "running", str(self._directory / f"{name}.log"))

    def _processes(self) -> Iterator[tuple[str, Any]]:
        for process in psutil.process_iter():
            environment = variables_of(process)
            sweep_id, _, name = environment.get(_JOB, "").partition("/")
            if sweep_id == self._sweep_id and MARK not in environment:  # the processes of its runs have the mark
                yield name, process
