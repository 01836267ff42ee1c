"""A group of parameters that the script takes as one argument of JSON, as W&B passes it."""

import argparse
import json

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--optimizer", type=json.loads, default={"name": "sgd", "lr": 0.1})
args = parser.parse_args()
assert args.optimizer["name"] == "adam", args.optimizer
wandb.init(config=args)
for epoch in range(4):
    wandb.log({"loss": args.optimizer["lr"] / (epoch + 1)})
