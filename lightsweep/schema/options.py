"""The ``lightsweep:`` block: everything that W&B does not have, so that deleting it gives a plain W&B config back."""

from __future__ import annotations

from typing import Any, Literal

from lightsweep.schema.blocks import Block, Count, Positive, Texts, check
from lightsweep.schema.faults import Faults

__all__ = ["Options", "read_options"]


class Options(Block):
    """What only lightsweep knows."""

    sampler: Literal["auto", "gp", "tpe", "cmaes", "qmc", "random"] = "auto"
    """The Optuna sampler behind method bayes; auto is gp, and tpe where that gets too slow."""
    seed: Count | None = None
    """Makes the proposals repeatable; without it each sweep draws a seed of its own."""
    max_retries: Count = 0
    """How often a run that failed is started again."""
    max_preemptions: Count = 5
    """How often a run that was lost with its agent or machine, or preempted, is started again."""
    lease: Positive = 60.0
    """Seconds without a sign of life after which a run counts as lost."""
    prior_runs: Texts = ()
    """Sweeps of the same storage, or runs of them as SWEEP/RUN, that bayes begins with."""
    stages: Any = None
    """What is searched first, and what is searched then, with the best of before; a list of stages."""


def read_options(value: Any, faults: Faults) -> Options:
    """The options of a config; the defaults where there are none or where they are wrong."""
    block = None if value is None else check(Options, value, ("lightsweep",), faults, "lightsweep")
    return block or Options()
