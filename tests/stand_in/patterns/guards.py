"""Logs that are guarded: by the run, by the package, by the rank."""

import os

try:
    import wandb
except ImportError:
    wandb = None

rank = int(os.environ.get("RANK", 0))
if wandb is not None and rank == 0:
    wandb.init()
x = wandb.config.x if wandb.run is not None else 1
for epoch in range(4):
    if wandb.run:
        wandb.log({"loss": x / (epoch + 1)})
if wandb.run is not None:
    wandb.run.finish()
assert wandb.run is None
