"""Distributions over single values: lists, whole numbers, and multiples of a step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate

from lightsweep.space.base import Distribution, Scale, Traits, Value, finite, fresh, identity, is_number, unit_interval
from lightsweep.space.continuous import Continuous
from lightsweep.text import quoted

_MANY = 100  # no more values are described


@dataclass(frozen=True)
class Categorical(Distribution):
    """``categorical`` and ``categorical_w_probabilities``: values of any types, mixed ones included.

    Repeated values are one value (1 and 1.0 are the same, 1 and True are not) with their probabilities added; without
    probabilities all written entries are equally likely. ``value_at`` keeps the order as written. ``quantile`` sorts by
    size if all values are numbers, and keeps the order as written otherwise. A value of probability 0 never comes up,
    so it is left out.

    Attributes:
        values: The entries as written.
        probabilities: One for each entry, together 1 to within 1e-6; ``None`` for equal ones.

    Raises:
        ValueError: No values, a value that cannot be hashed, or probabilities that do not fit.
    """

    values: Sequence[Value] = field(compare=False)
    probabilities: Sequence[float] | None = None
    _keys: tuple[Hashable, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(map(fresh, self.values)))
        object.__setattr__(self, "probabilities", None if self.probabilities is None else tuple(self.probabilities))
        object.__setattr__(self, "_keys", tuple(map(identity, self.values)))
        if not self.values:
            raise ValueError("values must not be empty")
        self._shares()

    def _shares(self) -> Sequence[float]:
        """The probability of each entry as written."""
        count = len(self.values)
        if self.probabilities is None:
            return [1 / count] * count
        if len(self.probabilities) != count:
            raise ValueError(
                f"there must be one probability for each of the {count} values, not {len(self.probabilities)}"
            )
        numbers = [finite("each probability", probability) for probability in self.probabilities]
        if min(numbers) < 0:
            raise ValueError(f"probabilities must not be negative, but one is {min(numbers)}")
        total = math.fsum(numbers)
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the probabilities must add up to 1, not {total:g}")
        return [number / total for number in numbers]

    @property
    def name(self) -> str:
        return "categorical" if self.probabilities is None else "categorical_w_probabilities"

    @property
    def size(self) -> int:
        return len(self._merged)

    @cached_property
    def traits(self) -> Traits:
        even = self.probabilities is None
        scale: Scale = "rank" if all(map(is_number, self._distinct)) else "category"
        return Traits("one of" if even else "one of, weighted", scale, even=even)

    @property
    def choices(self) -> Sequence[Value]:
        return self._distinct

    def describe(self, spell: Callable[[Value], str]) -> str:
        values = [spell(value) for value in self._distinct[:_MANY]]
        if self.probabilities is not None and self.size > 1:
            values = [f"{value} ({weight:.0%})" for value, weight in zip(values, self.weights(), strict=False)]
        return ", ".join(values + ["..."] * (self.size > _MANY))

    def grid_notes(self) -> Iterator[tuple[str, str]]:
        times = Counter(self._keys)
        repeated = {key: repr(value) for key, value in zip(self._keys, self.values, strict=True) if times[key] > 1}
        if repeated and self.probabilities is None:
            are = "is" if len(repeated) == 1 else "are"
            yield "values", f"{', '.join(repeated.values())} {are} repeated in values: the grid tries each value once"

    def quantile(self, u: float) -> Value:
        order, ends, _ = self._axis
        return fresh(self._distinct[order[min(bisect_right(ends, unit_interval(u)), self.size - 1)]])

    def inverse(self, value: Value) -> float:
        return self._axis[2][self.index_of(value)]

    def weights(self) -> Sequence[float]:
        return tuple(weight for _, weight in self._merged.values())

    def _value_at(self, index: int) -> Value:
        return fresh(self._distinct[index])

    def _index_of(self, value: Value) -> int:
        try:
            return self._index[identity(value)]
        except KeyError:
            raise ValueError(f"{quoted(value)} is not one of the values {quoted(list(self._distinct))}") from None

    @cached_property
    def _merged(self) -> dict[Hashable, tuple[Value, float]]:
        """Each distinct value that can come up, as first written, and its probability, in the order as written."""
        merged: dict[Hashable, tuple[Value, float]] = {}
        for key, value, share in zip(self._keys, self.values, self._shares(), strict=True):
            if share > 0:
                first, before = merged.get(key, (value, 0.0))
                merged[key] = (first, before + share)
        return merged

    @cached_property
    def _distinct(self) -> tuple[Value, ...]:
        return tuple(value for value, _ in self._merged.values())

    @cached_property
    def _index(self) -> dict[Hashable, int]:
        return {key: index for index, key in enumerate(self._merged)}

    @cached_property
    def _axis(self) -> tuple[list[int], list[float], dict[int, float]]:
        """On the u axis: the index at each rank, the end of each rank's interval, and the middle of each index's."""
        places, weights = range(self.size), self.weights()
        order = sorted(places, key=self._distinct.__getitem__) if self.ordered else list(places)
        ends = list(accumulate(weights[index] for index in order))
        intervals = zip(order, [0.0, *ends], ends, strict=False)
        return order, ends, {index: min((start + end) / 2, 1.0) for index, start, end in intervals}


class Constant(Categorical):
    """``constant``: one value of any type."""

    name = "constant"

    def __init__(self, value: Value) -> None:
        super().__init__([value])


@dataclass(frozen=True)
class IntUniform(Distribution):
    """``int_uniform``: the integers from ``low`` to ``high``, both included; a sweep file allows up to 2^53.

    Raises:
        ValueError: A bound is not a whole number, or ``low >= high``.
    """

    low: int
    high: int

    name = "int_uniform"
    traits = Traits("integer", even=True, step=1, bounded="int_uniform")

    def __post_init__(self) -> None:
        for what, bound in (("min", self.low), ("max", self.high)):
            if not is_number(bound) or bound % 1 != 0:
                raise ValueError(f"{what} of int_uniform must be a whole number, not {quoted(bound)}")
        object.__setattr__(self, "low", int(self.low))
        object.__setattr__(self, "high", int(self.high))
        if self.low >= self.high:
            raise ValueError(f"min must be below max, but min is {self.low} and max is {self.high}")

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def quantile(self, u: float) -> int:
        return self.low + min(int(unit_interval(u) * self.size), self.size - 1)

    def inverse(self, value: Value) -> float:
        return (2 * self.index_of(value) + 1) / (2 * self.size)

    def _value_at(self, index: int) -> int:
        return self.low + index

    def _index_of(self, value: Value) -> int:
        if not is_number(value) or not self.low <= value <= self.high or value != int(value):
            raise ValueError(f"{quoted(value)} is not an integer from {self.low} to {self.high}")
        return int(value) - self.low


# Beyond it a double cannot distinguish one multiple from the next.
_MAX_STEPS = 2**53


@dataclass(frozen=True)
class Quantized(Distribution):
    """``q_uniform``, ``q_normal`` and so on: round(x / q) * q, clipped to the multiples of q inside the bounds.

    A whole-number ``q`` gives ints, any other one floats that are the closest to the decimal number (3 steps of 0.1
    are 0.3). Numbers are taken as they are written, so 0.7 is 7 steps of 0.1 although the floats' quotient is below.
    Bounds that are exponents include multiples up to rounding: from log(8) to log(128) includes 8 and 128.

    Attributes:
        base: The distribution that is rounded.
        q: The step, above 0.

    Raises:
        ValueError: ``base`` is not continuous, ``q`` is not a finite number above 0, no multiple of ``q`` lies inside
            the bounds, or a bound is more than 2^53 multiples from 0.
    """

    base: Continuous
    q: float = 1

    def __post_init__(self) -> None:
        if not isinstance(self.base, Continuous):
            raise ValueError(f"only a continuous distribution can be quantized, not {quoted(self.base)}")
        if finite("q", self.q) <= 0:
            raise ValueError(f"q must be above 0, not {self.q}")
        (first, last), (low, high) = self._multiples, self.base.support
        if first is not None and last is not None and first > last:
            raise ValueError(f"no multiple of q {self.q} lies between min {low} and max {high}")
        if max(abs(first or 0), abs(last or 0)) > _MAX_STEPS:
            raise ValueError(
                f"q {self.q} is too small for values from {low} to {high}: a bound is at most 2^53 steps from 0"
            )
        if max(abs(first or 0), abs(last or 0)) * self._step > _MAX_STEPS and self._step.denominator == 1:
            raise ValueError(
                f"whole numbers are at most 2^53, as a storage keeps no larger ones, and here is q {self.q}"
            )

    @cached_property
    def _step(self) -> Fraction:
        return _exact(self.q)

    @cached_property
    def _multiples(self) -> tuple[int | None, int | None]:
        """The first and the last multiple: value = multiple * q."""
        low, high = self.base.support
        if low == high:
            return (self._nearest(low),) * 2
        slack = _exact(self.base.slack)
        first = None if math.isinf(low) else math.ceil(_exact(low) * (1 - slack) / self._step)
        last = None if math.isinf(high) else math.floor(_exact(high) * (1 + slack) / self._step)
        return first, last

    @property
    def name(self) -> str:
        return f"q_{self.base.name}"

    @property
    def size(self) -> int | None:
        first, last = self._multiples
        return None if first is None or last is None else last - first + 1

    @property
    def traits(self) -> Traits:
        of = self.base.traits
        step = int(self.q) if self._step.denominator == 1 else self.q
        return replace(of, kind=f"{of.kind}, steps of {self.q:g}", step=step, bounded=f"q_{of.bounded}")

    @property
    def support(self) -> tuple[float, float]:
        return self.base.support

    def grid_notes(self) -> Iterator[tuple[str, str]]:
        low, first = self.base.support[0], self.quantile(0)
        if self.traits.even and first != low:
            start = f"min {low:g} is not a multiple of q {self.q:g}, so the grid starts at {first:g}"
            yield "min", f"{start}; a grid of W&B starts at {low:g}"

    def quantile(self, u: float) -> int | float:
        return self._value(self._clip(self._nearest(self.base.quantile(u))))

    def inverse(self, value: Value) -> float:
        start, end = self._interval(self._multiple_of(value))
        return (start + end) / 2

    def weights(self) -> Sequence[float] | None:
        intervals = [self._interval((self._multiples[0] or 0) + index) for index in range(self.size or 0)]
        return None if self.size is None else [end - start for start, end in intervals]

    def _value_at(self, index: int) -> int | float:
        return self._value((self._multiples[0] or 0) + index)

    def _index_of(self, value: Value) -> int:
        return self._multiple_of(value) - (self._multiples[0] or 0)

    def _interval(self, multiple: int) -> tuple[float, float]:
        """The part of the u axis that rounds to ``multiple``: the outermost ones include all beyond them."""
        first, last = self._multiples
        half = Fraction(1, 2)
        start = 0.0 if multiple == first else self.base.cumulative(float((multiple - half) * self._step))
        end = 1.0 if multiple == last else self.base.cumulative(float((multiple + half) * self._step))
        return start, end

    def _value(self, multiple: int) -> int | float:
        value = multiple * self._step
        return int(value) if self._step.denominator == 1 else float(value)

    def _nearest(self, number: float) -> int:
        ratio = number / float(self._step)
        return round(ratio) if math.isfinite(ratio) else round(_exact(number) / self._step)

    def _clip(self, multiple: int) -> int:
        first, last = self._multiples
        multiple = multiple if first is None else max(multiple, first)
        return multiple if last is None else min(multiple, last)

    def _multiple_of(self, value: Value) -> int:
        number = finite(f"a value of {self.name}", value)
        multiple = self._clip(self._nearest(number))
        # Values from elsewhere may carry rounding, such as 0.30000000000000004.
        if abs(self._value(multiple) - number) <= 1e-9 * float(self._step):
            return multiple
        raise ValueError(f"{quoted(value)} is not a multiple of q {self.q} in the range of {self.name}")


def _exact(number: float) -> Fraction:
    """The decimal number that ``number`` is written as."""
    return Fraction(repr(number) if isinstance(number, int) else repr(float(number)))
