"""Hugging Face's Trainer in a sweep: a callback, arguments from the run's config, and whole sweeps of Trainers.

Works with transformers from 4.46.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightsweep
from lightsweep.integrations.hf_arguments import ALIASES, training_arguments
from lightsweep.integrations.hf_callback import MetricMissingError, SweepCallback

if TYPE_CHECKING:
    from transformers import Trainer

    from lightsweep import Sweep
    from lightsweep.client import Run

__all__ = ["ALIASES", "MetricMissingError", "SweepCallback", "run_sweep", "training_arguments"]


def run_sweep(
    make_trainer: Callable[[Run], Trainer],
    config: str | Path | Mapping[str, Any],
    count: int | None = None,
    *,
    isolate: bool = False,
    storage: str | None = None,
) -> Sweep:
    """Create a sweep, train its runs one after the other, and return it.

    Args:
        make_trainer: Gets the run and makes a Trainer, which is given a `SweepCallback` if it has none, and trained.
        config: The path of a sweep file, or a dict.
        count: Number of runs; by default until the sweep is finished.
        isolate: Each run in a fresh process, so that memory does not pile up from run to run. ``make_trainer`` must
            then be a function of a module, and the script guard its work by ``if __name__ == "__main__"``, as
            multiprocessing needs it.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        ConfigError: The config is wrong.
        UsageError: ``isolate`` with a function that cannot be passed to another process.
    """
    sweep_id = lightsweep.sweep(config, storage=storage)
    lightsweep.agent(sweep_id, function=_Training(make_trainer), count=count, isolate=isolate, storage=storage)
    return lightsweep.Sweep.load(sweep_id, storage=storage)


class _Training:
    """The training function of a sweep; a class, so that another process can have it."""

    def __init__(self, make_trainer: Callable[[Run], Trainer]) -> None:
        self._make_trainer = make_trainer

    def __call__(self) -> None:
        with lightsweep.init() as run:
            trainer = self._make_trainer(run)
            if not any(isinstance(callback, SweepCallback) for callback in trainer.callback_handler.callbacks):
                trainer.add_callback(SweepCallback(run))
            trainer.train()
