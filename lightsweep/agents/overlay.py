"""Defaults of a script with the values of a sweep over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["overlay"]


def overlay(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` over ``defaults``, group by group."""
    merged = dict(defaults)
    for key, value in values.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = overlay(below, value)
        else:
            merged[key] = value
    return merged
