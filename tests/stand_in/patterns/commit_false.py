"""Several logs of one step, the last one of which commits."""

import wandb

run = wandb.init()
for epoch in range(4):
    wandb.log({"epoch": epoch}, commit=False)
    wandb.log({"train": {"loss": 1.0, "accuracy": 0.5}}, commit=False)
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
assert run.summary["train"]["loss"] == run.summary["train.loss"] == 1.0
