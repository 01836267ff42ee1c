"""A regression that continues from its checkpoint: ``resuming.py --trainer=lightning --every=EPOCHS``.

``--every=0.5`` validates twice an epoch. It prints how many steps of training it did itself. Where a file ``halt``
names a number of iterations, it trains no further and waits to be killed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lightsweep

EPOCHS = 8
X = torch.linspace(-1, 1, 16).reshape(-1, 1)
Y = 3 * X + 0.5


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def halt(run: Any) -> None:
    """Wait where the test wants to kill the run."""
    asked = Path("halt")
    if asked.exists() and run.iterations >= int(asked.read_text()):
        Path("halted").touch()
    while asked.exists() and run.iterations >= int(asked.read_text()):
        time.sleep(0.05)


def with_lightning(run: Any, every: float) -> int:
    import lightning.pytorch as pl

    from lightsweep.integrations.lightning import SweepCallback

    class Model(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()
            self.steps = 0

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)

        def training_step(self, batch: Any, *_: Any) -> Any:
            halt(run)
            self.steps += 1
            return nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, *_: Any) -> None:
            self.log("eval_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    loader = DataLoader(TensorDataset(X, Y), batch_size=4)
    model = Model()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        callbacks=[SweepCallback()],
        val_check_interval=min(every, 1.0),
        check_val_every_n_epoch=max(1, round(every)),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader, loader, ckpt_path=run.checkpoint)
    return model.steps


class Points(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": X[index], "labels": Y[index]}


class Regression(nn.Module):
    def __init__(self, run: Any) -> None:
        super().__init__()
        self.run = run
        self.net = net()
        self.steps = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.training:
            halt(self.run)
            self.steps += 1
        predicted = self.net(x)
        return {"loss": nn.functional.mse_loss(predicted, labels), "logits": predicted}


def with_transformers(run: Any, every: float) -> int:
    from transformers import Trainer

    from lightsweep.integrations.transformers import SweepCallback, training_arguments

    arguments = training_arguments(
        run,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=4,
        learning_rate=0.1,
        eval_strategy="steps",
        eval_steps=round(4 * every),
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    model = Regression(run)
    trainer = Trainer(
        model=model, args=arguments, train_dataset=Points(), eval_dataset=Points(), callbacks=[SweepCallback()]
    )
    trainer.train(resume_from_checkpoint=run.checkpoint)
    return model.steps


TRAINERS: Mapping[str, Callable[[Any, float], int]] = {
    "lightning": with_lightning,
    "transformers": with_transformers,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer")
    parser.add_argument("--every", type=float)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with lightsweep.init() as run:
        print("begins at", run.iterations, "from", run.checkpoint, flush=True)
        print("steps", TRAINERS[asked.trainer](run, asked.every), flush=True)


if __name__ == "__main__":
    main()
