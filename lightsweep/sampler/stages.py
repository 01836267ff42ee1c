"""The proposals of one stage: its own proposer over what it searches, with the other parameters as they are fixed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lightsweep.space import identity

if TYPE_CHECKING:
    from collections.abc import Hashable

    from lightsweep.sampler.base import Observation, Searcher
    from lightsweep.schema import Stage
    from lightsweep.space import Space, Value

__all__ = ["StageSearcher", "taken_before"]


class StageSearcher:
    """Tickets of one stage, counted from 0, each point at most once.

    Runs that differ from those of the stage in nothing but what it searches are as good as its own, whatever stage they
    were of: bayes learns from them.

    Args:
        space: All parameters of the sweep.
        stage: The stage.
        inner: Proposes what it searches.
        fixed: The values of the parameters that it does not search.
        taken: Indices of its points that runs before it had, see :func:`taken_before`.
    """

    def __init__(
        self,
        space: Space,
        stage: Stage,
        inner: Searcher,
        fixed: Mapping[str, Value],
        taken: Collection[int] = (),
    ) -> None:
        self._space = space
        self._stage = stage
        self._inner = inner
        self._fixed = fixed
        self._point = _identities(fixed)
        self._taken = frozenset(taken)
        self._alike: dict[str, bool] = {}
        self._asked = 0
        self._free: list[dict[str, Value]] = []

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """All parameters of the run for a ticket of the stage; ``None`` when its points are exhausted.

        Args:
            ticket: Counted from the first one of the stage.
            known: The runs of the sweep; those that are not of the stage have no ticket.
        """
        if self._taken and self._stage.method != "bayes":  # which keeps away from the points of all that it is told of
            found = self._next_free(ticket)
        else:
            found = self._inner.suggest(ticket, [each for each in known if self._is_alike(each)])
        if found is None:
            return None
        values = {**self._fixed, **found}
        return {parameter.name: values[parameter.name] for parameter in self._space.parameters}

    def _is_alike(self, observation: Observation) -> bool:
        known = self._alike.get(observation.key)
        if known is None:
            known = self._alike[observation.key] = _has(observation.values, self._point)
        return known

    def _next_free(self, ticket: int) -> dict[str, Value] | None:
        """The ``ticket``-th of the points that no run before the stage had."""
        while len(self._free) <= ticket:
            values = self._inner.suggest(self._asked, ())
            if values is None:
                return None
            self._asked += 1
            if self._stage.space.index(values) not in self._taken:
                self._free.append(values)
        return self._free[ticket]


def taken_before(stage: Stage, fixed: Mapping[str, Value], runs: Iterable[Mapping[str, Value]]) -> set[int]:
    """Indices of the points of a stage that runs before it had; none where its points are endless.

    Args:
        stage: The stage.
        fixed: The values of the parameters that it does not search.
        runs: The parameters of the runs before it.
    """
    if stage.space.size is None:
        return set()
    point = _identities(fixed)
    return {
        stage.space.index({name: values[name] for name in stage.searched}) for values in runs if _has(values, point)
    }


def _identities(values: Mapping[str, Value]) -> dict[str, Hashable]:
    return {name: identity(value) for name, value in values.items()}


def _has(values: Mapping[str, Value], point: Mapping[str, Hashable]) -> bool:
    return all(name in values and identity(values[name]) == one for name, one in point.items())
