"""A real distribution rounded to multiples of a step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate

from lightsweep.space.base import Computed, Distribution, Value, describe, finite, is_number, unit_interval
from lightsweep.space.continuous import Continuous, LogUniform
from lightsweep.space.space import fresh, identity

__all__ = ["Categorical", "Constant", "IntUniform", "Quantized"]


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


# Bounds written as exponents are often logarithms of the multiples that are meant, and exp(log(128)) is below 128 by
# up to |log(128)| roundings; so a multiple that is this close to such a bound, relatively, is inside.
_EXPONENT_SLACK = Fraction(1, 10**12)

# Beyond it a double cannot tell one multiple from the next.
_MAX_STEPS = 2**53


@dataclass(frozen=True)
class Quantized(Distribution):
    """``q_uniform``, ``q_normal`` and so on: round(x / q) * q, clipped to the multiples of q inside the bounds.

    A whole-number ``q`` gives ints, any other one floats that are the closest to the decimal number (3 steps of 0.1
    are 0.3). Numbers are taken as they are written, so 0.7 is 7 steps of 0.1 although the floats' quotient is below.
    Bounds that are exponents hold for multiples up to rounding: from log(8) to log(128) includes 8 and 128.

    Attributes:
        base: What is rounded.
        q: The step, above 0.
        low, high: Bounds of the rounded values, both included, inside those of ``base``; ``None`` for the bounds of
            ``base``, which may be infinite.

    Raises:
        ValueError: ``base`` is not continuous, ``q`` is not a finite number above 0, no multiple of ``q`` lies inside
            the bounds, or a bound is more than 2^53 multiples from 0.
    """

    base: Continuous
    q: float = 1
    low: float | None = None
    high: float | None = None
    _step: Fraction = field(init=False, repr=False, compare=False)
    # The first and the last multiple: value = multiple * q.
    _first: int | None = field(init=False, repr=False, compare=False)
    _last: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.base, Continuous):
            raise ValueError(f"only a continuous distribution can be quantized, not {describe(self.base)}")
        if finite("q", self.q) <= 0:
            raise ValueError(f"q must be above 0, not {self.q}")
        object.__setattr__(self, "_step", _exact(self.q))
        first, last = self._multiples()
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_last", last)

    def _multiples(self) -> tuple[int | None, int | None]:
        if self.base.size == 1:
            only = self._nearest(self.base.support[0])
            return only, only
        smallest, largest = self.base.support
        low = max([bound for bound in (self.low, smallest) if bound is not None])
        high = min([bound for bound in (self.high, largest) if bound is not None])
        slack = _EXPONENT_SLACK if isinstance(self.base, LogUniform) and self.base.bounds is None else Fraction(0)
        first = None if math.isinf(low) else math.ceil(_exact(low) * (1 - slack) / self._step)
        last = None if math.isinf(high) else math.floor(_exact(high) * (1 + slack) / self._step)
        if first is not None and last is not None and first > last:
            raise ValueError(f"no multiple of q {self.q} lies between min {low} and max {high}")
        if max(abs(first or 0), abs(last or 0)) > _MAX_STEPS:
            raise ValueError(
                f"q {self.q} is too small for values from {low} to {high}: a bound is at most 2^53 steps from 0"
            )
        return first, last

    @property
    def name(self) -> str:
        return f"q_{self.base.name}"

    @property
    def size(self) -> int | None:
        return None if self._first is None or self._last is None else self._last - self._first + 1

    def quantile(self, u: float) -> int | float:
        return self._value(self._clip(self._nearest(self.base.quantile(u))))

    def inverse(self, value: Value) -> float:
        start, end = self._interval(self._multiple_of(value))
        return (start + end) / 2

    def value_at(self, index: int) -> int | float:
        if self._first is None or self._last is None:
            return float(super().value_at(index))
        self.check_index(index)
        return self._value(self._first + index)

    def index_of(self, value: Value) -> int:
        if self._first is None or self._last is None:
            return super().index_of(value)
        return self._multiple_of(value) - self._first

    def weights(self) -> Sequence[float] | None:
        if self._first is None or self.size is None:
            return None
        return Computed(self.size, self._weight)

    def _weight(self, index: int) -> float:
        start, end = self._interval((self._first or 0) + index)
        return end - start

    def _interval(self, multiple: int) -> tuple[float, float]:
        """The part of the u axis that rounds to ``multiple``: the outermost ones take all that lies beyond them."""
        half = Fraction(1, 2)
        start = 0.0 if multiple == self._first else self.base.cumulative(float((multiple - half) * self._step))
        end = 1.0 if multiple == self._last else self.base.cumulative(float((multiple + half) * self._step))
        return start, end

    def _value(self, multiple: int) -> int | float:
        value = multiple * self._step
        return int(value) if self._step.denominator == 1 else float(value)

    def _nearest(self, number: float) -> int:
        ratio = number / float(self._step)
        return round(ratio) if math.isfinite(ratio) else round(_exact(number) / self._step)

    def _clip(self, multiple: int) -> int:
        if self._first is not None:
            multiple = max(multiple, self._first)
        return multiple if self._last is None else min(multiple, self._last)

    def _multiple_of(self, value: Value) -> int:
        number = finite(f"a value of {self.name}", value)
        multiple = self._clip(self._nearest(number))
        # Values from elsewhere may carry rounding, such as 0.30000000000000004.
        if abs(self._value(multiple) - number) <= 1e-9 * float(self._step):
            return multiple
        raise ValueError(f"{describe(value)} is no multiple of q {self.q} in the range of {self.name}")


def _exact(number: float) -> Fraction:
    """The decimal number that ``number`` is written as."""
    return Fraction(repr(number) if isinstance(number, int) else repr(float(number)))
