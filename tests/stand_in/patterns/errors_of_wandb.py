"""Errors of the package, caught by name; a run that fails on purpose is told apart."""

import wandb
from wandb.errors import CommError, Error, UsageError

run = wandb.init()
try:
    run.use_artifact("team/demo/nothing:v3")
except (CommError, wandb.Error, UsageError, Error, ValueError) as error:
    print("no artifact:", type(error).__name__)
try:
    wandb.Api().run("team/demo/none")
except wandb.errors.CommError:
    print("no run")
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
