"""Modes, variables and keys of the service, set by the script itself."""

import os

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["WANDB_API_KEY"] = "0" * 40

import wandb

wandb.login(key=os.environ["WANDB_API_KEY"], relogin=True)
wandb.require("core")
wandb.setup()
run = wandb.init(
    mode="disabled", anonymous="allow", settings=wandb.Settings(start_method="thread", _disable_stats=True)
)
for epoch in range(4):
    wandb.log({"loss": wandb.config.x / (epoch + 1)})
wandb.termlog("ended")
wandb.alert(title="ended", text="all of it", level=wandb.AlertLevel.INFO)
run.log_code(".")
wandb.finish(quiet=True)
wandb.teardown()
