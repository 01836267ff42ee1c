"""Types of the package in annotations, and its modules by their long names."""

from typing import Optional

import wandb
from wandb.sdk.wandb_run import Run


class Logger:
    def __init__(self, run: Optional[Run] = None, config: "wandb.sdk.wandb_config.Config" = None):
        self.run: wandb.wandb_run.Run = run or wandb.init()
        self.config = config or self.run.config

    def write(self, values: dict, table: Optional[wandb.Table] = None) -> None:
        self.run.log(data=values)


logger = Logger()
assert isinstance(logger.run, Run) and isinstance(logger.run, wandb.sdk.wandb_run.Run)
for epoch in range(4):
    logger.write({"loss": logger.config.x / (epoch + 1), 3: 4})
