"""All parameters of a sweep together: the grid, the unit cube and the identity of a point."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, TypeVar

from lightsweep.errors import closest
from lightsweep.space.base import Distribution, Value, identity
from lightsweep.space.conditions import Conditions, When

Path = tuple[str, ...]


def check_paths(paths: Iterable[Path]) -> None:
    """Refuse paths that exclude each other in one config.

    Raises:
        ValueError: Two paths have the same dotted name, or one is the beginning of another; the message names both.
    """
    by_name: dict[str, Path] = {}
    for path in paths:
        if not path or not all(path):
            raise ValueError(f"a parameter needs a name that is not empty, but its path is {list(path)}")
        if same := by_name.get(".".join(path)):
            raise ValueError(f"{_spell(same)} and {_spell(path)} are the same parameter; remove one of them")
        by_name[".".join(path)] = path
    leaves = set(by_name.values())
    for path in by_name.values():
        if group := next((path[:depth] for depth in range(1, len(path)) if path[:depth] in leaves), None):
            problem = f"{_spell(group)} cannot be a parameter and also the group that holds {_spell(path)}"
            raise ValueError(f"{problem}; rename one of them")


def _spell(path: Path) -> str:
    """The path in words: ``'model.hidden'``, or ``'hidden' in 'model'`` if it is nested."""
    return " in ".join(repr(part) for part in reversed(path))


_T = TypeVar("_T")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a sweep.

    Attributes:
        name: Dotted, as on the command line and in the storage: ``"model.hidden"``.
        path: Its place in the nested config: ``("model", "hidden")``, or ``("model.hidden",)`` for a flat name
            with a dot. Joined by dots it is ``name``.
        distribution: Its values.

    Raises:
        ValueError: ``name`` is not the dotted ``path``.
    """

    name: str
    path: Path
    distribution: Distribution

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple(self.path))
        if self.name != ".".join(self.path):
            raise ValueError(f"the name of a parameter is its path with dots, but {self.name!r} is not {self.path}")

    @property
    def is_fixed(self) -> bool:
        """Return whether it has one value only."""
        return self.distribution.size == 1


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep, sorted by name.

    A space without parameters has one point, ``{}``. Spaces with equal parameters are equal.

    Attributes:
        parameters: The parameters.
        when: The conditions under which some of them exist, without cycles. A point has no value of a parameter that
            does not exist.

    Raises:
        ValueError: Two parameters collide (see ``check_paths``); the message names both.
    """

    parameters: Sequence[Parameter] = ()
    when: When = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(sorted(self.parameters, key=lambda parameter: parameter.name)))
        check_paths(parameter.path for parameter in self.parameters)

    @cached_property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters that have several values."""
        return tuple(parameter for parameter in self.parameters if not parameter.is_fixed)

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {parameter.name: parameter.path for parameter in self.parameters}

    @cached_property
    def conditions(self) -> Conditions:
        """The conditions ``when``, ready for use."""
        return Conditions({each.name: each.distribution for each in self.parameters}, self.when)

    def existing(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values of the parameters that exist, sorted by name; a parent that is missing does not exist."""
        found: dict[str, Value] = {}
        for name in self.conditions.order:
            if name in values and self.conditions.exists(name, found):
                found[name] = values[name]
        return {name: found[name] for name in sorted(found)}

    def is_whole(self, values: Mapping[str, Value]) -> bool:
        """Return whether a point has a value of every parameter that exists in it."""
        if not self.when:
            return len(values) == len(self.parameters)
        return all(each.name in values or not self.conditions.exists(each.name, values) for each in self.parameters)

    @cached_property
    def size(self) -> int | None:
        """The number of distinct points; ``None`` if that is not finite."""
        sizes = [parameter.distribution.size for parameter in self.parameters]
        finite = [size for size in sizes if size is not None]
        if len(finite) < len(sizes):
            return None
        return self.conditions.size() if self.when else math.prod(finite)

    def point(self, index: int) -> dict[str, Value]:
        """Return the ``index``-th point of the grid: parameters sorted by name, the last varying fastest.

        A conditional parameter follows directly after the last of its parents.

        Raises:
            IndexError: Not in ``range(size)``.
            ValueError: The space is not finite.
        """
        size = self._countable()
        if not 0 <= index < size:
            raise IndexError(f"the space has {size} points, so none at index {index}")
        if self.when:
            return self.existing(self.conditions.point(index))
        values = []
        for parameter in reversed(self.parameters):
            index, place = divmod(index, parameter.distribution.size or 1)
            values.append(parameter.distribution.value_at(place))
        return dict(zip(self._paths, reversed(values), strict=True))

    def index(self, values: Mapping[str, Value]) -> int:
        """Return the index of a point, the inverse of ``point``.

        Raises:
            ValueError: The space is not finite, or ``values`` is not one of its points.
        """
        self._countable()
        if self.when:
            known = {each.name: each for each in self.parameters}
            return self.conditions.index(values, lambda name: _index(known[name], values))
        index = 0
        for parameter in self.parameters:
            index = index * (parameter.distribution.size or 1) + _index(parameter, values)
        return index

    def nest(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Return the nested config of flat values by dotted name, in the order given; some parameters may be absent.

        Raises:
            ValueError: A name is unknown.
        """
        nested: dict[str, Any] = {}
        for name, value in values.items():
            if name not in self._paths:
                raise ValueError(f"no parameter {name!r}{closest(name, self._paths)}")
            *groups, leaf = self._paths[name]
            group = reduce(lambda above, part: above.setdefault(part, {}), groups, nested)
            group[leaf] = value
        return nested

    def at(self, unit: Sequence[float]) -> dict[str, Value]:
        """Return the point at ``unit``, which has one number in [0, 1] for each of ``searched``; constants are added.

        Raises:
            ValueError: ``unit`` has another length, or contains NaN.
        """
        values = self.all_at(unit)
        return self.existing(values) if self.when else values

    def middle(self) -> dict[str, Value]:
        """Return the point in the middle of all ranges.

        Numbers that are round but for an error of the arithmetic are so exactly: 0.001, not 0.0010000000000000002.
        """
        values = self.at([0.5] * len(self.searched))
        for parameter in self.searched:
            value = values.get(parameter.name)
            if parameter.distribution.size is None and isinstance(value, float):
                short = float(f"{value:.9g}")
                low, high = parameter.distribution.support
                if short == float(f"{value:.14g}") and low <= short <= high:
                    values[parameter.name] = short
        return values

    def all_at(self, unit: Sequence[float]) -> dict[str, Value]:
        """Return the values at ``unit`` as ``at`` does, also those of parameters that do not exist in that point."""
        if len(unit) != len(self.searched):
            raise ValueError(f"{len(self.searched)} parameters are searched, but {len(unit)} numbers were given")
        coordinates = {parameter.name: u for parameter, u in zip(self.searched, unit, strict=True)}
        return {
            parameter.name: parameter.distribution.quantile(coordinates.get(parameter.name, 0.5))
            for parameter in self.parameters
        }

    def unit(self, values: Mapping[str, Value]) -> list[float]:
        """Return the coordinates of a point, the inverse of ``at``; values of constants are ignored.

        The coordinate of a parameter that does not exist is 0.5.

        Raises:
            ValueError: The value of a searched parameter is missing, or the parameter does not have it.
        """
        if self.when:
            values, exists = self.existing(values), self.conditions.exists
            absent = {
                each.name: each.distribution.quantile(0.5) for each in self.searched if not exists(each.name, values)
            }
            values = {**absent, **values}
        return [_within(parameter, parameter.distribution.inverse, values) for parameter in self.searched]

    def key(self, values: Mapping[str, Value]) -> Hashable:
        """Return a hashable that is equal for equal points: 1 and 1.0 are equal, 1 and True are not."""
        return tuple((name, identity(values[name])) for name in sorted(values))

    def _countable(self) -> int:
        if self.size is None:
            endless = next(parameter for parameter in self.parameters if parameter.distribution.size is None)
            raise ValueError(f"{endless.name} has {endless.distribution.name}, so the space has no countable points")
        return self.size


def _index(parameter: Parameter, values: Mapping[str, Value]) -> int:
    return _within(parameter, parameter.distribution.index_of, values)


def _within(parameter: Parameter, method: Callable[[Value], _T], values: Mapping[str, Value]) -> _T:
    """``method`` of the parameter's value; its errors name the parameter."""
    if parameter.name not in values:
        raise ValueError(f"no value for the parameter {parameter.name!r}{closest(parameter.name, values)}")
    try:
        return method(values[parameter.name])
    except ValueError as error:
        raise ValueError(f"{parameter.name}: {error}") from None
