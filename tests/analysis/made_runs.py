"""Runs made up from an objective, without a storage."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from lightsweep import SweepConfig
from lightsweep.controller import SweepRun
from lightsweep.sampler import make_searcher

EVIL = "</script><img src=x onerror=alert(1)>"
BEGIN = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def config(parameters: Mapping[str, Any], **keys: Any) -> SweepConfig:
    """A random sweep over ``parameters`` that minimizes ``loss``."""
    raw = {"method": "random", "program": "train.py", "metric": {"name": "loss"}, "parameters": parameters, **keys}
    return SweepConfig.load({key: value for key, value in raw.items() if value is not None})


def made(values: Mapping[str, Any], history: Sequence[float], number: int = 1, **keys: Any) -> SweepRun:
    """A finished run with these reports, unless told otherwise."""
    counted = [value for value in history if math.isfinite(value)]
    fields: dict[str, Any] = {
        "id": f"{number:04d}",
        "state": "finished",
        "config": dict(values),
        "values": dict(values),
        "best": min(counted, default=None),
        "last": history[-1] if history else None,
        "iterations": len(counted),
        "history": tuple(counted),
        "started": BEGIN + timedelta(minutes=number),
        "ended": BEGIN + timedelta(minutes=number + 5),
        "metrics": {"loss": {"min": min(counted), "max": max(counted), "last": history[-1]}} if counted else {},
    }
    return SweepRun(**{**fields, **keys})


def sampled(
    config: SweepConfig, objective: Callable[[Mapping[str, Any], random.Random], float], count: int, seed: int = 0
) -> list[SweepRun]:
    """Finished runs of a random search with one report each."""
    searcher = make_searcher(config, seed)
    runs = []
    for ticket in range(count):
        values = searcher.suggest(ticket, [])
        assert values is not None
        loss = objective(values, random.Random(1000 * seed + ticket))
        runs.append(made(values, [loss], ticket + 1, config=config.space.nest(values)))
    return runs
