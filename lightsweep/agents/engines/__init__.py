"""Run agents as jobs: of a cluster, or in the background of this machine.

An engine is one file: a class that follows the protocol `Engine`, found by its name in the group ``lightsweep.engines``
of the entry points of installed packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from lightsweep.errors import UsageError, closest

__all__ = ["AgentJob", "Engine", "make_engine"]

_GROUP = "lightsweep.engines"
_OWN = {"local": "lightsweep.agents.engines.local:LocalEngine"}


@dataclass(frozen=True)
class AgentJob:
    """An agent as a job.

    Attributes:
        id: The id of the job, as the engine names it.
        state: The state in the words of the engine, such as ``running`` or ``pending``.
        output: Where its output goes; empty if unknown.
    """

    id: str
    state: str
    output: str = ""


class Engine(Protocol):
    """Submits, lists and stops the agents of one sweep; made with the sweep's id."""

    def submit(self, command: Sequence[str]) -> AgentJob:
        """Start an agent by its command, in this working directory and with the variables of this process."""

    def jobs(self) -> list[AgentJob]:
        """Return the agents that run or wait to run."""

    def stop(self, job: str) -> None:
        """Tell an agent to end by SIGTERM, so that it gives its runs back; does nothing if it has ended."""


def make_engine(name: str, sweep_id: str) -> Engine:
    """Return the engine of this name for a sweep. Raises ``UsageError`` if there is none."""
    others = entry_points(group=_GROUP)
    found = EntryPoint(name, _OWN[name], _GROUP) if name in _OWN else next(iter(others.select(name=name)), None)
    if found is None:
        names = [*_OWN, *sorted(others.names)]
        raise UsageError(f"no engine {name!r}{closest(name, names)}; there are: {', '.join(names)}")
    make: Callable[[str], Engine] = found.load()
    return make(sweep_id)
