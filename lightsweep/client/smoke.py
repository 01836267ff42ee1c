"""What a callback and ``lightsweep check --smoke`` agree on: how long a smoke run is, and where its loss stands."""

from __future__ import annotations

__all__ = ["BATCH_LOSS", "SMOKE_STEPS"]

BATCH_LOSS = "lightsweep/batch_loss"
"""The name under which a callback reports the training loss after each step of a smoke run."""

SMOKE_STEPS = 20
"""How many steps a callback lets its trainer take in a smoke run, all on one batch where the trainer allows it."""
