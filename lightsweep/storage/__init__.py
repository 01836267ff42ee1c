"""The Optuna storage behind a sweep: opening it, and reading it fast."""

from __future__ import annotations

from lightsweep.storage.opening import Storage, open_storage, quiet
from lightsweep.storage.trial_reader import TrialReader, TrialRow
from lightsweep.storage.trial_writer import TrialWriter
from lightsweep.storage.url import DEFAULT_URL, default_url, mask

__all__ = [
    "DEFAULT_URL",
    "Storage",
    "TrialReader",
    "TrialRow",
    "TrialWriter",
    "default_url",
    "mask",
    "open_storage",
    "quiet",
]
