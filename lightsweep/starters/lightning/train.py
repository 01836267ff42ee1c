"""Train a small network on two spirals with Lightning. Replace the data and the model by yours."""

import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import lightsweep
from lightsweep.integrations.lightning import SweepCallback


def spirals(count, seed):
    """Return points on two spirals, one behind the other, and the spiral of each: 0 or 1."""
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 2, (count,), generator=random)
    turn = 1.5 * torch.rand(count, generator=random).clamp(min=0.04).sqrt()
    angle = 2 * torch.pi * turn + torch.pi * label
    points = turn[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return TensorDataset(points + 0.05 * torch.randn(points.shape, generator=random), label)


class Classifier(pl.LightningModule):
    def __init__(self, width, learning_rate, weight_decay):
        super().__init__()
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2)
        )

    def training_step(self, batch):
        points, label = batch
        return functional.cross_entropy(self.layers(points), label)

    def validation_step(self, batch):
        points, label = batch
        scores = self.layers(points)
        self.log("val_loss", functional.cross_entropy(scores, label))
        self.log("val_accuracy", (scores.argmax(dim=1) == label).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)


if __name__ == "__main__":
    pl.seed_everything(0)
    with lightsweep.init() as run:
        config = run.config
        trainer = pl.Trainer(
            max_epochs=27,
            callbacks=[SweepCallback()],  # reports the metric after each validation, and stops the run inside of fit
            default_root_dir=run.dir,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
        )
        trainer.fit(
            Classifier(config.width, config.learning_rate, config.weight_decay),
            DataLoader(spirals(2000, seed=1), batch_size=config.batch_size, shuffle=True),
            DataLoader(spirals(1000, seed=2), batch_size=1000),
        )
