"""A real distribution rounded to multiples of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from lightsweep.space.base import Computed, Distribution, Value, describe, finite
from lightsweep.space.continuous import Continuous
from lightsweep.space.logarithmic import LogUniform

__all__ = ["Quantized"]

# Bounds written as exponents are often logarithms of the multiples that are meant, and exp(log(128)) is below 128 by
# up to |log(128)| roundings; so a multiple that is this close to such a bound, relatively, is inside.
_EXPONENT_SLACK = Fraction(1, 10**12)


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
        ValueError: ``base`` is not continuous, ``q`` is not a finite number above 0, or no multiple of ``q`` lies
            inside the bounds.
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
