"""A script that looks at an earlier run of its sweep by the public interface."""

import wandb

run = wandb.init()
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
if wandb.config.x == 1:
    runs = wandb.Api().sweep(run.sweep_id).runs
    assert any(each.id == run.id for each in runs), [each.id for each in runs]
