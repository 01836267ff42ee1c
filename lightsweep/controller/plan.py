"""What a sweep is to do: its config, and those that it had before it was updated."""

from __future__ import annotations

from lightsweep.controller.course import Course
from lightsweep.controller.staged import StagedProposer
from lightsweep.controller.views import by_run
from lightsweep.sampler import ExtendedGrid, Proposer, make_proposer
from lightsweep.schema import SweepConfig

__all__ = ["Plan"]


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
        self.course = Course(config.stages, config.run_cap) if config.stages else None
        self._grid: ExtendedGrid | None = None

    def update(self, config: SweepConfig, tickets: int) -> None:
        """Go on with another config; ``tickets`` were given out under the one before."""
        if config.method == "grid":
            size = self._size()
            before = self._grid or make_proposer(self.config, self.seed)
            self._grid = ExtendedGrid(before, tickets if size is None else min(tickets, size), config.space)
        self.config = config
        self.revision += 1

    def proposer(self) -> Proposer:
        """Where the parameters of fresh runs come from.

        Raises:
            InputError: The sampler cannot be made.
        """
        if self.course is not None:
            return StagedProposer(self.config, self.seed, self.course)
        return self._grid or make_proposer(self.config, self.seed)

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
        return None if by_run(self.config) else self.config.space.size
