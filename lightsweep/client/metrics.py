"""From what a script logs to names and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightsweep.errors import UsageError

__all__ = ["numbers", "whole_step"]


def numbers(metrics: Any) -> dict[str, float]:
    """The numbers in ``metrics`` under flat names; nested mappings are joined with a dot.

    Bools, numpy scalars and tensors of one element become floats; NaN and infinities stay. Whatever is no number
    (text, images, lists, None) is left out, since scripts log those for other tools.

    Raises:
        UsageError: Not a mapping, or a name that is not text.
    """
    if not isinstance(metrics, Mapping):
        raise UsageError(
            f'log takes a dict of names and numbers such as {{"val_loss": 0.3}}, got {metrics!r} '
            f"({type(metrics).__name__})"
        )
    found: dict[str, float] = {}
    _collect(metrics, "", found)
    return found


def whole_step(step: Any) -> int | None:
    """``step`` as an int; ``None`` stays. Raises ``UsageError`` for what is no number."""
    if step is None:
        return None
    try:
        return int(step)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"step must be a whole number or None, got {step!r}") from None


def _collect(metrics: Mapping[Any, Any], prefix: str, found: dict[str, float]) -> None:
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise UsageError(f"the name of a metric must be text, got {name!r} ({type(name).__name__})")
        if isinstance(value, Mapping):
            _collect(value, f"{prefix}{name}.", found)
            continue
        number = _number(value)
        if number is not None:
            found[prefix + name] = number


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)):
        if callable(getattr(value, "item", None)):
            try:
                value = value.item()
            except (TypeError, ValueError, RuntimeError):
                return None  # more than one element
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
            return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
