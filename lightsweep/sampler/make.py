"""The proposer that a config asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightsweep.sampler.tickets import GridProposer, RandomProposer

if TYPE_CHECKING:
    from lightsweep.sampler.observation import Proposer
    from lightsweep.schema import SweepConfig

__all__ = ["make_proposer"]


def make_proposer(config: SweepConfig, seed: int) -> Proposer:
    """The proposer for ``config.method`` and ``config.options.sampler``.

    Raises:
        InputError: The sampler needs a package that is not installed, or the scheduler's file cannot be used.
    """
    if config.method == "grid":
        return GridProposer(config.space)
    return RandomProposer(config.space, seed)
