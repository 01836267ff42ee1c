"""Mistakes that a type checker must find: `tests/typed.py` reports a ``type: ignore`` that has become needless."""

from __future__ import annotations

import lightsweep
from lightsweep.integrations.distributed import on_every_rank
from lightsweep.integrations.lightning import SweepCallback as LightningCallback
from lightsweep.integrations.transformers import SweepCallback, training_arguments

LightningCallback(on_prune="stopp")  # type: ignore[arg-type]
LightningCallback(metrics="val_loss")  # type: ignore[call-arg]
LightningCallback(run="0001")  # type: ignore[arg-type]
SweepCallback(on_prune=True)  # type: ignore[arg-type]
SweepCallback(checkpoint="last.ckpt")  # type: ignore[arg-type]
run = lightsweep.init()
training_arguments("sweep.yaml")  # type: ignore[call-overload]
training_arguments(run, 3)  # type: ignore[call-overload]
on_every_rank(run).log(3)  # type: ignore[arg-type]
run.log({"val_loss": 1.0}, step="one")  # type: ignore[arg-type]
name: int = run.metric  # type: ignore[assignment]
