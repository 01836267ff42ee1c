"""A script whose second point fails, with its reason."""

import wandb

wandb.init()
if wandb.config.x == 2:
    raise ValueError("no such thing as 2")
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
