"""Smoke runs in a training script: the names of their losses, and the cut of the script's loaders of data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

BATCH_LOSS = "lightsweep/batch_loss"
"""The name under which a callback reports the training loss of each step if all steps are on the same batch."""

STEP_LOSS = "lightsweep/step_loss"
"""The same if each step is on another batch."""

SMOKE_STEPS = 20
"""How many steps a smoke run takes by default: those of a trainer, or batches of a pass over a loader."""

_restores: list[Callable[[], None]] = []
"""The actions that undo the cut of the loaders; empty if they are not cut."""


def cut_loaders(batches: int) -> None:
    """Let each pass over a ``DataLoader`` of torch end after so many batches, if the script has imported torch."""
    kind: Any = getattr(sys.modules.get("torch.utils.data"), "DataLoader", None)
    if kind is None or _restores:
        return
    passes, length = kind.__iter__, kind.__len__

    def restore() -> None:
        kind.__iter__, kind.__len__ = passes, length

    _restores.append(restore)
    kind.__iter__ = lambda loader: islice(passes(loader), batches)
    kind.__len__ = lambda loader: min(length(loader), batches)


def restore_loaders() -> None:
    """Undo the cut of the loaders."""
    while _restores:
        _restores.pop()()


def are_cut() -> bool:
    """Tell whether the loaders are cut."""
    return bool(_restores)
