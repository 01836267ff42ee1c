"""The Optuna storage behind a sweep: opening it, and reading it fast."""

from __future__ import annotations

from lightsweep.storage.ledger import Ledger, Record
from lightsweep.storage.opening import Storage, open_storage, quiet
from lightsweep.storage.passwords import mask
from lightsweep.storage.trials import Trials
from lightsweep.storage.url import DEFAULT_URL, default_url

__all__ = ["DEFAULT_URL", "Ledger", "Record", "Storage", "Trials", "default_url", "mask", "open_storage", "quiet"]
