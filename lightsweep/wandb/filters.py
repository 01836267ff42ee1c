"""The filters and the order of ``Api().runs``, in W&B's form: MongoDB's operators, and a sign before a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from lightsweep.errors import UsageError, closest

ABSENT = object()
"""What a run has for a key that it lacks."""

Look = Callable[[str], Any]
"""Returns what a run has for a dotted key, or ``ABSENT``."""


def _compares(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return the operation for values that can be compared; False for others."""

    def compare(found: Any, wanted: Any) -> bool:
        try:
            return found is not ABSENT and operation(found, wanted)
        except TypeError:
            return False

    return compare


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, (list, tuple)) and not isinstance(wanted, (list, tuple)):
        return wanted in found  # a tag among tags
    return bool(found == wanted) or (found is ABSENT and wanted is None)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda found, wanted: not _equal(found, wanted),
    "$gt": _compares(lambda found, wanted: found > wanted),
    "$gte": _compares(lambda found, wanted: found >= wanted),
    "$lt": _compares(lambda found, wanted: found < wanted),
    "$lte": _compares(lambda found, wanted: found <= wanted),
    "$in": lambda found, wanted: any(_equal(found, each) for each in wanted),
    "$nin": lambda found, wanted: not any(_equal(found, each) for each in wanted),
    "$exists": lambda found, wanted: (found is not ABSENT) == bool(wanted),
    "$regex": lambda found, wanted: isinstance(found, str) and re.search(wanted, found) is not None,
    "$not": lambda found, wanted: not _holds(found, wanted),
}


def matches(filters: Mapping[str, Any] | None, look: Look) -> bool:
    """Return whether a run has what the filters say.

    Args:
        filters: Keys with values, or with operators: ``{"config.lr": {"$lt": 0.1}, "$or": [{...}, {...}]}``.
        look: The run.

    Raises:
        UsageError: An operator is unknown, or the filters have another form.
    """
    if filters is None:
        return True
    if not isinstance(filters, Mapping):
        raise UsageError(f'filters must be a dict such as {{"config.lr": 0.1}}, got {filters!r}')
    return all(_of_key(key, wanted, look) for key, wanted in filters.items())


def _of_key(key: str, wanted: Any, look: Look) -> bool:
    if key in ("$and", "$or", "$nor"):
        found = [matches(each, look) for each in wanted]
        return all(found) if key == "$and" else any(found) == (key == "$or")
    if key.startswith("$"):
        raise UsageError(f"filters has no operator {key!r} between keys; it has $and, $or and $nor")
    found = look(key)
    if found is ABSENT and key.endswith(".value"):  # as W&B's older pages write config.lr.value
        found = look(key.removesuffix(".value"))
    return _holds(found, wanted)


def _holds(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping) or not any(str(name).startswith("$") for name in wanted):
        return _equal(found, wanted)
    for name in wanted:
        if name not in _OPERATORS:
            hint = closest(str(name), _OPERATORS) or f"; it has {', '.join(_OPERATORS)}"
            raise UsageError(f"filters has no operator {name!r}{hint}")
    return all(_OPERATORS[name](found, value) for name, value in wanted.items())


_R = TypeVar("_R")


def in_order(runs: Iterable[_R], order: str, look: Callable[[_R, str], Any]) -> list[_R]:
    """Return runs sorted by keys such as ``-summary_metrics.loss``, or several with commas between them.

    ``+`` or no sign is ascending, ``-`` descending; runs without a value, or with NaN, come last.
    """
    found = list(runs)
    for key in reversed([each.strip() for each in order.split(",") if each.strip()]):
        name, down = key.lstrip("+-"), key.startswith("-")
        valued = [(value, run) for run in found if (value := look(run, name)) is not ABSENT and value == value]
        try:
            valued.sort(key=lambda each: each[0], reverse=down)
        except TypeError:  # values of several types
            valued.sort(key=lambda each: str(each[0]), reverse=down)
        taken = [id(run) for _, run in valued]
        found = [run for _, run in valued] + [run for run in found if id(run) not in taken]
    return found


def below(level: Any, dotted: str) -> Any:
    """Return what nested mappings hold under a dotted name, or ``ABSENT``."""
    for part in dotted.split("."):
        if not isinstance(level, Mapping) or part not in level:
            return ABSENT
        level = level[part]
    return level
