"""A run that says that it is about to be preempted, and is tried again."""

from pathlib import Path

import wandb

run = wandb.init()
if not Path(f"seen-{wandb.config.x}").exists():
    Path(f"seen-{wandb.config.x}").touch()
    wandb.log({"loss": 50.0})
    wandb.mark_preempting()
    raise SystemExit(3)
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
