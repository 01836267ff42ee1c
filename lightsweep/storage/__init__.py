"""The Optuna storage behind a sweep: opening it, and reading it fast."""

from __future__ import annotations

from lightsweep.storage.opening import Storage, open_storage, quiet
from lightsweep.storage.postgresql_trials import trials_of
from lightsweep.storage.url import default_url, mask, shown

__all__ = ["Storage", "default_url", "mask", "open_storage", "quiet", "shown", "trials_of"]
