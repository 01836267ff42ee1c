"""The numbers in the dicts that a script logs, under flat names."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from lightsweep.channel.messages import Numbers
from lightsweep.errors import UsageError, closest

_MOST_OTHERS = 20
_LONGEST_NAME = 200
_LONGEST_TEXT = 40
_MISSPELT = 0.8


def numbers(
    metrics: Any,
    others: dict[str, str] | None = None,
    always: str | None = None,
    left: dict[str, Any] | None = None,
) -> Numbers:
    """Return the numbers in ``metrics`` under flat names; nested mappings are joined with a dot.

    NumPy scalars and tensors of one element become floats; NaN and infinities stay. Other values (booleans, also those
    of NumPy and torch, text, images, lists, None) are left out, since scripts log them for other tools.

    Args:
        metrics: The dict that was logged.
        others: Takes the names that were left out, each with a description of its first value ("text ('0.5')"); only
            a few names.
        always: The name that is taken even if there are more.
        left: Takes the values that were left out, by flat name.

    Raises:
        UsageError: ``metrics`` is not a mapping, or a name is neither text nor a whole number.
    """
    if type(metrics) is not dict and not isinstance(metrics, Mapping):
        raise UsageError(
            f'log takes a dict of names and numbers such as {{"val_loss": 0.3}}, got {metrics!r} '
            f"({type(metrics).__name__})"
        )
    found = Numbers()
    for name, value in metrics.items():
        if type(value) is float and type(name) is str:
            found[name] = value
            continue
        for flat, each in _flat({name: value}):
            number = _number(each)
            if number is not None:
                found[flat] = number
                continue
            if left is not None:
                left[flat] = each
            if others is not None:
                room = len(others) < _MOST_OTHERS and len(flat) <= _LONGEST_NAME
                if flat not in others and (room or flat == always):
                    others[flat] = _described(each)
    return found


def warn_misspelt(metric: str, found: Mapping[str, float]) -> bool:
    """Warn at once if the metric may have another name here, rather than after the whole training; tell whether."""
    if not closest(metric, found, cutoff=_MISSPELT):
        return False
    names = ", ".join(map(repr, found)) + closest(metric, found)
    print(
        f"lightsweep: this log has no {metric!r}, the metric of the sweep; it has {names}\n"
        f"lightsweep: a run that never logs {metric!r} fails",
        file=sys.stderr,
    )
    return True


def _flat(metrics: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in metrics.items():
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str):
            raise UsageError(f"the name of a metric must be text, got {name!r} ({type(name).__name__})")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _number(value: Any) -> float | None:
    value = _item(value)
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _item(value: Any) -> Any:
    """Return the Python value inside a NumPy scalar or a tensor of one element; any other ``value`` unchanged."""
    try:
        return value.item()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return value  # among them arrays and tensors of more than one element


def _described(value: Any) -> str:
    """Describe a value that is not a number: ``text ('0.5')``, ``a tensor of 4 elements``."""
    if isinstance(value, str):
        return f"text ({value!r})" if len(value) <= _LONGEST_TEXT else f"text ({value[:_LONGEST_TEXT]!r}...)"
    if value is None:
        return "None"
    if isinstance(item := _item(value), bool):
        return f"a boolean ({item})"
    if isinstance(value, int):
        return "an integer beyond every float"
    kind = {"Tensor": "tensor", "ndarray": "array"}.get(type(value).__name__, type(value).__name__)[:_LONGEST_TEXT]
    named = f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
    try:
        count = len(value) if isinstance(value, (list, tuple)) else math.prod(value.shape)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return named
    return f"{named} of {count} element{'' if count == 1 else 's'}"
