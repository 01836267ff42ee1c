"""Distributions over an interval of the real numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

from lightsweep.space.base import Distribution, Traits, Value, finite, unit_interval
from lightsweep.text import quoted

# Half the distance from 1 to the next float below it is lost by 1 - u, so both ends stop where the upper one must:
# 8.2 standard deviations from the mean of a normal distribution.
_INSIDE = 2.0**-53

# exp() of it and of its negative are still floats of full precision, with room to multiply.
_LARGEST_EXPONENT = 700.0

_LARGEST_SHAPE = 1e8
_SMALLEST_SHAPE = 1e-100


class Continuous(Distribution):
    """A distribution over an interval of the real numbers; one of zero width is a single value."""

    @property
    def slack(self) -> float:
        """The relative error of the bounds; above 0 if they are computed from those of the sweep file."""
        return 0.0

    @abstractmethod
    def _value(self, u: float) -> float:
        """The quantile for ``u`` in [0, 1], before it is clipped to the support."""

    @abstractmethod
    def _share(self, value: float) -> float:
        """The cumulative distribution function, for a value inside the support."""

    @property
    def size(self) -> int | None:
        low, high = self.support
        return 1 if low == high else None

    def quantile(self, u: float) -> float:
        low, high = self.support
        return min(max(float(self._value(unit_interval(u))), low), high)

    def inverse(self, value: Value) -> float:
        low, high = self.support
        number = finite(f"a value of {self.name}", value)
        if not low <= number <= high:
            raise ValueError(f"{self.name} between {low} and {high} does not contain {quoted(value)}")
        return 0.5 if low == high else self.cumulative(number)

    def cumulative(self, value: float) -> float:
        """Return the probability of a value up to ``value``, which may lie outside the support.

        A single value gives 0 below itself and 1 from itself on.
        """
        low, high = self.support
        if value >= high:
            return 1.0
        return 0.0 if value <= low else min(max(float(self._share(float(value))), 0.0), 1.0)


@dataclass(frozen=True)
class Uniform(Continuous):
    """``uniform``: low + U (high - low).

    Raises:
        ValueError: A bound is not finite, ``low >= high``, or the range is too wide for a float.
    """

    low: float
    high: float

    name = "uniform"
    traits = Traits("uniform", even=True)

    def __post_init__(self) -> None:
        low, high = _ascending(self, self.low, self.high)
        if math.isinf(high - low):
            raise ValueError(f"the range from {low} to {high} is wider than a number can be")

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def _value(self, u: float) -> float:
        return self.high if u == 1 else self.low + u * (self.high - self.low)

    def _share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Normal(Continuous):
    """``normal``: mean ``mu``, standard deviation ``sigma``; with sigma 0 the single value ``mu``.

    Values end 8.2 standard deviations from the mean, at u = 2**-53 and 1 - 2**-53.

    Raises:
        ValueError: A parameter is not finite, or sigma is negative.
    """

    mu: float = 0.0
    sigma: float = 1.0

    name = "normal"

    def __post_init__(self) -> None:
        mu, sigma = finite("mu", self.mu), finite("sigma", self.sigma)
        if sigma < 0:
            raise ValueError(f"sigma must not be negative, but is {sigma}")
        if math.isinf(mu + 10 * sigma) or math.isinf(mu - 10 * sigma):
            raise ValueError(f"mu {mu} with sigma {sigma} gives values that are larger than a number can be")
        object.__setattr__(self, "mu", mu)
        object.__setattr__(self, "sigma", sigma)

    @property
    def support(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.sigma else (self.mu, self.mu)

    @property
    def traits(self) -> Traits:
        curve = f"mean {self.mu:g}, sigma {self.sigma:g}"
        return Traits("normal", gaussian=(self.mu, self.sigma), curve=curve)

    def _value(self, u: float) -> float:
        from scipy.special import ndtri

        return self.mu + self.sigma * float(ndtri(_inside(u)))

    def _share(self, value: float) -> float:
        from scipy.special import ndtr

        return float(ndtr((value - self.mu) / self.sigma))


@dataclass(frozen=True)
class LogNormal(Normal):
    """``log_normal``: exp of a normal distribution, so the median is exp(mu); with sigma 0 the single value exp(mu).

    Values end at 8.2 standard deviations as those of ``Normal``, and at exp(-700) and exp(700).

    Raises:
        ValueError: A parameter is not finite, sigma is negative, or mu is not between -700 and 700.
    """

    name = "log_normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(self.mu) > _LARGEST_EXPONENT:
            raise ValueError(f"mu is the natural logarithm of the median, between -700 and 700, not {self.mu}")

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, math.inf) if self.sigma else (math.exp(self.mu), math.exp(self.mu))

    @property
    def traits(self) -> Traits:
        curve = f"median {math.exp(self.mu):g}, sigma {self.sigma:g}"
        return Traits("log-normal", "log", bounded="log_uniform_values", gaussian=(self.mu, self.sigma), curve=curve)

    def _value(self, u: float) -> float:
        return math.exp(min(max(super()._value(u), -_LARGEST_EXPONENT), _LARGEST_EXPONENT))

    def _share(self, value: float) -> float:
        return super()._share(math.log(value))


@dataclass(frozen=True)
class Beta(Continuous):
    """``beta``: the beta distribution on [0, 1] with density proportional to x^(a-1) (1-x)^(b-1).

    Raises:
        ValueError: ``a`` or ``b`` is not a number above 0 and up to 1e8, beyond which the quantile cannot be computed.
    """

    a: float = 1.0
    b: float = 1.0

    name = "beta"
    support = (0.0, 1.0)

    def __post_init__(self) -> None:
        for what in ("a", "b"):
            number = finite(what, getattr(self, what))
            if not 0 < number <= _LARGEST_SHAPE:
                raise ValueError(f"{what} must be above 0 and at most {_LARGEST_SHAPE:g}, not {number}")
            object.__setattr__(self, what, number)

    @property
    def traits(self) -> Traits:
        return Traits("beta", closed=True, curve=f"0 to 1, a {self.a:g}, b {self.b:g}")

    def _value(self, u: float) -> float:
        from scipy.special import betaincinv

        # Of shapes this close to 0 only the ratio matters, as all lies at 0 and 1; SciPy 1.15 gives NaN below 1e-154.
        scale = max(1.0, _SMALLEST_SHAPE / max(self.a, self.b))
        # betaincinv is NaN for some u that are far smaller.
        return u if u in (0, 1) else float(betaincinv(self.a * scale, self.b * scale, _inside(u)))

    def _share(self, value: float) -> float:
        from scipy.special import betainc

        return float(betainc(self.a, self.b, value))


@dataclass(frozen=True)
class LogUniform(Continuous):
    """``log_uniform``: exp(low + U (high - low)), the bounds being natural-log exponents.

    ``LogUniform.from_values(1e-5, 1e-1)`` is ``log_uniform_values``: its bounds are the values themselves, which come
    out exactly at u = 0 and u = 1.

    Attributes:
        low, high: The bounds as natural-log exponents.
        bounds: The bounds as values if the sweep file gives them so; ``None`` if it gives exponents.

    Raises:
        ValueError: A bound is not finite, ``low >= high``, or exp of a bound is not a positive float.
    """

    low: float
    high: float
    bounds: tuple[float, float] | None = field(default=None, kw_only=True)

    traits = Traits("log-uniform", "log", bounded="log_uniform_values")
    _sign = 1

    def __post_init__(self) -> None:
        if self.bounds is None:
            _ascending(self, self.low, self.high)
        try:
            smallest, largest = self.support
        except OverflowError:
            smallest = largest = math.inf
        if smallest <= 0 or math.isinf(largest):
            raise ValueError(
                f"min {self.low} and max {self.high} are exponents (natural log) of values out of range; "
                f"for bounds that are values themselves write {self.traits.bounded}"
            )

    @classmethod
    def from_values(cls, low: float, high: float) -> LogUniform:
        """Return the distribution between the values ``low`` and ``high``; ``ValueError`` unless 0 < low < high."""
        low, high = finite("min", low), finite("max", high)
        if low <= 0:
            raise ValueError(f"min must be above 0 on a logarithmic axis, not {low}")
        if low >= high:
            raise ValueError(f"min must be below max, but min is {low} and max is {high}")
        first, last = sorted((cls._sign * math.log(low), cls._sign * math.log(high)))
        return cls(first, last, bounds=(low, high))

    @property
    def name(self) -> str:
        return self.traits.bounded if self.bounds else self.traits.bounded.removesuffix("_values")

    # exp(log(128)) is below 128 by up to |log(128)| roundings.
    @property
    def slack(self) -> float:
        return 1e-12 if self.bounds is None else 0.0

    @property
    def support(self) -> tuple[float, float]:
        if self.bounds is not None:
            return self.bounds
        low, high = self._exponents
        return math.exp(low), math.exp(high)

    @property
    def _exponents(self) -> tuple[float, float]:
        """The logarithms of the smallest and the largest value."""
        return (self.low, self.high) if self._sign > 0 else (-self.high, -self.low)

    def _value(self, u: float) -> float:
        # The ends are exact; exp(log(x)) is not always x.
        if u in (0, 1):
            return self.support[int(u)]
        low, high = self._exponents
        return math.exp(min(low + u * (high - low), high))

    def _share(self, value: float) -> float:
        low, high = self._exponents
        # Neighbouring floats can have the same logarithm.
        return (math.log(value) - low) / (high - low) if high > low else 0.5


class InvLogUniform(LogUniform):
    """``inv_log_uniform``: X such that log(1/X) is uniform between ``low`` and ``high``.

    The quantile function of X ascends, from exp(-high) at u = 0 to exp(-low) at u = 1.
    ``InvLogUniform.from_values(1e-5, 1e-1)`` is ``inv_log_uniform_values``: the bounds are those of X itself.

    Raises:
        ValueError: A bound is not finite, ``low >= high``, or exp of a bound is not a positive float.
    """

    traits = Traits("inverse log-uniform", "log", bounded="inv_log_uniform_values")
    _sign = -1


def _ascending(distribution: Uniform | LogUniform, low: float, high: float) -> tuple[float, float]:
    """Set the bounds to floats; ``ValueError`` unless both are finite and ``low < high``."""
    first, last = finite("min", low), finite("max", high)
    if first >= last:
        raise ValueError(f"min must be below max, but min is {low} and max is {high}")
    object.__setattr__(distribution, "low", first)
    object.__setattr__(distribution, "high", last)
    return first, last


def _inside(u: float) -> float:
    return min(max(u, _INSIDE), 1 - _INSIDE)
