"""Whether a sweep goes on, and if not, why: decided from what is known, without acting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lightsweep.controller.runs import RunEntry
from lightsweep.schema import SweepConfig

__all__ = ["SweepState", "state_of", "target_reached", "wants_retry"]


@dataclass(frozen=True)
class SweepState:
    """Where a sweep stands.

    Attributes:
        name: ``running``, ``paused``, ``stopped``, ``cancelled`` or ``finished``.
        reason: Of a finished sweep what finished it, ``run_cap``, ``grid``, ``space`` or ``target``, in words.
    """

    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


def wants_retry(entry: RunEntry, config: SweepConfig) -> bool:
    """Whether the run waits for an agent to start it again."""
    if entry.running:
        return False
    if entry.waiting:
        return entry.asked or entry.starts <= config.options.max_preemptions
    return entry.state == "failed" and entry.starts <= config.options.max_retries


def target_reached(config: SweepConfig, best: float | None) -> bool:
    """Whether the best value that any run reported ends the sweep."""
    metric = config.metric
    if metric is None or metric.target is None or best is None:
        return False
    return best <= metric.target if metric.goal == "minimize" else best >= metric.target


def state_of(
    asked: str,
    config: SweepConfig,
    entries: Iterable[RunEntry],
    tickets: int,
    best: float | None,
    limit: tuple[int | None, str],
) -> SweepState:
    """The state of a sweep.

    Args:
        asked: What the user asked for last: ``running``, ``paused``, ``stopped`` or ``cancelled``.
        config: The sweep's config.
        entries: Its runs, or those of them that are running or wait to be started again.
        tickets: How many tickets were given out.
        best: The best value that any run reported.
        limit: How many tickets count, and why.
    """
    if asked == "cancelled":
        return SweepState("cancelled")
    if config.metric is not None and target_reached(config, best):
        return SweepState("finished", f"target {config.metric.target:g} of {config.metric.name} reached")
    most, why = limit
    if most is None or tickets < most:
        return SweepState(asked)
    pending = any(entry.running or wants_retry(entry, config) for entry in entries)
    return SweepState(asked) if pending else SweepState("finished", why)
