"""Bringing any mapping into the form of JSON: what a config keeps as ``raw``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from lightsweep.schema.faults import Faults, Path

__all__ = ["plain", "shown"]

MAX_DEPTH = 100
MAX_BITS = 4096  # Python refuses to print integers of more than 4300 digits


def shown(value: object) -> str:
    """``value`` for a message: its repr, shortened to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain(value: Any, path: Path, faults: Faults) -> Any:
    """``value`` as dict, list, str, int, float, bool and None only.

    Tuples become lists, NumPy scalars Python numbers, paths and other keys than text become text. Whatever else,
    NaN, and nesting deeper than 100 levels is a fault at its path, and ``None`` in the result.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (np.generic, np.bool_)):
        value = value.item()
        if value is None or isinstance(value, bool):
            return value
    if isinstance(value, str):
        return _text(str.__str__(value), path, faults)
    if isinstance(value, int):
        if int(value).bit_length() > MAX_BITS:
            faults.error(
                path, f"this integer has about {int(value).bit_length() * 0.30103:.0f} digits; that is too many"
            )
            return None
        return int(value)
    if isinstance(value, float):
        if math.isnan(value):
            faults.error(path, "NaN is not a value that a sweep can hold")
            return None
        return float(value)
    if isinstance(value, os.PathLike):
        return _text(str(os.fspath(value)), path, faults)
    if len(path) > MAX_DEPTH:
        faults.error(path[:8], f"this value is nested deeper than {MAX_DEPTH} levels, or holds itself")
        return None
    if isinstance(value, Mapping):
        return _mapping(value, path, faults)
    if isinstance(value, (list, tuple)):
        return [plain(item, (*path, index), faults) for index, item in enumerate(value)]
    remedy = "; write it as a list" if isinstance(value, (np.ndarray, set, frozenset, range)) else ""
    faults.error(path, f"a value of type {type(value).__name__} cannot be kept as JSON{remedy}: {shown(value)}")
    return None


def _text(text: str, path: Path, faults: Faults) -> str | None:
    if text.isascii() or text.encode("utf-8", "replace").decode("utf-8") == text:
        return text
    faults.error(path, f"this text cannot be written as UTF-8: {text!a}"[:200])
    return None


def _mapping(value: Mapping[Any, Any], path: Path, faults: Faults) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        name = str.__str__(key) if isinstance(key, str) else str(key)
        if not isinstance(key, str) and path[:1] == ("parameters",):
            message = f"the key {shown(key)} is not text; put it in quotes: {str(key)!r}"
            faults.error(path, message, key=True, at=(*path, name))
        if _text(name, path, faults) is None:
            continue
        result[name] = plain(item, (*path, name), faults)
    return result
