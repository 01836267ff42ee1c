"""What the sampler is told of the runs so far."""

from __future__ import annotations

from collections.abc import Iterable

from lightsweep.controller.outcome import objectives
from lightsweep.controller.runs import RunEntry
from lightsweep.controller.views import by_run, values_of
from lightsweep.sampler import Observation
from lightsweep.schema import SweepConfig

__all__ = ["Observations", "learns"]


def learns(config: SweepConfig) -> bool:
    """Whether proposals, of one stage at least, follow from what other runs found."""
    scheduled = config.scheduler is not None and config.scheduler.optimizer is not None
    methods: set[str] = {stage.method for stage in config.stages} or {config.method}
    return scheduled or by_run(config) or not methods <= {"grid", "random"}


class Observations:
    """Observations made from runs, each kept until its run changes.

    Args:
        config: The sweep's config.

    Attributes:
        needed: Whether proposals depend on other runs; where they follow from the ticket alone nothing is made.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        # A grid or random stage learns nothing, but which of its points ran before decides what is left of it.
        self.needed = learns(config) or bool(config.stages)
        self._made: dict[str, tuple[int, Observation]] = {}

    def of(self, entries: Iterable[RunEntry]) -> list[Observation]:
        """One observation for each run whose parameters are known, in the order of ``entries``."""
        if not self.needed:
            return []
        found = []
        for entry in entries:
            kept = self._made.get(entry.id)
            if kept is None or kept[0] != entry.version:
                made = self._make(entry)
                if made is None:
                    continue
                kept = self._made[entry.id] = (entry.version, made)
            found.append(kept[1])
        return found

    def _make(self, entry: RunEntry) -> Observation | None:
        values = values_of(entry, self._config)
        if values is None:
            return None
        scores = objectives(self._config.metrics, entry.history, entry.summary.get("metrics", {}))
        return Observation(
            key=entry.id,
            ticket=entry.ticket,
            values=values,
            state=entry.state,
            objectives=None if scores is None else tuple(scores),
            version=entry.version,
        )
