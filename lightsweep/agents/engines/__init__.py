"""Run agents as jobs: of a cluster, or in the background of this machine.

An engine is one file: a subclass of `Engine`, found by its name in the group ``lightsweep.engines`` of the entry points
of installed packages. It places agents; when and where they run is the decision of the cluster.
"""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import ClassVar, NoReturn

from lightsweep.errors import UsageError, closest
from lightsweep.storage.url import FILE_VARIABLE

__all__ = ["AgentJob", "Engine", "EngineOptions", "JobState", "Launch", "LostAnswerError", "make_engine"]

_GROUP = "lightsweep.engines"
_OWN = {
    "local": "lightsweep.agents.engines.local:LocalEngine",
    "kubernetes": "lightsweep.agents.engines.kubernetes:KubernetesEngine",
    "ray": "lightsweep.agents.engines.ray:RayEngine",
    "slurm": "lightsweep.agents.engines.slurm:SlurmEngine",
}


class JobState(str, Enum):
    """The state of an agent's job; an engine translates its own words into these."""

    QUEUED = "queued"
    RUNNING = "running"
    PREEMPTED = "preempted"
    """Taken away by the cluster, which will start it again."""
    ENDING = "ending"
    FAILED = "failed"
    """Given up by the cluster, which still lists it; it works no more."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class AgentJob:
    """An agent as a job that runs, waits to run, or has failed.

    Attributes:
        id: The id of the job, as the engine names it, such as ``1234_0``.
        state: Its state.
        node: The host on which it runs; empty if it does not run or the engine does not tell.
        output: The file of its output, or the command that shows it; empty if unknown.
        reason: Why it waits or has failed, in the words of the engine; empty if unknown.
    """

    id: str
    state: JobState
    node: str = ""
    output: str = ""
    reason: str = ""

    def __str__(self) -> str:
        where = f" on {self.node}" if self.node else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"job {self.id} is {self.state}{where}{why}"


@dataclass(frozen=True)
class Launch:
    """Agents to submit: what they need of a cluster, apart from how a cluster is asked for it.

    Attributes:
        sweep_id: The sweep.
        agents: The number of agents.
        directory: The working directory of the agents, on a file system that their hosts share.
        jobs_per_agent: Runs at the same time in an agent.
        gpus_per_run: GPUs of each run; a fraction only where the engine can share a GPU.
        cpus_per_run: CPU cores of each run; ``None`` leaves it to the engine.
        nodes_per_run: Nodes of each run; an agent of more than one has one run at a time.
        drain: Seconds before the end of a job in which its agent begins no run.
        agent_options: More options of ``lightsweep agent``.
        options: The engine's own options, as the user wrote them.
        variables: Variables for the agents' environment; none is secret.
        storage_file: A file of mode 0600 with the storage's URL, which agents find by ``LIGHTSWEEP_STORAGE_FILE``;
            ``None`` if the URL has no password, and then it is ``LIGHTSWEEP_STORAGE`` in ``variables``.
    """

    sweep_id: str
    agents: int
    directory: Path
    jobs_per_agent: int = 1
    gpus_per_run: float = 0
    cpus_per_run: float | None = None
    nodes_per_run: int = 1
    drain: float = 0.0
    agent_options: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    storage_file: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that an agent gets beside those of its job; none is secret."""
        file = {FILE_VARIABLE: str(self.storage_file)} if self.storage_file else {}
        return {**self.variables, **file}

    def command(self, python: str = sys.executable) -> list[str]:
        """Return the command of one agent; several runs with whole GPUs divide those that its job is given.

        Args:
            python: The interpreter on the hosts of the agents.
        """
        jobs = ["--jobs", str(self.jobs_per_agent)] if self.jobs_per_agent > 1 else []
        if self.gpus_per_run >= 1 and self.jobs_per_agent > 1:  # the GPUs then say how many runs there are at once
            jobs = ["--gpus", "all", "--gpus-per-run", f"{self.gpus_per_run:g}"]
        nodes = ["--nodes-per-run", str(self.nodes_per_run)] if self.nodes_per_run > 1 else []
        drain = ["--drain", f"{self.drain:g}s"] if self.drain else []
        return [python, "-m", "lightsweep", "agent", self.sweep_id, *jobs, *nodes, *drain, *self.agent_options]


class LostAnswerError(UsageError):
    """The answer to a submission was lost, so agents may have been submitted or not."""


class Engine(ABC):
    """Submits, lists and stops the agents of one sweep.

    Args:
        sweep_id: The sweep.
        options: The engine's own options of a launch, which may say where the cluster is.
    """

    cannot: ClassVar[Mapping[str, str]] = {}
    """Fields of a `Launch` that the engine cannot do, each with the message of the refusal."""

    runs_storage: ClassVar[bool] = False
    """Whether it can run the server of a storage as a job of its own, by the three methods at the end."""

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        self.sweep_id = sweep_id
        self.options = tuple(options)

    @abstractmethod
    def plan(self, launch: Launch) -> str:
        """Return exactly what :meth:`submit` would submit, as text to read or to submit by hand; submits nothing.

        Raises:
            UsageError: The engine cannot do what is asked, such as a fraction of a GPU.
        """

    @abstractmethod
    def submit(self, launch: Launch) -> list[str]:
        """Submit the agents, and return the ids of their jobs.

        Raises:
            LostAnswerError: It is not known whether they were submitted.
            UsageError: They were not submitted.
        """

    @abstractmethod
    def jobs(self) -> list[AgentJob]:
        """Return the agents of the sweep that run or wait to run, and those that have failed if they are still listed.

        Raises:
            UsageError: The engine cannot be asked from this machine; the message says what is missing.
        """

    @abstractmethod
    def stop(self, job: str) -> None:
        """Tell an agent to end by SIGTERM, so that it gives its runs back; does nothing if it has ended.

        An engine may end all agents of the launch with it, since ``launch --stop`` ends all of them.
        """

    def on_one_host(self) -> bool:
        """Return whether all agents run on this host, so that they may share an SQLite file."""
        return False

    def plan_storage(self, directory: Path, command: Sequence[str]) -> str:
        """Return exactly what :meth:`submit_storage` would submit.

        Args:
            directory: Where the server has its files, on a file system that all hosts share.
            command: Starts the server.
        """
        raise NotImplementedError

    def submit_storage(self, directory: Path, command: Sequence[str]) -> str:
        """Submit the job, and return its id; its output goes to ``job-ID.out`` in ``directory``."""
        raise NotImplementedError

    def storage_job(self, directory: Path) -> AgentJob | None:
        """Return the job whose server has its files in ``directory``; ``None`` if there is none."""
        raise NotImplementedError


class EngineOptions(argparse.ArgumentParser):
    """Parses an engine's own options.

    Args:
        engine: The name of the engine, for messages.
    """

    def __init__(self, engine: str) -> None:
        super().__init__(engine, add_help=False, allow_abbrev=False)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the options that ``words`` give. Raises ``UsageError`` if one is unknown or has a wrong value."""
        found, more = self.parse_known_args(list(words))
        if more:
            known = [action.option_strings[0] for action in self._actions]
            hint = closest(more[0].partition("=")[0], known)
            self.error(f"{more[0]!r} is unknown{hint}\nthere are {', '.join(known)}")
        return found

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"options of the engine {self.prog!r}: {message.removeprefix('argument ')}")


def make_engine(name: str, sweep_id: str, options: Sequence[str] = ()) -> Engine:
    """Return the engine of this name for a sweep.

    Args:
        name: The name.
        sweep_id: The sweep.
        options: The engine's own options of a launch, which may say where the cluster is.

    Raises:
        UsageError: No engine has this name, or an option is wrong.
    """
    others = entry_points(group=_GROUP)
    found = EntryPoint(name, _OWN[name], _GROUP) if name in _OWN else next(iter(others.select(name=name)), None)
    if found is None:
        names = [*_OWN, *sorted(others.names)]
        raise UsageError(f"no engine {name!r}{closest(name, names) or '.'} There are: {', '.join(names)}")
    make: Callable[[str, Sequence[str]], Engine] = found.load()
    return make(sweep_id, options)
