"""Learning curves of random configurations, recorded once: ``python -m benchmarks.search.curves [NAME ...]``.

Stopping rules are replayed on them, see ``replay.py``. Each file in ``curves/`` has the parameters and the losses of
all configurations of one problem; a file that exists is not made again. The problems of ``HELD_OUT`` are never used to
choose anything in lightsweep.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.search import iterative, trainings
from benchmarks.search.problems import PROBLEMS, _floats, _ints, _log, _one_of
from lightsweep.sampler import make_searcher
from lightsweep.schema import SweepConfig

__all__ = ["CURVES", "HELD_OUT", "TUNED", "Table", "Task", "table"]

FOLDER = Path(__file__).parent / "curves"
Train = Callable[[Mapping[str, Any], int, int], list[float]]


@dataclass(frozen=True)
class Task:
    """A problem whose curves are recorded.

    Attributes:
        name: Its name in tables.
        parameters: The parameters of a sweep file.
        train: Takes values, a seed and the number of iterations; returns the loss after each.
        iterations: The length of a training.
        worst: Takes the place of each loss that is greater or not finite.
        configurations: How many random ones are recorded.
    """

    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    train: Train
    iterations: int
    worst: float
    configurations: int = 200

    def curve(self, values: Mapping[str, Any], seed: int) -> list[float]:
        """Losses after each iteration of the whole training."""
        with np.errstate(all="ignore"):
            losses = self.train(values, seed, self.iterations)
        losses += [math.nan] * (self.iterations - len(losses))
        return [min(loss, self.worst) if math.isfinite(loss) else self.worst for loss in losses]

    @property
    def recorded(self) -> Path:
        """The file of its curves."""
        return FOLDER / f"{self.name}.npz"


def _boosted(train: Callable[..., list[float]], values: Mapping[str, Any], seed: int, iterations: int) -> list[float]:
    del seed
    return train({**values, "rounds": iterations}, 0)


def _of(name: str, *without: str) -> dict[str, Mapping[str, Any]]:
    return {key: one for key, one in PROBLEMS[name].parameters.items() if key not in without}


_SCHEDULE = _one_of("constant", "cosine", "steps")
TUNED = (
    Task("digits-network", _of("digits-network"), trainings.digits_network, 30, 2.5, 150),
    Task("cancer-xgboost", _of("cancer-xgboost", "rounds"), partial(_boosted, trainings.cancer_xgboost), 60, 0.7),
    Task(
        "ratings-factors",
        {
            "rank": _ints(1, 16),
            "learning_rate": _log(1e-3, 10.0),
            "weight_decay": _log(1e-4, 3.0),
            "init": _log(0.01, 1.0),
            "batch_size": _one_of(50, 100, 200, 400, 1400),
            "momentum": _floats(0, 0.95),
            "schedule": _SCHEDULE,
        },
        iterative.factors,
        50,
        2.0,
    ),
    Task(
        "pendulum-policy",
        {
            "hidden": _one_of(2, 4, 8),
            "pairs": _ints(4, 24),
            "sigma": _log(0.01, 2.0),
            "learning_rate": _log(1e-2, 10.0),
            "momentum": _floats(0, 0.95),
            "weight_decay": _log(1e-6, 0.01),
            "ranked": _one_of(True, False),
        },
        iterative.pendulum_policy,
        60,
        12.0,
    ),
    Task(
        "spirals-network",
        {
            "learning_rate": _log(1e-3, 10.0),
            "optimizer": _one_of("sgd", "adam"),
            "momentum": _floats(0, 0.98),
            "width": _one_of(4, 8, 16, 32),
            "depth": _ints(1, 3),
            "batch_size": _one_of(20, 40, 80, 200),
            "init": _log(0.3, 3.0),
            "weight_decay": _log(1e-6, 1e-2),
            "schedule": _SCHEDULE,
        },
        iterative.spirals_network,
        81,
        1.5,
    ),
)
"""Curves that the rules were chosen on."""

HELD_OUT = (
    Task("waves-network", _of("waves-network"), trainings.waves_network, 30, 1.6, 150),
    Task("friedman-xgboost", _of("friedman-xgboost", "rounds"), partial(_boosted, trainings.friedman_xgboost), 80, 1.3),
    Task("words-linear", _of("words-linear"), trainings.words_linear, 30, 2.5),
    Task(
        "digits-autoencoder",
        {
            "learning_rate": _log(1e-4, 1.0),
            "optimizer": _one_of("sgd", "adam"),
            "momentum": _floats(0, 0.98),
            "width": _one_of(16, 32, 64),
            "code": _ints(2, 24),
            "batch_size": _one_of(20, 50, 100, 300),
            "init": _log(0.1, 3.0),
            "noise": _floats(0, 0.5),
            "weight_decay": _log(1e-6, 1e-2),
            "schedule": _SCHEDULE,
        },
        iterative.digits_autoencoder,
        50,
        0.4,
    ),
    Task(
        "cart-policy",
        {
            "learning_rate": _log(1.0, 3000.0),
            "episodes": _ints(2, 20),
            "discount": _floats(0.8, 1.0),
            "baseline": _floats(0, 1),
            "weight_decay": _log(1e-6, 0.1),
            "schedule": _SCHEDULE,
        },
        iterative.cart_policy,
        60,
        0.0,
    ),
)
"""Curves that nothing was chosen on."""

CURVES = {task.name: task for task in (*TUNED, *HELD_OUT)}


@dataclass(frozen=True)
class Table:
    """Recorded curves.

    Attributes:
        values: The parameters of each configuration.
        losses: Shape ``(configurations, iterations)``; lower is better.
    """

    values: list[dict[str, Any]]
    losses: npt.NDArray[np.float64]


@cache
def table(name: str) -> Table:
    """The recorded curves of a problem."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return Table(json.loads(str(file["values"])), file["losses"].astype(np.float64))


def record(task: Task) -> Table:
    """Train all configurations of a problem."""
    config = {
        "program": "train.py",
        "method": "random",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {name: dict(one) for name, one in task.parameters.items()},
    }
    searcher = make_searcher(SweepConfig.load(config), 0)
    values = [dict(searcher.suggest(number, []) or {}) for number in range(task.configurations)]
    losses = np.array([task.curve(one, number) for number, one in enumerate(values)], dtype=np.float32)
    return Table(values, losses)


def main() -> None:
    """Record the curves that are missing."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CURVES:
        path = CURVES[name].recorded
        if path.exists():
            continue
        start = time.process_time()
        found = record(CURVES[name])
        np.savez_compressed(path, values=json.dumps(found.values), losses=found.losses)
        ends = found.losses.min(axis=1)
        parts = np.quantile(ends, [0, 0.1, 0.5, 0.9]).round(4).tolist()
        print(f"{name}: {time.process_time() - start:.0f} s; best losses {parts}", flush=True)


if __name__ == "__main__":
    main()
