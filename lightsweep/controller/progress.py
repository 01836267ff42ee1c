"""Whether a sweep goes on, and if not, why: decided from what is known, without acting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lightsweep.controller.runs import RunEntry
from lightsweep.controller.views import by_run
from lightsweep.schema import SweepConfig

__all__ = ["SweepState", "state_of", "ticket_limit", "wants_retry"]


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


def ticket_limit(config: SweepConfig) -> tuple[int | None, str]:
    """How many fresh runs the sweep can have, and what limits it; ``(None, "")`` where nothing does."""
    size = None if by_run(config) else config.space.size
    if config.run_cap is not None and (size is None or config.run_cap <= size):
        return config.run_cap, f"run_cap {config.run_cap}"
    if size is not None:
        what = "grid" if config.method == "grid" else "space"
        return size, f"all {size} points of the {what}" if size != 1 else f"the one point of the {what}"
    return None, ""


def wants_retry(entry: RunEntry, config: SweepConfig) -> bool:
    """Whether the run waits for an agent to start it again."""
    limit, _ = ticket_limit(config)
    if entry.running or not entry.within(limit):
        return False
    if entry.waiting:
        return entry.attempt <= config.options.max_preemptions
    return entry.state == "failed" and entry.attempt <= config.options.max_retries


def state_of(
    asked: str, config: SweepConfig, entries: Iterable[RunEntry], tickets: int, best: float | None
) -> SweepState:
    """The state of a sweep.

    Args:
        asked: What the user asked for last: ``running``, ``paused``, ``stopped`` or ``cancelled``.
        config: The sweep's config.
        entries: Its runs, or those of them that are running or wait to be started again.
        tickets: How many tickets were given out.
        best: The best value that any run reported.
    """
    if asked == "cancelled":
        return SweepState("cancelled")
    target = config.metric.target if config.metric else None
    if target is not None and best is not None and config.metric is not None:
        reached = best <= target if config.metric.goal == "minimize" else best >= target
        if reached:
            return SweepState("finished", f"target {target:g} of {config.metric.name} reached")
    limit, why = ticket_limit(config)
    if limit is None or tickets < limit:
        return SweepState(asked)
    pending = any(entry.running or wants_retry(entry, config) for entry in entries if entry.within(limit))
    return SweepState(asked) if pending else SweepState("finished", why)
