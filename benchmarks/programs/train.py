"""A tiny Lightning training, one epoch for each turn that the benchmark gives; answers with what the epoch took.

Arguments: ``none``, ``ours``, or ``optuna`` with the URL and the name of a study. The answer to a turn is the seconds
of the epoch, its validation included, and the seconds spent in the hooks of the callback that is measured. ``ours`` is
one run of a sweep, started by an agent; the others train again for each ``"trial"``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 27
HOOKS = ("on_train_epoch_start", "on_train_batch_end", "on_validation_end", "on_train_epoch_end")
spent = [0.0]


def timed(kind: type) -> type:
    """A subclass whose hooks add what they take to ``spent``."""

    def wrapped(name: str) -> Callable[..., None]:
        def hook(self: Any, *arguments: Any) -> None:
            start = time.perf_counter()
            try:
                getattr(kind, name)(self, *arguments)
            finally:
                spent[0] += time.perf_counter() - start

        return hook

    return type(kind.__name__, (kind,), {name: wrapped(name) for name in HOOKS})


class Turns(pl.Callback):
    """Waits for its turn before each epoch, and says at its end what it took; stands behind what is measured."""

    def __init__(self, bench: Connection) -> None:
        self.bench = bench
        self.start = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.bench.recv()
        self.start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.bench.send((time.perf_counter() - self.start, spent[0]))
        spent[0] = 0.0


class Model(pl.LightningModule):
    """Two layers; its validation loss is better than that of every run in the database."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss: torch.Tensor = self.layers(batch[0]).square().mean()
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.layers(batch[0])
        self.log("val_loss", 0.05 + 0.01 / (self.current_epoch + 1))


def fit(bench: Connection, callbacks: list[pl.Callback]) -> None:
    """One training of all epochs."""
    data = DataLoader(TensorDataset(torch.ones(64, 16)), batch_size=16)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=[*callbacks, Turns(bench)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    spent[0] = 0.0
    trainer.fit(Model(), data, data)


def ours(bench: Connection) -> None:
    """One run of a sweep."""
    import lightsweep
    from lightsweep.integrations.lightning import SweepCallback

    with lightsweep.init():
        fit(bench, [timed(SweepCallback)()])


def without(bench: Connection) -> None:
    """No callback."""
    while bench.recv() == "trial":
        fit(bench, [])


def peer(bench: Connection, url: str, name: str) -> None:
    """optuna-integration's callback; the parameters are enqueued, so that no sampler is timed."""
    import optuna
    from optuna_integration import PyTorchLightningPruningCallback

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=url, pruner=optuna.pruners.HyperbandPruner())
    known = study.get_trials(deepcopy=False)[0]
    while bench.recv() == "trial":
        study.enqueue_trial(known.params)
        trial = study.ask(known.distributions)
        fit(bench, [timed(PyTorchLightningPruningCallback)(trial, monitor="val_loss")])
        study.tell(trial, 0.06)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with Client(os.environ["BENCH_ADDRESS"]) as connection:
        side: Callable[..., None] = {"none": without, "ours": ours, "optuna": peer}[sys.argv[1]]
        side(connection, *sys.argv[2:])
