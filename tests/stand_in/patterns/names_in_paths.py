"""Names and ids of the run in the names of files."""

import os

import wandb

run = wandb.init(dir=".", resume="allow", id=None)
folder = os.path.join("checkpoints", run.id)
os.makedirs(folder)  # fails if two runs have one id
wandb.run.name = f"x{wandb.config.x}-" + wandb.run.id
with open(f"best_{run.id}.txt", "w") as file:
    file.write(run.name + run.path + str(run.url) + run.get_url())
for epoch in range(4):
    run.log({"loss": wandb.config["x"] / (epoch + 1)})
