"""The sizes of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["CROWDS", "FULL", "SMALL", "WHOLE", "Crowd", "Scale"]


@dataclass(frozen=True)
class Crowd:
    """Agents whose runs take time.

    Attributes:
        agents: How many agents.
        seconds: Of a run.
        runs: Of each agent.
        early: Whether runs are stopped early, so that each looks at all others at a band, just before its end.
        begin: Seconds within which the agents begin, as when a cluster starts them; with 0 all claim at once.
    """

    agents: int
    seconds: float
    runs: int
    early: bool = True
    begin: float = 0.0

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"{self.agents:,} agents, runs of {self.seconds:g} s{'' if self.early else ', none stopped early'}"


@dataclass(frozen=True)
class Scale:
    """Sizes of a benchmark run.

    Attributes:
        runs: Numbers of finished runs that the storage already holds.
        observations: Number of finished runs for ``bayes``.
        live_runs: How many more runs report, for each of ``runs``.
        repeats: How often a short thing is measured.
        seeds: How many searches each line of the quality table is the mean of.
        budget: Runs of one such search.
        agents: How many agents work on one sweep.
        compared: Runs of such a sweep, and of the study beside it.
        agent_runs: Runs that such a sweep grows to.
        crowds: Crowds of agents; one needs about a minute, or several with 1,000 agents.
    """

    runs: tuple[int, ...]
    observations: int
    live_runs: int
    repeats: int
    seeds: int
    budget: int
    agents: int
    compared: int
    agent_runs: int
    crowds: tuple[Crowd, ...] = ()


FULL = Scale(
    runs=(100, 1_000, 10_000),
    observations=1_000,
    live_runs=8,
    repeats=20,
    seeds=10,
    budget=40,
    agents=64,
    compared=1_000,
    agent_runs=1_000,
)
SMALL = Scale(
    runs=(20, 50),
    observations=30,
    live_runs=2,
    repeats=3,
    seeds=1,
    budget=12,
    agents=8,
    compared=60,
    agent_runs=60,
    crowds=(Crowd(6, 0.5, 3), Crowd(6, 0.5, 3, early=False)),
)
WHOLE = replace(FULL, agent_runs=10_000)
"""As :data:`FULL`, with the sweep of many agents grown as far as the others."""
CROWDS = replace(
    FULL,
    compared=0,
    crowds=(Crowd(256, 4.0, 4), Crowd(1_000, 120.0, 2, early=False, begin=120.0)),
)
"""For ``scale``: only agents whose runs take time, more of them than one machine has."""
