"""Lightning: the sweep's values from the logger's experiment, its callback for the rate, a checkpoint."""

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import DataLoader, TensorDataset

import wandb


class Model(L.LightningModule):
    def __init__(self, x):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("loss", torch.tensor(float(self.hparams.x)) / (self.current_epoch + 1), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main():
    wandb.init(project="demo")
    logger = WandbLogger(project="demo", log_model=False)
    model = Model(x=wandb.config.x)
    logger.watch(model)
    data = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)
    trainer = L.Trainer(
        max_epochs=4,
        logger=logger,
        accelerator="cpu",
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        callbacks=[LearningRateMonitor(), ModelCheckpoint(dirpath=f"models/{logger.experiment.id}", monitor="loss")],
    )
    trainer.fit(model, data, data)
    print("trained")
    wandb.finish()


if __name__ == "__main__":
    main()
