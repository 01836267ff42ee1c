"""Groups of parameters, read by item."""

import wandb

run = wandb.init(config={"optimizer": {"name": "sgd", "lr": 0.1}, "x": 0})
settings = wandb.config["optimizer"]
assert settings["name"] == "adam" and wandb.config.optimizer["lr"] == settings["lr"]
for epoch in range(4):
    run.log({"loss": settings["lr"] / (epoch + 1)})
