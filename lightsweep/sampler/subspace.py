"""Search a part of the parameters while the others are fixed, and leave out points that earlier runs had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lightsweep.space import identity

if TYPE_CHECKING:
    from collections.abc import Hashable

    from lightsweep.sampler.base import Observation, Searcher
    from lightsweep.space import Space, Value

__all__ = ["SubspaceSearcher", "taken_before"]


class SubspaceSearcher:
    """Suggest each point of a subspace at most once, for tickets counted from 0.

    Runs with the same fixed values are as good as its own, so bayes learns from them.

    Args:
        space: All parameters of the sweep.
        subspace: Those that are searched.
        inner: Suggests their values.
        fixed: The values of the others.
        taken: Indices of the points to leave out, see :func:`taken_before`; empty for a searcher such as bayes, which
            leaves out the points of all runs that it learns from.
    """

    def __init__(
        self,
        space: Space,
        subspace: Space,
        inner: Searcher,
        fixed: Mapping[str, Value],
        taken: Collection[int] = (),
    ) -> None:
        self._space = space
        self._subspace = subspace
        self._inner = inner
        self._fixed = fixed
        self._point = _identities(fixed)
        self._taken = frozenset(taken)
        self._alike: dict[str, bool] = {}
        self._asked = 0
        self._free: list[dict[str, Value]] = []

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """Return all parameters of the run for ``ticket``; ``None`` if no point is left.

        Args:
            ticket: Counted from the first one of the subspace.
            known: The runs of the sweep; those of other parts have no ticket.
        """
        if self._taken:
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
        """Return the ``ticket``-th of the points that no earlier run had."""
        while len(self._free) <= ticket:
            values = self._inner.suggest(self._asked, ())
            if values is None:
                return None
            self._asked += 1
            if self._subspace.index(values) not in self._taken:
                self._free.append(values)
        return self._free[ticket]


def taken_before(subspace: Space, fixed: Mapping[str, Value], runs: Iterable[Mapping[str, Value]]) -> set[int]:
    """Return the indices of the points of a subspace that runs had; none if the subspace is not finite.

    Args:
        subspace: The parameters that are searched.
        fixed: The values of the others.
        runs: The parameters of the runs.
    """
    if subspace.size is None:
        return set()
    point = _identities(fixed)
    names = [parameter.name for parameter in subspace.parameters]
    return {subspace.index({name: values[name] for name in names}) for values in runs if _has(values, point)}


def _identities(values: Mapping[str, Value]) -> dict[str, Hashable]:
    return {name: identity(value) for name, value in values.items()}


def _has(values: Mapping[str, Value], point: Mapping[str, Hashable]) -> bool:
    return all(name in values and identity(values[name]) == one for name, one in point.items())
