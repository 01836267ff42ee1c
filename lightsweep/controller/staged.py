"""Where the parameters of a sweep with stages come from: the proposer of the stage that a ticket belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lightsweep.controller.course import Course, Opened
from lightsweep.sampler import Observation, Proposer, make_stage_proposer, taken_before
from lightsweep.schema import SweepConfig
from lightsweep.space import Value

__all__ = ["StagedProposer"]


class StagedProposer:
    """Proposes for the tickets of every stage that has begun.

    Args:
        config: The sweep's config.
        seed: Of the sweep.
        course: Which stage each ticket belongs to.
    """

    def __init__(self, config: SweepConfig, seed: int, course: Course) -> None:
        self._config = config
        self._seed = seed
        self._course = course
        self._proposers: dict[int, Proposer] = {}

    def propose(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """All parameters of the run for ``ticket``; ``None`` where the points of its stage are exhausted."""
        opened = self._course.of(ticket)
        proposer = self._proposers.get(opened.start)
        if proposer is None:
            proposer = self._proposers[opened.start] = self._make(opened, known)
        return proposer.propose(ticket - opened.start, [_within(each, opened) for each in known])

    def _make(self, opened: Opened, known: Sequence[Observation]) -> Proposer:
        values = {each.key: each.values for each in known if each.ticket is not None and each.ticket < opened.start}
        fixed = opened.stage.fixed(values[opened.base] if opened.base is not None else None)
        taken = taken_before(opened.stage, fixed, values.values())
        return make_stage_proposer(self._config, opened.stage, self._seed, fixed, taken)


def _within(observation: Observation, opened: Opened) -> Observation:
    """The observation with its ticket counted from the first one of the stage; without one if it is of another."""
    ticket = observation.ticket
    return observation if ticket is None else replace(observation, ticket=_local(ticket, opened))


def _local(ticket: int, opened: Opened) -> int | None:
    return ticket - opened.start if ticket >= opened.start and (opened.end is None or ticket < opened.end) else None
