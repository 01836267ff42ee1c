"""Arguments by argparse, given to `init`, read back from the config, logged with a step of its own."""

import argparse

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=5.0)
parser.add_argument("--epochs", type=int, default=4)
args = parser.parse_args()
wandb.init(project="demo", entity="team", config=args, name=f"x_{args.x}", tags=["a"], notes="first")
for epoch in range(args.epochs):
    wandb.log({"loss": wandb.config.x / (epoch + 1), "epoch": epoch}, step=epoch)
wandb.finish()
