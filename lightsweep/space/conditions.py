"""Parameters that exist only if others have certain values, and the distinct points of such a space."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from lightsweep.space.base import Distribution, Value, identity

When = Mapping[str, Mapping[str, Sequence[Value]]]
"""For each conditional parameter its parents, each with the values that let it exist; all parents must have one."""


class Conditions:
    """The conditions between parameters.

    Two points that differ only in parameters that do not exist are one point. So points are counted and numbered along
    a tree: a parameter comes directly after the last of its parents, and it has no branches where it does not exist.

    Args:
        distributions: The distribution of each parameter of the space, sorted by name.
        when: The conditions, without cycles; every name is that of a parameter.

    Attributes:
        order: The names of the parameters, parents before their children.
    """

    def __init__(self, distributions: Mapping[str, Distribution], when: When) -> None:
        self._distributions = distributions
        self._when = {
            child: {parent: frozenset(map(identity, values)) for parent, values in parents.items()}
            for child, parents in when.items()
        }
        self._parents = {parent for parents in when.values() for parent in parents}
        self.order: list[str] = []
        for name in distributions:
            if name not in when:
                self._place(name)
        # At each place: the parents, placed before it, of parameters from there on.
        self._matter = [
            sorted({parent for name in self.order[place:] for parent in when.get(name, ())} & set(self.order[:place]))
            for place in range(len(self.order) + 1 if when else 0)
        ]
        self._counts: dict[Hashable, int] = {}

    def _place(self, name: str) -> None:
        """Put a parameter next, and after it the children that have all of their parents now."""
        self.order.append(name)
        for child, parents in sorted(self._when.items()) if name in self._parents else ():
            if name in parents and child not in self.order and parents.keys() <= set(self.order):
                self._place(child)

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether a parameter exists beside these values, of parameters that all exist."""
        return all(
            parent in values and identity(values[parent]) in allowed
            for parent, allowed in self._when.get(name, {}).items()
        )

    def size(self) -> int:
        """Return the number of distinct points; all distributions are finite."""
        return self._below(0, {})

    def point(self, index: int) -> dict[str, Value]:
        """Return the point with this number, below :meth:`size`."""
        found: dict[str, Value] = {}
        for place, name in self._existing(found):
            found[name], index = self._value(place, index, found)
        return found

    def _value(self, place: int, index: int, found: Mapping[str, Value]) -> tuple[Value, int]:
        """The value at ``place`` of the point ``index`` of those below, and the point's number below that value."""
        for value, count in self._branches(place, found):
            if index < count:
                return value, index
            index -= count
        below = self._below(place + 1, found)
        return self._distributions[self.order[place]].value_at(index // below), index % below

    def index(self, values: Mapping[str, Value], position: Callable[[str], int]) -> int:
        """Return the number of a point, the inverse of :meth:`point`.

        Args:
            values: The point; values of parameters that do not exist are ignored.
            position: Returns the position of a parameter's value in the point among all of its values.
        """
        index, found = 0, dict[str, Value]()
        for place, name in self._existing(found):
            at, branches = position(name), list(self._branches(place, found))
            index += sum(count for _, count in branches[:at]) if branches else at * self._below(place + 1, found)
            found[name] = values[name]
        return index

    def _existing(self, found: Mapping[str, Value]) -> Iterator[tuple[int, str]]:
        """Each parameter that exists beside those found so far, with its place; the caller adds to ``found``."""
        for place, name in enumerate(self.order):
            if self.exists(name, found):
                yield place, name

    def _branches(self, place: int, found: Mapping[str, Value]) -> Iterator[tuple[Value, int]]:
        """The values of a parent, each with the number of points below it; none of another parameter."""
        name = self.order[place]
        if name in self._parents:
            for position in range(self._distributions[name].size or 0):
                value = self._distributions[name].value_at(position)
                yield value, self._below(place + 1, {**found, name: value})

    def _below(self, place: int, found: Mapping[str, Value]) -> int:
        """The number of points of the parameters from ``place`` on, beside the values of those before."""
        known = {name: found[name] for name in self._matter[place] if name in found}
        key = (place, tuple((name, identity(value)) for name, value in known.items()))
        if key not in self._counts:
            total = 1
            for later, name in enumerate(self.order[place:], start=place):
                if not self.exists(name, known):
                    continue
                if name in self._parents:
                    total *= sum(count for _, count in self._branches(later, known))
                    break
                total *= self._distributions[name].size or 0
            self._counts[key] = total
        return self._counts[key]
