"""Distributions over values that can be listed: a constant, categories and integers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from lightsweep.space.base import Computed, Distribution, Value, describe, finite, is_number, unit_interval
from lightsweep.space.identity import fresh, identity

__all__ = ["Categorical", "Constant", "IntUniform"]


@dataclass(frozen=True)
class Constant(Distribution):
    """``constant``: one value of any type."""

    value: Value = field(compare=False)
    _key: Hashable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", fresh(self.value))
        object.__setattr__(self, "_key", identity(self.value))

    @property
    def name(self) -> str:
        return "constant"

    @property
    def size(self) -> int:
        return 1

    def quantile(self, u: float) -> Value:
        unit_interval(u)
        return fresh(self.value)

    def inverse(self, value: Value) -> float:
        if identity(value) != self._key:
            raise ValueError(f"the constant {describe(self.value)} is not {describe(value)}")
        return 0.5

    def value_at(self, index: int) -> Value:
        self.check_index(index)
        return fresh(self.value)

    def index_of(self, value: Value) -> int:
        self.inverse(value)
        return 0

    def weights(self) -> Sequence[float]:
        return [1.0]


@dataclass(frozen=True)
class Categorical(Distribution):
    """``categorical`` and ``categorical_w_probabilities``: values of any types, mixed ones included.

    Repeated values are one value (1 and 1.0 are the same, 1 and True are not) with their probabilities added; each
    written entry is as likely as the others where no probabilities are given. ``value_at`` keeps the order as
    written. ``quantile`` sorts by size if all values are numbers, and keeps the order as written otherwise. A value of
    probability 0 is left out, since it can never come up.

    Attributes:
        values: The entries as written.
        probabilities: One for each entry, together 1 to within 1e-6; ``None`` for equal ones.

    Raises:
        ValueError: No values, a value that cannot be hashed, or probabilities that do not fit.
    """

    values: Sequence[Value] = field(compare=False)
    probabilities: Sequence[float] | None = None
    _keys: tuple[Hashable, ...] = field(init=False, repr=False)
    _distinct: tuple[Value, ...] = field(init=False, repr=False, compare=False)
    _weights: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _index: dict[Hashable, int] = field(init=False, repr=False, compare=False)
    _ordered: bool = field(init=False, repr=False, compare=False)
    # Along the u axis: which index comes at each rank, its inverse, and where each rank's interval ends.
    _order: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _rank: dict[int, int] = field(init=False, repr=False, compare=False)
    _ends: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = tuple(fresh(value) for value in self.values)
        if not values:
            raise ValueError("values must not be empty")
        probabilities = None if self.probabilities is None else tuple(self.probabilities)
        keys = tuple(identity(value) for value in values)
        masses: dict[Hashable, float] = {}
        first: dict[Hashable, Value] = {}
        for key, value, mass in zip(keys, values, _shares(len(values), probabilities), strict=True):
            if mass > 0:
                masses[key] = masses.get(key, 0.0) + mass
                first.setdefault(key, value)
        distinct = tuple(first.values())
        weights = tuple(masses.values())
        ordered = all(is_number(value) for value in distinct)
        order = sorted(range(len(distinct)), key=distinct.__getitem__) if ordered else list(range(len(distinct)))
        derived = {
            "values": values,
            "probabilities": probabilities,
            "_keys": keys,
            "_distinct": distinct,
            "_weights": weights,
            "_index": {key: place for place, key in enumerate(first)},
            "_ordered": ordered,
            "_order": tuple(order),
            "_rank": {place: rank for rank, place in enumerate(order)},
            "_ends": tuple(accumulate(weights[place] for place in order)),
        }
        for attribute, content in derived.items():
            object.__setattr__(self, attribute, content)

    @property
    def name(self) -> str:
        return "categorical" if self.probabilities is None else "categorical_w_probabilities"

    @property
    def size(self) -> int:
        return len(self._distinct)

    @property
    def ordered(self) -> bool:
        return self._ordered

    def quantile(self, u: float) -> Value:
        rank = min(bisect_right(self._ends, unit_interval(u)), self.size - 1)
        return fresh(self._distinct[self._order[rank]])

    def inverse(self, value: Value) -> float:
        rank = self._rank[self.index_of(value)]
        start = self._ends[rank - 1] if rank else 0.0
        return min((start + self._ends[rank]) / 2, 1.0)

    def value_at(self, index: int) -> Value:
        self.check_index(index)
        return fresh(self._distinct[index])

    def index_of(self, value: Value) -> int:
        try:
            return self._index[identity(value)]
        except KeyError:
            raise ValueError(f"{describe(value)} is none of the values {describe(list(self._distinct))}") from None

    def weights(self) -> Sequence[float]:
        return self._weights


def _shares(count: int, probabilities: Sequence[float] | None) -> Sequence[float]:
    if probabilities is None:
        return [1 / count] * count
    if len(probabilities) != count:
        raise ValueError(f"there must be one probability for each of the {count} values, not {len(probabilities)}")
    numbers = [finite("each probability", probability) for probability in probabilities]
    if min(numbers) < 0:
        raise ValueError(f"probabilities must not be negative, but one is {min(numbers)}")
    total = math.fsum(numbers)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the probabilities must add up to 1, not {total:g}")
    return [number / total for number in numbers]


@dataclass(frozen=True)
class IntUniform(Distribution):
    """``int_uniform``: the integers from ``low`` to ``high``, both included; exact however far apart they are.

    Raises:
        ValueError: A bound is not a whole number, or ``low >= high``.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        for what, bound in (("min", self.low), ("max", self.high)):
            if not is_number(bound) or bound % 1 != 0:
                raise ValueError(f"{what} of int_uniform must be a whole number, not {describe(bound)}")
        object.__setattr__(self, "low", int(self.low))
        object.__setattr__(self, "high", int(self.high))
        if self.low >= self.high:
            raise ValueError(f"min must be below max, but min is {self.low} and max is {self.high}")

    @property
    def name(self) -> str:
        return "int_uniform"

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def quantile(self, u: float) -> int:
        # In integers, since u * size is rounded where size exceeds 2**53.
        numerator, denominator = unit_interval(u).as_integer_ratio()
        return self.low + min(numerator * self.size // denominator, self.size - 1)

    def inverse(self, value: Value) -> float:
        return (2 * self.index_of(value) + 1) / (2 * self.size)

    def value_at(self, index: int) -> int:
        self.check_index(index)
        return self.low + index

    def index_of(self, value: Value) -> int:
        if not is_number(value) or not self.low <= value <= self.high or value != int(value):
            raise ValueError(f"{describe(value)} is no integer from {self.low} to {self.high}")
        return int(value) - self.low

    def weights(self) -> Sequence[float]:
        return Computed(self.size, lambda _: 1 / self.size)
