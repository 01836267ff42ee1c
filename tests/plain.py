"""A study as a program sees it that has Optuna alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna

__all__ = ["plain_study"]


@contextmanager
def plain_study(url: str, name: str) -> Iterator[optuna.Study]:
    """Load a study by the URL of its storage, and close what Optuna opens for it."""
    storage = optuna.storages.RDBStorage(url)
    try:
        yield optuna.load_study(storage=storage, study_name=name)
    finally:
        storage.engine.dispose()
