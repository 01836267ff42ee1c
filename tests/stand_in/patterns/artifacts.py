"""A model as an artifact, used again by the same run and found by its alias."""

from pathlib import Path

import wandb

run = wandb.init(job_type="train")
artifact = wandb.Artifact(name="model", type="model", metadata={"x": wandb.config.x}, description="a model")
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
Path("model.bin").write_text("weights")
artifact.add_file("model.bin")
run.log_artifact(artifact, aliases=["latest", f"x-{wandb.config.x}"])
artifact.wait()
folder = run.use_artifact("model:latest", type="model").download()
assert (Path(folder) / "model.bin").read_text() == "weights"
run.log_model(path="model.bin", name="again")
run.finish()
