"""The demo's training for each of some learning rates, by ``study.optimize`` in this process.

Arguments: the epochs and the learning rates. The working directory has the demo's ``train.py``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import lightning.pytorch as pl
import optuna
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from train import DEFAULTS, Classifier, Digits

epochs, rates = int(sys.argv[1]), list(map(float, sys.argv[2:]))
torch.set_num_threads(1)


class Report(pl.Callback):
    """Report each validation, as optuna-integration's callback does."""

    def __init__(self, trial):
        self.trial = trial

    def on_validation_end(self, trainer, _):
        """Report, and ask the pruner."""
        if not trainer.sanity_checking:
            self.trial.report(trainer.callback_metrics["val_acc"].item(), trainer.current_epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def objective(trial):
    """Train once, as the demo does."""
    torch.manual_seed(0)
    names = ("width", "depth", "dropout", "weight_decay", "optimizer")
    rate = trial.suggest_categorical("learning_rate", rates)
    model = Classifier(learning_rate=rate, **{name: DEFAULTS[name] for name in names})
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[Report(trial), ModelCheckpoint(monitor="val_acc", mode="max")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=Digits(DEFAULTS["batch_size"]))
    return trainer.callback_metrics["val_acc"].item()


sampler = optuna.samplers.GridSampler({"learning_rate": rates})
study = optuna.create_study(direction="maximize", sampler=sampler, pruner=optuna.pruners.NopPruner())
study.optimize(objective, n_trials=len(rates))
