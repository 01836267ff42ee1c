"""The values of a boosting round by the names that W&B shows, for lightsweep's callbacks and for W&B's own.

XGBoost joins the names of data and metric by ``-`` (``eval-rmse``), LightGBM by ``_`` (``valid_0_l2``). Those of ``cv``
are pairs of a mean and a deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
