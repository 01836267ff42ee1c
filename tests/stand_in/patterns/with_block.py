"""A run as a `with` block, with the group and the kind of job."""

import wandb

with wandb.init(
    project="demo", group="study", job_type="train", reinit=True, settings=wandb.Settings(silent=True)
) as run:
    assert run.group == "study" and run.project == "demo"
    for epoch in range(4):
        run.log({"loss": run.config.x / (epoch + 1)})
