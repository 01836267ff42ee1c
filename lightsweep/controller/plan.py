"""What a sweep is to do: its config, and those that it had before it was updated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lightsweep.controller.stage_history import ActiveStage, StageHistory
from lightsweep.sampler import ExtendedGrid, Observation, Searcher, make_searcher, make_stage_searcher, taken_before
from lightsweep.schema import SweepConfig
from lightsweep.space import Value

__all__ = ["Plan", "StagedSearcher"]


class StagedSearcher:
    """Proposes for the tickets of every stage that has begun.

    Args:
        config: The sweep's config.
        seed: Of the sweep.
        course: Which stage each ticket belongs to.
    """

    def __init__(self, config: SweepConfig, seed: int, course: StageHistory) -> None:
        self._config = config
        self._seed = seed
        self._course = course
        self._proposers: dict[int, Searcher] = {}

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """All parameters of the run for ``ticket``; ``None`` where the points of its stage are exhausted."""
        opened = self._course.of(ticket)
        searcher = self._proposers.get(opened.start)
        if searcher is None:
            searcher = self._proposers[opened.start] = self._make(opened, known)
        return searcher.suggest(ticket - opened.start, [_within(each, opened) for each in known])

    def _make(self, opened: ActiveStage, known: Sequence[Observation]) -> Searcher:
        values = {each.key: each.values for each in known if each.ticket is not None and each.ticket < opened.start}
        fixed = opened.stage.fixed(values[opened.base] if opened.base is not None else None)
        taken = taken_before(opened.stage, fixed, values.values())
        return make_stage_searcher(self._config, opened.stage, self._seed, fixed, taken)


def _within(observation: Observation, opened: ActiveStage) -> Observation:
    """The observation with its ticket counted from the first one of the stage; without one if it is of another."""
    ticket = observation.ticket
    return observation if ticket is None else replace(observation, ticket=_local(ticket, opened))


def _local(ticket: int, opened: ActiveStage) -> int | None:
    return ticket - opened.start if ticket >= opened.start and (opened.end is None or ticket < opened.end) else None


class Plan:
    """The config of a sweep, how many fresh runs it can have, and where their parameters come from.

    Args:
        config: The config that the sweep was created from.
        seed: What its proposals follow from.

    Attributes:
        course: Which stage each ticket belongs to; ``None`` for a sweep without stages, which cannot get any later.
    """

    def __init__(self, config: SweepConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.revision = 0
        self.course = StageHistory(config.stages, config.run_cap) if config.stages else None
        self._grid: ExtendedGrid | None = None

    def update(self, config: SweepConfig, tickets: int) -> None:
        """Go on with another config; ``tickets`` were given out under the one before."""
        if config.method == "grid":
            size = self._size()
            before = self._grid or make_searcher(self.config, self.seed)
            self._grid = ExtendedGrid(before, tickets if size is None else min(tickets, size), config.space)
        self.config = config
        self.revision += 1

    def searcher(self) -> Searcher:
        """Where the parameters of fresh runs come from.

        Raises:
            InputError: The sampler cannot be made.
        """
        if self.course is not None:
            return StagedSearcher(self.config, self.seed, self.course)
        return self._grid or make_searcher(self.config, self.seed)

    def limit(self) -> tuple[int | None, str]:
        """How many fresh runs the sweep can have, and what limits it; ``(None, "")`` where nothing does.

        With stages it may be fewer, see :func:`lightsweep.controller.stages.next_step`.
        """
        if self.course is not None:
            return self.course.most, f"{len(self.course.stages)} stages"
        cap, size = self.config.run_cap, self._size()
        if cap is not None and (size is None or cap <= size):
            return cap, f"run_cap {cap}"
        if size is None:
            return None, ""
        what = "grid" if self.config.method == "grid" else "space"
        return size, f"all {size} points of the {what}" if size != 1 else f"the one point of the {what}"

    def _size(self) -> int | None:
        if self._grid is not None:
            return self._grid.size
        return None if self.config.defined_by_run else self.config.space.size
