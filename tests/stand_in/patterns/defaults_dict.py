"""Defaults in a dict; the config is read by attribute, by item and as keyword arguments."""

import wandb

defaults = {"x": 9.0, "layers": 2, "name": "net"}
wandb.init(config=defaults, project="demo")
config = wandb.config
assert config["layers"] == config.layers == 2
assert "x" in config and dict(config)["name"] == "net"
assert set(config.keys()) >= {"x", "layers", "name"}


def train(x, layers, name):
    for epoch in range(4):
        wandb.log({"loss": x / (epoch + 1), "size": layers})


train(**config)
