"""How a parameter stands in the Optuna storage: natural units under its dotted name.

Plain Optuna and optuna-dashboard read a storage without lightsweep, so each distribution becomes the Optuna
distribution that shows it best, and every value that a sampler can propose lies inside it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lightsweep.space import Categorical, Constant, InvLogUniform, LogNormal, LogUniform, Quantized

if TYPE_CHECKING:
    from lightsweep.space import Distribution, Value

__all__ = ["native_value", "natural_distribution", "natural_value"]

# Optuna stores every number as a double, which holds integers exactly up to here.
EXACT = 2**53


def natural_distribution(distribution: Distribution) -> BaseDistribution:
    """The Optuna distribution under which values of ``distribution`` are stored.

    Categorical values and constants become choices: as they are where all of them are ``None``, ``bool``, ``int``,
    finite ``float`` or ``str`` and no two are equal under ``==`` (``1 == True``), else each as a JSON string.
    Numbers become a range from the lowest to the highest value that the distribution gives, also where it is unbounded
    in theory, on a logarithmic axis for logarithmic distributions and with a step where that is exact. A narrow range
    of integers beyond 2**53 is stored as the distance from its lowest value.
    """
    if isinstance(distribution, (Constant, Categorical)):
        return CategoricalDistribution(_choices(distribution))
    low, high = _range(distribution)
    log = _is_log(distribution) and low > 0
    if isinstance(low, int) and isinstance(high, int):
        offset = _offset(distribution)
        low, high = _outward(low - offset, high - offset)
        step = int(_step(distribution))
        if offset == 0 and not log and abs(low) <= EXACT and abs(high) <= EXACT:
            return IntDistribution(low, high, step=step)
        return IntDistribution(low, high, log=log and offset == 0)
    low, high = float(low), float(high)
    if log or distribution.size is None or not isinstance(distribution, Quantized):
        return FloatDistribution(low, high, log=log)
    return _stepped(low, high, distribution.q, distribution.size)


def natural_value(distribution: Distribution, value: Value) -> Any:
    """What Optuna stores for ``value`` under ``natural_distribution(distribution)``.

    Raises:
        ValueError: ``value`` is none of the distribution's choices.
    """
    if isinstance(distribution, (Constant, Categorical)):
        return _choices(distribution)[distribution.index_of(value)]
    if isinstance(_range(distribution)[0], int):
        return int(value) - _offset(distribution)
    return float(value)


def native_value(distribution: Distribution, stored: Any) -> Value:
    """The inverse of ``natural_value``: the value that the program gets, of its own type.

    Exact, except in integer ranges that hold more than 2**53 values, where a double cannot tell neighbours apart.

    Raises:
        ValueError: ``stored`` is none of the distribution's choices.
    """
    if isinstance(distribution, (Constant, Categorical)):
        return distribution.value_at(_position(_choices(distribution), stored))
    low, high = _range(distribution)
    if isinstance(low, int):
        return max(low, min(high, int(stored) + _offset(distribution)))
    return float(stored)


def _choices(distribution: Constant | Categorical) -> list[Any]:
    values = [distribution.value_at(index) for index in range(distribution.size or 1)]
    if all(_is_plain(value) for value in values) and len(set(values)) == len(values):
        return values
    return [json.dumps(value, default=str) for value in values]


def _is_plain(value: Value) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def _position(choices: Sequence[Any], stored: Any) -> int:
    try:
        return choices.index(stored)
    except ValueError:
        raise ValueError(f"{stored!r} is none of the choices {list(choices)!r}") from None


def _is_log(distribution: Distribution) -> bool:
    base = distribution.base if isinstance(distribution, Quantized) else distribution
    return isinstance(base, (LogUniform, InvLogUniform, LogNormal))


def _range(distribution: Distribution) -> tuple[Any, Any]:
    """The lowest and the highest value that can come up; ints for a distribution of ints."""
    return distribution.quantile(0.0), distribution.quantile(1.0)


def _offset(distribution: Distribution) -> int:
    """What is taken off integers so that a double holds them: 0 except for a narrow range of large ones."""
    low, high = _range(distribution)
    large = max(abs(low), abs(high)) > EXACT
    return int(low) if large and distribution.size is not None and high - low <= EXACT else 0


def _outward(low: int, high: int) -> tuple[int, int]:
    """Bounds that still hold their values once a double has rounded them."""
    return min(low, int(float(low))), max(high, int(float(high)))


def _step(distribution: Distribution) -> int | float:
    if not isinstance(distribution, Quantized):
        return 1
    return int(distribution.q) if distribution.q == int(distribution.q) else distribution.q


def _stepped(low: float, high: float, step: float, size: int) -> FloatDistribution:
    """A range with a step where Optuna finds every multiple inside it, else without one."""
    with warnings.catch_warnings():
        # Optuna warns where it would have to lower ``high``; the range is then given without a step.
        warnings.simplefilter("ignore", UserWarning)
        stepped = FloatDistribution(low, high, step=step)
    drift = abs((high - low) / step - (size - 1))
    return stepped if stepped.high == high and drift < 1e-9 else FloatDistribution(low, high)
