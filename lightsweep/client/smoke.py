"""What a callback and ``lightsweep check --smoke`` agree on: how long a smoke run is, and where its loss stands."""

from __future__ import annotations

__all__ = ["BATCH_LOSS", "SMOKE_STEPS", "STEP_LOSS"]

BATCH_LOSS = "lightsweep/batch_loss"
"""The name under which a callback reports the training loss of each step where all are on the same batch."""

STEP_LOSS = "lightsweep/step_loss"
"""The same where each step is on another batch."""

SMOKE_STEPS = 20
"""How many steps a callback lets its trainer take in a smoke run, all on one batch where the trainer allows it."""
