"""Code as users of Lightning write it."""

from __future__ import annotations

import lightning.pytorch as pl

import lightsweep
from lightsweep.integrations.lightning import MetricMissingError, SweepCallback


def main() -> None:
    with lightsweep.init(config={"epochs": 3, "model": {"hidden": 8}}) as run:
        trainer = pl.Trainer(max_epochs=run.config.epochs, callbacks=[SweepCallback()])
        other = pl.Trainer(callbacks=[SweepCallback(run, metric="val_acc", on_prune="stop", checkpoint=True)])
        model = pl.LightningModule()
        try:
            trainer.fit(model, ckpt_path=run.checkpoint)
            other.fit(model)
        except lightsweep.RunPruned as pruned:
            reason: str = pruned.reason
            print(reason)
        except MetricMissingError as missing:
            print(missing)
