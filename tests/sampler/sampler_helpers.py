"""Configs and runs for the tests of the samplers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightsweep.sampler import Observation, Searcher
from lightsweep.schema import SweepConfig

MIXED = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "width": {"values": [16, 32, 64]},
    "optimizer": {"values": ["adam", "sgd", "lion"]},
    "dropout": {"min": 0.0, "max": 0.5},
    "epochs": {"value": 27},
    "layers": {"min": 1, "max": 4},
}
FINITE = {"a": {"values": ["x", "y", "z"]}, "b": {"values": [1, 2, 4, 8]}, "c": {"value": [1, 2]}}
QUADRATIC = {name: {"min": 0.0, "max": 1.0} for name in ("x", "y")}


def sweep(parameters: Mapping[str, Any], method: str = "bayes", sampler: str = "auto", **keys: Any) -> SweepConfig:
    """A config over ``parameters`` whose metric is the loss, unless ``keys`` say otherwise."""
    given = {"parameters": dict(parameters)} if parameters else {}
    metric = {} if "metrics" in keys else {"metric": {"name": "loss"}}
    return SweepConfig.load({"method": method, "lightsweep": {"sampler": sampler}, **given, **metric, **keys})


def run(ticket: int, values: Mapping[str, Any], *objectives: float, state: Any = "finished") -> Observation:
    """The run for a ticket; without objectives it logged nothing finite."""
    return Observation(f"run-{ticket}", ticket, values, state, objectives or None, version=1)


def play(
    searcher: Searcher, count: int, objective: Callable[[Mapping[str, Any]], float], state: Any = "finished"
) -> list[Observation]:
    """``count`` runs, one after the other, that end as ``state``."""
    runs: list[Observation] = []
    for ticket in range(count):
        values = searcher.suggest(ticket, runs)
        assert values is not None
        runs.append(run(ticket, values, objective(values), state=state))
    return runs


def best(runs: list[Observation]) -> float:
    """The smallest objective."""
    return min(run.objectives[0] for run in runs if run.objectives)


def quadratic(values: Mapping[str, Any]) -> float:
    """Smallest, 0, at x = 0.3 and y = 0.7."""
    return float((values["x"] - 0.3) ** 2 + 2 * (values["y"] - 0.7) ** 2)
