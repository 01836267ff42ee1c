"""The stages of a sweep as they were opened, told by the sequence of its trials alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightsweep.schema import Stage
from lightsweep.schema.stages import least, most_runs

__all__ = ["ActiveStage", "StageHistory"]


@dataclass(frozen=True)
class ActiveStage:
    """A stage that has begun.

    Attributes:
        stage: The stage.
        start: Its first ticket.
        limit: How many tickets it has; ``None`` where nothing limits it.
        base: The run whose values it is fixed at; ``None`` for the first stage.
    """

    stage: Stage
    start: int
    limit: int | None
    base: str | None = None

    @property
    def end(self) -> int | None:
        """The first ticket behind it; ``None`` where there is none."""
        return None if self.limit is None else self.start + self.limit


class StageHistory:
    """Which stage each ticket belongs to.

    The first trial of a later stage says which stage that is, how many tickets it has and which run it goes on from. So
    these are fixed once and for all, whatever the user retries later, and every reader finds the same.

    Args:
        stages: Of the config.
        run_cap: Of the sweep.
    """

    def __init__(self, stages: Sequence[Stage], run_cap: int | None) -> None:
        self.stages = tuple(stages)
        self.run_cap = run_cap
        self.opened = [ActiveStage(stages[0], 0, least(stages[0].most, run_cap))]

    @property
    def current(self) -> ActiveStage:
        """The stage that was opened last."""
        return self.opened[-1]

    @property
    def later(self) -> tuple[Stage, ...]:
        """The stages that have not begun."""
        return self.stages[self.current.stage.number :]

    @property
    def most(self) -> int | None:
        """How many runs there can be in all, at most; ``None`` where nothing limits them."""
        rest = most_runs(self.later)
        return (
            self.run_cap if self.current.end is None or rest is None else least(self.run_cap, self.current.end + rest)
        )

    def is_full(self, tickets: int) -> bool:
        """Whether so many tickets leave none to the current stage."""
        end = self.current.end
        return end is not None and tickets >= end

    def take(self, attempt: Mapping[str, Any], ticket: int) -> None:
        """Take in the next fresh trial, by what it says of itself and its ticket."""
        if "stage" in attempt:
            stage = self.stages[attempt["stage"] - 1]
            self.opened.append(ActiveStage(stage, ticket, attempt["limit"], attempt["base"]))

    def of(self, ticket: int) -> ActiveStage:
        """The stage that a ticket belongs to."""
        return next(opened for opened in reversed(self.opened) if opened.start <= ticket)
