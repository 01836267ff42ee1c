"""One run after the other in one process, the second for the evaluation."""

import wandb

run = wandb.init(project="demo", job_type="train")
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
wandb.finish()
evaluation = wandb.init(project="demo", job_type="evaluation", reinit=True)
evaluation.log({"accuracy": 0.5})
evaluation.finish()
