"""The metric that a sweep improves, or several of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lightsweep.schema.blocks import Block, Number, Text, Truth, check
from lightsweep.schema.faults import Faults
from lightsweep.schema.plain import shown

__all__ = ["Metric", "read_metrics"]


class Metric(Block):
    """What a sweep improves."""

    name: Text
    """The name under which the training script logs it."""
    goal: Literal["minimize", "maximize"] = "minimize"
    """Whether smaller or larger values are better."""
    target: Number | None = None
    """The sweep finishes once any run reaches this value; of several metrics the first one's counts."""
    impute: Literal["worst", "best", "latest"] = "worst"
    """The value that a failed, crashed or killed run counts with in a bayes search."""
    impute_while_running: Truth = False
    """Whether a running run counts with its imputed value."""


def read_metrics(raw: Mapping[str, Any], faults: Faults) -> tuple[Metric, ...]:
    """The metrics of a config: none, the one of ``metric``, or those of ``metrics`` in their order."""
    one, several = raw.get("metric"), raw.get("metrics")
    if several is None:
        metric = None if one is None else check(Metric, one, ("metric",), faults, "metric")
        return (metric,) if metric else ()
    if one is not None:
        faults.error(("metrics",), "give either metric or metrics, not both", key=True)
    if not isinstance(several, list) or len(several) < 2:
        faults.error(
            ("metrics",), f"metrics is a list of two metrics or more, got {shown(several)}; one goes into metric"
        )
        return ()
    read = [check(Metric, item, ("metrics", index), faults, "a metric") for index, item in enumerate(several)]
    metrics = tuple(metric for metric in read if metric)
    names: dict[str, int] = {}
    for index, metric in enumerate(read):
        if metric and metric.name in names:
            faults.error(("metrics", index, "name"), f"the metric {metric.name!r} stands twice in metrics")
        elif metric:
            names[metric.name] = index
    return metrics
