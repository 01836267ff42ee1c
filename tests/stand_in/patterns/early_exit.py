"""A script that stops itself with the best of its values, and writes files of its own choice."""

import json

import wandb

run = wandb.init()
best = None
for epoch in range(10):
    value = wandb.config.x / (epoch + 1)
    run.log({"loss": value}, step=epoch * 100)
    best = value if best is None else min(best, value)
    if epoch == 3:
        break
with open(f"{wandb.run.dir}/result.json", "w") as file:
    json.dump({"best": best, "step": run.step}, file)
wandb.run.save("result.json") if hasattr(wandb.run, "save") else None
