"""When two values of a parameter are the same one."""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable

from lightsweep.space.base import Value, describe

__all__ = ["fresh", "identity"]


def identity(value: Value) -> Hashable:
    """A hashable that is equal for equal values: 1 and 1.0 are one value, 1 and True are two.

    Lists (tuples count as lists), dicts and sets are compared deep by the same rule; the order of a dict's keys does
    not matter; every NaN is the same value.

    Raises:
        ValueError: ``value`` holds something that cannot be hashed.
    """
    if isinstance(value, bool) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, (int, float)):
        return ("number", "nan" if math.isnan(value) else value)
    if isinstance(value, str):
        return ("str", str(value))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(identity(item) for item in value))
    if isinstance(value, dict):
        return ("dict", frozenset((identity(key), identity(item)) for key, item in value.items()))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(identity(item) for item in value))
    if isinstance(value, Hashable):
        return (type(value).__qualname__, value)
    raise ValueError(f"a parameter cannot have a value of type {type(value).__name__}: {describe(value)}")


def fresh(value: Value) -> Value:
    """``value`` itself, or a deep copy where it is mutable, so that nobody can change a parameter's values."""
    return copy.deepcopy(value) if isinstance(value, (list, tuple, dict, set)) else value
