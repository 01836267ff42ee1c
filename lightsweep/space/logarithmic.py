"""Distributions that are uniform on a logarithmic axis, with bounds written as exponents or as values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lightsweep.space.base import finite
from lightsweep.space.continuous import Continuous

__all__ = ["InvLogUniform", "LogUniform"]


@dataclass(frozen=True)
class _LogAxis(Continuous):
    """exp of a uniform number between ``low`` and ``high``, in the sense that the subclass gives to the two.

    Attributes:
        low, high: The bounds as natural-log exponents.
        bounds: The bounds as values where the sweep file gives them so; ``None`` where it gives exponents.
    """

    low: float
    high: float
    bounds: tuple[float, float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        low, high = finite("min", self.low), finite("max", self.high)
        if low >= high and self.bounds is None:
            raise ValueError(f"min must be below max, but min is {self.low} and max is {self.high}")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        try:
            smallest, largest = self.support
        except OverflowError:
            smallest = largest = math.inf
        if smallest <= 0 or math.isinf(largest):
            raise ValueError(
                f"min {self.low} and max {self.high} are exponents (natural log) of values that no number can hold; "
                f"for bounds that are values themselves write {self.name}_values"
            )

    def _exponents(self) -> tuple[float, float]:
        """The exponents of the smallest and the largest value."""
        return self.low, self.high

    @property
    def support(self) -> tuple[float, float]:
        if self.bounds is not None:
            return self.bounds
        low, high = self._exponents()
        return math.exp(low), math.exp(high)

    def _value(self, u: float) -> float:
        # The ends are exact; exp(log(x)) is not always x.
        if u in (0, 1):
            return self.support[int(u)]
        low, high = self._exponents()
        return math.exp(min(low + u * (high - low), high))

    def _share(self, value: float) -> float:
        low, high = self._exponents()
        # Neighbouring floats can have the same logarithm.
        return (math.log(value) - low) / (high - low) if high > low else 0.5


class LogUniform(_LogAxis):
    """``log_uniform``: exp(low + U (high - low)), the bounds being natural-log exponents.

    ``LogUniform.from_values(1e-5, 1e-1)`` is ``log_uniform_values``: its bounds are the values themselves, which come
    out exactly at u = 0 and u = 1.

    Raises:
        ValueError: A bound is not finite, ``low >= high``, or exp of a bound is no positive float.
    """

    @property
    def name(self) -> str:
        return "log_uniform" if self.bounds is None else "log_uniform_values"

    @classmethod
    def from_values(cls, low: float, high: float) -> LogUniform:
        """``log_uniform_values`` between ``low`` and ``high``; ``ValueError`` unless 0 < low < high."""
        low, high = _positive(low, high)
        return cls(math.log(low), math.log(high), bounds=(low, high))


class InvLogUniform(_LogAxis):
    """``inv_log_uniform``: X such that log(1/X) is uniform between ``low`` and ``high``.

    The quantile function of X ascends, from exp(-high) at u = 0 to exp(-low) at u = 1.
    ``InvLogUniform.from_values(1e-5, 1e-1)`` is ``inv_log_uniform_values``: the bounds are those of X itself.

    Raises:
        ValueError: A bound is not finite, ``low >= high``, or exp of a bound is no positive float.
    """

    @property
    def name(self) -> str:
        return "inv_log_uniform" if self.bounds is None else "inv_log_uniform_values"

    def _exponents(self) -> tuple[float, float]:
        return -self.high, -self.low

    @classmethod
    def from_values(cls, low: float, high: float) -> InvLogUniform:
        """``inv_log_uniform_values`` between ``low`` and ``high``; ``ValueError`` unless 0 < low < high."""
        low, high = _positive(low, high)
        return cls(-math.log(high), -math.log(low), bounds=(low, high))


def _positive(low: float, high: float) -> tuple[float, float]:
    low, high = finite("min", low), finite("max", high)
    if low <= 0:
        raise ValueError(f"min must be above 0 on a logarithmic axis, not {low}")
    if low >= high:
        raise ValueError(f"min must be below max, but min is {low} and max is {high}")
    return low, high
