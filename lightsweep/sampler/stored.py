"""The parameters of a run on their way into the Optuna storage and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution

from lightsweep.sampler.by_run import ByRunProposer
from lightsweep.sampler.natural import native_value, natural_distribution, natural_value

if TYPE_CHECKING:
    from lightsweep.sampler.observation import Proposer
    from lightsweep.space import Space, Value

__all__ = ["native_params", "natural_distributions", "natural_params"]


def natural_distributions(space: Space) -> dict[str, BaseDistribution]:
    """For each parameter of a space its distribution in the storage; for those who store many runs."""
    return {parameter.name: natural_distribution(parameter.distribution) for parameter in space.parameters}


def natural_params(
    space: Space,
    values: Mapping[str, Value],
    proposer: Proposer | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
) -> dict[str, tuple[BaseDistribution, Any]]:
    """For each parameter of a run its distribution in the storage and what is stored under it.

    Args:
        space: The space of the config.
        values: Of the run, flat.
        proposer: The one that proposed ``values``; it knows the distributions of parameters that a function of the
            user's defined by run, which are in no config.
        distributions: The space's :func:`natural_distributions`, where they are at hand.

    Raises:
        ValueError: A value is none of its parameter's.
    """
    stored = natural_distributions(space) if distributions is None else distributions
    found = {
        parameter.name: (stored[parameter.name], natural_value(parameter.distribution, values[parameter.name]))
        for parameter in space.parameters
        if parameter.name in values
    }
    if isinstance(proposer, ByRunProposer):
        for name, distribution in proposer.distributions(values).items():
            found.setdefault(name, (distribution, values[name]))
    return found


def native_params(space: Space, stored: Mapping[str, Any]) -> dict[str, Value]:
    """The values of a run, flat, from the parameters of its trial; those defined by run are as they are stored.

    Raises:
        ValueError: What is stored is none of its parameter's choices.
    """
    distributions = {parameter.name: parameter.distribution for parameter in space.parameters}
    return {
        name: native_value(distributions[name], value) if name in distributions else value
        for name, value in stored.items()
    }
