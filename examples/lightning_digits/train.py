"""A multilayer perceptron on scikit-learn's handwritten digits; on its own it trains with the defaults below."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses
from torch.utils.data import DataLoader, TensorDataset

import lightsweep
from lightsweep.integrations.lightning import SweepCallback

DEFAULTS = {
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "width": 64,
    "depth": 2,
    "dropout": 0.1,
    "batch_size": 64,
    "optimizer": "adamw",
    "epochs": 27,
}


class Digits(pl.LightningDataModule):
    """1,797 images of 8 x 8 pixels; a fixed fifth of them is for validation."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        images, labels = load_digits(return_X_y=True)
        parts = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
        train_x, val_x, train_y, val_y = map(torch.as_tensor, parts)
        self.train = TensorDataset(train_x.float(), train_y)
        self.val = TensorDataset(val_x.float(), val_y)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(self.val, batch_size=len(self.val))


class Classifier(pl.LightningModule):
    """``depth`` hidden layers of ``width`` units."""

    def __init__(
        self, width: int, depth: int, dropout: float, learning_rate: float, weight_decay: float, optimizer: str
    ) -> None:
        super().__init__()
        self.learning_rate, self.weight_decay, self.optimizer = learning_rate, weight_decay, optimizer
        layers: list[nn.Module] = []
        for inputs in [64, *[width] * (depth - 1)]:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 10))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002 - Lightning's
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_acc", (logits.argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                self.parameters(), lr=self.learning_rate, momentum=0.9, weight_decay=self.weight_decay
            )
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with lightsweep.init(config=DEFAULTS) as run:
        config = run.config
        model = Classifier(
            width=config.width,
            depth=config.depth,
            dropout=config.dropout,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            optimizer=config.optimizer,
        )
        trainer = pl.Trainer(
            max_epochs=config.epochs,
            accelerator="cpu",
            callbacks=[SweepCallback(), ModelCheckpoint(monitor="val_acc", mode="max")],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, datamodule=Digits(config.batch_size))
        print(f"val_acc {float(trainer.callback_metrics['val_acc']):.4f}")


if __name__ == "__main__":
    main()
