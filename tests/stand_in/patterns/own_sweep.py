"""A script that creates its sweep and runs a function as its agent."""

import wandb

sweep_config = {
    "method": "grid",
    "name": "own",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"values": [1, 2]}},
    "early_terminate": {"type": "hyperband", "min_iter": 2},
}


def main():
    wandb.init()
    for epoch in range(4):
        wandb.log({"loss": wandb.config.x / (epoch + 1)})


sweep_id = wandb.sweep(sweep=sweep_config, project="demo")
wandb.agent(sweep_id, function=main, count=2)
best = wandb.Api().sweep(f"team/demo/{sweep_id}").best_run()
assert best.config["x"] == 1, best.config
print("best", best.name, best.summary["loss"])
