"""Convert the parameters of a run to Optuna's distributions and values for the storage, and back."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lightsweep.sampler.base import Searcher
from lightsweep.sampler.define_by_run import DefineByRunSearcher
from lightsweep.space import Distribution, Space, Value

# Optuna stores every number as a double, which holds integers exactly up to here.
EXACT = 2**53


def optuna_distribution(distribution: Distribution) -> BaseDistribution:
    """Return the Optuna distribution under which values of ``distribution`` are stored.

    Categorical values and constants become choices: as they are where all of them are ``None``, ``bool``, ``int``,
    finite ``float`` or ``str`` and no two are equal under ``==`` (``1 == True``), else each as a JSON string.
    Numbers become a range from the lowest to the highest value that the distribution gives, also if it is unbounded in
    theory, on a logarithmic axis for logarithmic distributions and with a step if that is exact.
    """
    if distribution.choices is not None:
        return CategoricalDistribution(_choices(distribution.choices))
    low, high = _range(distribution)
    log = distribution.traits.scale == "log" and low > 0
    step = distribution.traits.step
    if isinstance(low, int):
        low, high = int(float(low)), int(float(high))  # as a double rounds the values between them
        exact = max(abs(low), abs(high)) <= EXACT
        return IntDistribution(low, high, log=log, step=int(step or 1) if exact and not log else 1)
    if log or distribution.size is None or step is None:
        return FloatDistribution(low, high, log=log)
    return _stepped(low, high, step, distribution.size)


def to_optuna(distribution: Distribution, value: Value) -> Any:
    """Return what Optuna stores for ``value`` under ``optuna_distribution(distribution)``.

    Raises:
        ValueError: ``value`` is not one of the distribution's choices.
    """
    if distribution.choices is not None:
        return _choices(distribution.choices)[distribution.index_of(value)]
    return int(value) if isinstance(_range(distribution)[0], int) else float(value)


def from_optuna(distribution: Distribution, stored: Any) -> Value:
    """Return the value that the program gets, of its own type: the inverse of ``to_optuna``.

    Exact, except for whole numbers beyond 2**53, where a double cannot tell neighbours apart.

    Raises:
        ValueError: ``stored`` is not one of the distribution's choices.
    """
    if distribution.choices is not None:
        choices = _choices(distribution.choices)
        if stored not in choices:
            raise ValueError(f"{stored!r} is not one of the choices {choices!r}")
        return distribution.value_at(choices.index(stored))
    low, high = _range(distribution)
    return max(low, min(high, int(stored))) if isinstance(low, int) else float(stored)


def _choices(values: Sequence[Value]) -> list[Any]:
    if all(_is_plain(value) for value in values) and len(set(values)) == len(values):
        return list(values)
    return [json.dumps(value, default=str) for value in values]


def _is_plain(value: Value) -> bool:
    return value is None or isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))


def _range(distribution: Distribution) -> tuple[Any, Any]:
    """The lowest and the highest value of the distribution; ints for a distribution of ints."""
    return distribution.quantile(0.0), distribution.quantile(1.0)


def _stepped(low: float, high: float, step: float, size: int) -> FloatDistribution:
    """A range with a step if Optuna finds every multiple inside it, else without one."""
    with warnings.catch_warnings():
        # Optuna warns if it has to lower ``high``; the range is then given without a step.
        warnings.simplefilter("ignore", UserWarning)
        stepped = FloatDistribution(low, high, step=step)
    drift = abs((high - low) / step - (size - 1))
    return stepped if stepped.high == high and drift < 1e-9 else FloatDistribution(low, high)


def optuna_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the distribution in the storage of each parameter of a space, for a caller that stores many runs."""
    return {parameter.name: optuna_distribution(parameter.distribution) for parameter in space.parameters}


def params_to_optuna(
    space: Space,
    values: Mapping[str, Value],
    searcher: Searcher | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
) -> dict[str, tuple[BaseDistribution, Any]]:
    """Return for each parameter of a run its distribution in the storage, and the stored value.

    Args:
        space: The space of the config.
        values: The parameters of the run, flat.
        searcher: The searcher that suggested ``values``, which knows the distributions of parameters that a function
            defines by run.
        distributions: The space's :func:`optuna_distributions`, if the caller has them.

    Raises:
        ValueError: The parameter's distribution does not have a value.
    """
    stored = optuna_distributions(space) if distributions is None else distributions
    found = {
        parameter.name: (stored[parameter.name], to_optuna(parameter.distribution, values[parameter.name]))
        for parameter in space.parameters
        if parameter.name in values
    }
    if isinstance(searcher, DefineByRunSearcher):
        for name, distribution in searcher.distributions(values).items():
            found.setdefault(name, (distribution, values[name]))
    return found
