"""A parameter of the sweep that the script writes to: W&B warns and keeps the sweep's value."""

import wandb

wandb.init(config={"batch": 3})
wandb.config.update({"batch": 4, "epochs": 4}, allow_val_change=True)
wandb.config.extra = "new"
x = wandb.config.x
wandb.config.x = 100
wandb.config.update({"x": 100}, allow_val_change=True)
assert wandb.config.x == x, wandb.config.x
wandb.config.setdefaults({"x": 7, "late": 1})
assert (wandb.config.x, wandb.config.late, wandb.config.get("none", 0)) == (x, 1, 0)
for epoch in range(wandb.config.epochs):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
