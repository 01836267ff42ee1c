"""Run agents in the background of this machine."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil

from lightsweep.agents.active_run import RUNS, make_directory
from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch
from lightsweep.agents.reaper import MARK, variables_of
from lightsweep.storage.url import VARIABLES

_JOB = "LIGHTSWEEP_AGENT_JOB"


def _refusal(option: str) -> str:
    return (
        f"--on local takes no {option}: it starts agents as plain processes\n"
        "options of the agents follow --agent-options, such as '--gpus all'"
    )


class LocalEngine(Engine):
    """Starts agents that outlive this process and its terminal, and finds them by a variable in their environment.

    The output of each is in a file of the sweep's directory below ``lightsweep_runs``.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        "gpus_per_run": _refusal("--gpus-per-run"),
        "cpus_per_run": _refusal("--cpus-per-run"),
        "nodes_per_run": _refusal("--nodes-per-run"),
        "drain": _refusal("--drain"),
        "options": _refusal("options after --"),
    }

    def plan(self, launch: Launch) -> str:
        """Return the command of each agent."""
        return "\n".join([shlex.join(launch.command())] * launch.agents)

    def submit(self, launch: Launch) -> list[str]:
        """Start each agent in a session of its own."""
        make_directory(self._directory)
        names = [f"agent-{secrets.token_hex(3)}" for _ in range(launch.agents)]
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        for name in names:
            with open(self._job(name).output, "ab") as output:  # noqa: PTH123
                subprocess.Popen(
                    launch.command(),
                    cwd=launch.directory,
                    env={**inherited, **launch.environment(), _JOB: f"{self.sweep_id}/{name}"},
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

    @property
    def _directory(self) -> Path:
        return RUNS.absolute() / self.sweep_id

    def _job(self, name: str) -> AgentJob:
        return AgentJob(name, JobState.RUNNING, output=str(self._directory / f"{name}.log"))

    def _processes(self) -> Iterator[tuple[str, Any]]:
        for process in psutil.process_iter():
            environment = variables_of(process)
            sweep_id, _, name = environment.get(_JOB, "").partition("/")
            if sweep_id == self.sweep_id and MARK not in environment:  # the processes of its runs have the mark
                yield name, process
