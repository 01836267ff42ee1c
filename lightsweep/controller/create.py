"""Create a sweep as W&B's function of the same name does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightsweep.controller.sweep import Sweep
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage

__all__ = ["sweep"]


def sweep(
    sweep: SweepConfig | str | Path | Mapping[str, Any],
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] | None = None,
    *,
    storage: Storage | str | None = None,
) -> str:
    """Create a sweep and return its id.

    Args:
        sweep: The path of a YAML file, a dict, or a loaded config.
        entity: A label, as in W&B; kept where the config has none.
        project: A label, as in W&B; kept where the config has none.
        prior_runs: Sweeps in the same storage, or runs of them as ``SWEEP/RUN``, that bayes begins with.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        ConfigError: The config is wrong.
        StorageError: The storage cannot be opened.
    """
    config = sweep if isinstance(sweep, SweepConfig) else SweepConfig.load(sweep)
    config = config.labelled(entity=entity, project=project)
    return Sweep.create(config, prior_runs=prior_runs or (), storage=storage).id
