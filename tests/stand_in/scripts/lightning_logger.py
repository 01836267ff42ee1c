"""A Lightning script as written for W&B: its logger is the only one that knows of a sweep.

Usage: ``lightning_logger.py PACKAGE [--strategy S] [--devices N] --x X``; ``PACKAGE`` is the module with ``Trainer``.
"""

import argparse
import importlib
import sys

import torch
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 4
PACKAGE = sys.argv[1]
pl = importlib.import_module(PACKAGE)

parser = argparse.ArgumentParser()
parser.add_argument("package")
parser.add_argument("--strategy", default="auto")
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--x", type=float)
parser.add_argument("--log-model", action="store_true")
parser.add_argument("--sweep-callback", action="store_true")


class Model(pl.LightningModule):
    def __init__(self, x):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        loss = (self.layer(batch[0]) ** 2).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", self.hparams.x / (1.0 + self.current_epoch), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def sweep_callback():
    from lightsweep.integrations.lightning import SweepCallback

    return SweepCallback()


def main(args):
    loggers = importlib.import_module(f"{PACKAGE}.loggers")
    logger = loggers.WandbLogger(project="demo", name="mine", log_model=args.log_model)
    if args.devices == 1:  # elsewhere only rank 0 has one
        logger.experiment.config["added"] = 1
    data = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        logger=logger,
        accelerator="cpu",
        devices=args.devices,
        strategy=args.strategy,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=args.log_model,
        callbacks=[sweep_callback()] if args.sweep_callback else [],
    )
    model = Model(args.x)
    logger.watch(model)
    trainer.fit(model, data, data)
    logger.log_image("samples", images=[torch.zeros(3, 4, 4).numpy()])
    logger.log_table("table", columns=["a"], data=[[1]])
    print("end of the script", trainer.global_rank, flush=True)


if __name__ == "__main__":
    main(parser.parse_args())
