"""Names that scripts written for W&B call and that mean nothing to a sweep: accepted and ignored."""

from __future__ import annotations

from typing import Any

__all__ = ["alert", "define_metric", "login", "save", "unwatch", "watch"]


def watch(*_: Any, **__: Any) -> None:
    """Accepted for scripts written for W&B; does nothing."""


def login(*_: Any, **__: Any) -> bool:
    """Accepted for scripts written for W&B; always True, since there is no account."""
    return True


unwatch = define_metric = save = alert = watch
