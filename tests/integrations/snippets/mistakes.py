"""Mistakes that a type checker must find: each line with a mark is one."""

from __future__ import annotations

import lightsweep
from lightsweep.integrations.distributed import on_every_rank
from lightsweep.integrations.lightning import SweepCallback as LightningCallback
from lightsweep.integrations.transformers import SweepCallback, training_arguments

LightningCallback(on_prune="stopp")  # mistake
LightningCallback(metrics="val_loss")  # mistake
LightningCallback(run="0001")  # mistake
SweepCallback(on_prune=True)  # mistake
SweepCallback(checkpoint="last.ckpt")  # mistake
run = lightsweep.init()
training_arguments("sweep.yaml")  # mistake
training_arguments(run, 3)  # mistake
on_every_rank(run).log(3)  # mistake
run.log({"val_loss": 1.0}, step="one")  # mistake
name: int = run.metric  # mistake
