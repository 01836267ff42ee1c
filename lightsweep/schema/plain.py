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
MAX_BITS = 1000  # what a float can hold


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
            faults.error(path, "this integer has more than 300 digits, which is more than a number can have")
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
    faults.error(path, f"a value of type {type(value).__name__} cannot be kept as JSON{remedy}")
    return None


def _text(text: str, path: Path, faults: Faults) -> str | None:
    if text.isascii() or text.encode("utf-8", "replace").decode("utf-8") == text:
        return text
    faults.error(path, f"this text cannot be written as UTF-8: {ascii(text)[:100]}")
    return None


def _mapping(value: Mapping[Any, Any], path: Path, faults: Faults) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        name = _key(key, path, faults)
        if name is not None:
            result[name] = plain(item, (*path, name), faults)
    return result


def _key(key: object, path: Path, faults: Faults) -> str | None:
    if isinstance(key, str):
        return _text(str.__str__(key), path, faults)
    if key is not None and not isinstance(key, (int, float)):
        faults.error(path, f"a key of type {type(key).__name__} cannot be kept as JSON; write it as text")
        return None
    if isinstance(key, int) and key.bit_length() > MAX_BITS:
        faults.error(path, "a key is an integer with too many digits; write it as text")
        return None
    name = str(key)
    if path[:1] == ("parameters",):
        faults.error(path, f"the key {name} is not text; put it in quotes: {name!r}", key=True, at=(*path, name))
    return name
