"""The numbers in the dicts that a script logs, under flat names, and those of a boosting round by the names of W&B.

XGBoost joins the names of data and metric by ``-`` (``eval-rmse``), LightGBM by ``_`` (``valid_0_l2``). Those of ``cv``
are pairs of a mean and a deviation.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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


Evaluated = Mapping[str, Mapping[str, Sequence[Any]]]
"""XGBoost's record: the values of each round, by data and metric."""


class Value(NamedTuple):
    """A number of a round.

    Attributes:
        name: W&B's name.
        number: Its value.
        metric: The trainer's own name of the metric; empty for a deviation.
    """

    name: str
    number: float
    metric: str


def rounds_of(evaluated: Evaluated) -> int:
    """Return the number of rounds that XGBoost has evaluated."""
    return max((len(values) for metrics in evaluated.values() for values in metrics.values()), default=0)


def latest(evaluated: Evaluated) -> Iterator[Value]:
    """Yield the values of XGBoost's latest round."""
    for data, metrics in evaluated.items():
        for metric, values in metrics.items():
            name, value = f"{data}-{metric}", values[-1]
            if isinstance(value, tuple):
                yield Value(f"{name}-mean", value[0], metric)
                yield Value(f"{name}-std", value[1], "")
            else:
                yield Value(name, value, metric)


def results(found: Any) -> Iterator[Value]:
    """Yield the values of a round of LightGBM, of its ``evaluation_result_list``, which may be ``None``."""
    for result in found or []:
        data, metric, value = result[:3]
        if data == "cv_agg":  # up to LightGBM 4.6: the metric is "valid l2"
            data, _, metric = metric.partition(" ")
        name = f"{data}_{metric}"
        if len(result) > 4:
            yield Value(f"{name}-mean", value, metric)
            yield Value(f"{name}-stdv", result[4], "")
        else:
            yield Value(name, value, metric)
