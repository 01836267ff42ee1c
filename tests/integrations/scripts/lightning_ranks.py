"""A tiny Lightning training in which every rank sees another value: ``lightning_ranks.py STRATEGY [DEVICES]``.

The n-th validation logs n + rank + x of the config, averaged over the ranks. Each rank notes in ``run.dir`` where it
has come to. What the environment may ask for: EPOCHS, SLEEP (seconds a step), BREAK (rank:epoch), ON_PRUNE, RESUME
and CHECKPOINT.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import lightsweep
from lightsweep.integrations.lightning import SweepCallback

RANK, EPOCH = (os.environ.get("BREAK") or "-1:-1").split(":")


def data(samples: int = 8) -> Any:
    return DataLoader(TensorDataset(torch.ones(samples, 2)), batch_size=2)


class Note(pl.Callback):
    """Stands before the callback of the sweep, and notes what this rank did last."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def note(self, trainer: Any, what: str) -> None:
        with (self.directory / f"rank{trainer.global_rank}.txt").open("a") as file:
            file.write(f"{what} {trainer.global_step}\n")

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.note(trainer, "batch")

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.note(trainer, "validation")


class Model(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.register_buffer("rounds", torch.zeros(1))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def training_step(self, batch: Any, *_: Any) -> Any:
        time.sleep(float(os.environ.get("SLEEP", "0")))
        return self.layer(batch[0]).square().mean()

    def validation_step(self, *_: Any) -> None: ...

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            offset = lightsweep.init().config.get("x", 0)
            self.log("val_loss", float(self.rounds) + self.global_rank + offset, sync_dist=True)
            self.rounds += 1

    def on_train_epoch_start(self) -> None:
        if self.global_rank == int(RANK) and self.current_epoch == int(EPOCH):
            raise ValueError("broken on one rank")


def main() -> None:
    strategy = sys.argv[1]
    devices = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    with lightsweep.init() as run:
        checkpoint = {"0": False, "1": True}.get(os.environ.get("CHECKPOINT", ""))
        callback: Any = SweepCallback(on_prune=os.environ.get("ON_PRUNE", "raise"), checkpoint=checkpoint)  # type: ignore[arg-type]
        trainer = pl.Trainer(
            strategy=strategy,
            devices=devices,
            accelerator="cpu",
            callbacks=[Note(run.dir), callback],
            max_epochs=int(os.environ.get("EPOCHS", "6")),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Model(), data(), data(), ckpt_path=run.checkpoint if "RESUME" in os.environ else None)
    print("end of the script", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    time.sleep(0.5)  # torch may abort a process whose last collective is not put away when Python ends
