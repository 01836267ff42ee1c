"""The best value after a number of runs: a real small search.

A multilayer perceptron on scikit-learn's digits, six epochs, validation log-loss, lower is better; seven parameters
as a sweep file would give them. Every line is the mean over the same seeds, with the standard error of the mean. The
sampler is driven as an agent drives it, one run after the other; ``TPE of Optuna`` is its default sampler with
``suggest_categorical`` for the values in a list, as its users write it.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from benchmarks.fixtures import distributions
from benchmarks.sizes import Scale
from benchmarks.tables import Table
from lightsweep.sampler import Observation, make_searcher
from lightsweep.schema import SweepConfig

__all__ = ["tables"]

_SPACE: dict[str, Any] = {
    "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
    "alpha": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
    "momentum": {"min": 0.5, "max": 0.99},
    "width": {"values": [8, 16, 32, 64]},
    "depth": {"min": 1, "max": 3},
    "batch_size": {"values": [32, 64, 128]},
    "activation": {"values": ["relu", "tanh", "logistic"]},
}
_EPOCHS = 6
_WORST = 5.0
"""The value of a diverged run, so that a mean over seeds exists."""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table: a line for each sampler, a column for each number of runs."""
    del directory
    marks = sorted({max(1, round(scale.budget * part)) for part in (0.3, 0.6, 1.0)})
    searches: dict[str, Callable[[int, int], tuple[list[float], float]]] = {
        "lightsweep bayes (gp)": lambda seed, budget: _ours("bayes", "gp", seed, budget),
        "lightsweep bayes (tpe)": lambda seed, budget: _ours("bayes", "tpe", seed, budget),
        "lightsweep random": lambda seed, budget: _ours("random", "auto", seed, budget),
        "TPE of Optuna": _optuna,
    }
    rows = []
    for name, search in searches.items():
        found = [search(seed, scale.budget) for seed in range(scale.seeds)]
        best = [[min(losses[:mark]) for losses, _ in found] for mark in marks]
        proposing = sum(seconds for _, seconds in found) / (scale.seeds * scale.budget)
        rows.append([name, *map(_mean, best), f"{proposing * 1000:.3g} ms"])
    yield Table(
        f"Mean best validation loss, {scale.seeds} seeds",
        ["", *(f"after {mark} runs" for mark in marks), "processor time per proposal"],
        rows,
    )


def _ours(method: str, sampler: str, seed: int, budget: int) -> tuple[list[float], float]:
    """Losses in order, and seconds of processor time spent on proposals."""
    config = SweepConfig.load(
        {
            "program": "train.py",
            "method": method,
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": _SPACE,
            "lightsweep": {"sampler": sampler},
        }
    )
    searcher = make_searcher(config, seed)
    known: list[Observation] = []
    losses: list[float] = []
    proposing = 0.0
    for ticket in range(budget):
        start = time.process_time()
        values = searcher.suggest(ticket, known)
        proposing += time.process_time() - start
        assert values is not None, "the space has more points than the budget"
        losses.append(_train(values))
        known.append(Observation(str(ticket), ticket, values, "finished", (losses[-1],), 1))
    return losses, proposing


def _optuna(seed: int, budget: int) -> tuple[list[float], float]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = distributions(SweepConfig.load({"program": "train.py", "method": "random", "parameters": _SPACE}))
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    losses: list[float] = []
    proposing = 0.0
    for _ in range(budget):
        start = time.process_time()
        trial = study.ask(space)
        proposing += time.process_time() - start
        losses.append(_train(trial.params))
        study.tell(trial, losses[-1])
    return losses, proposing


@cache
def _data() -> list[np.ndarray[Any, Any]]:
    images, digits = load_digits(return_X_y=True)
    return list(train_test_split(images / 16.0, digits, test_size=0.25, random_state=0, stratify=digits))


def _train(values: Mapping[str, Any]) -> float:
    """Validation loss of one training; its weights are drawn alike for all."""
    train_x, test_x, train_y, test_y = _data()
    model = MLPClassifier(
        hidden_layer_sizes=(values["width"],) * values["depth"],
        activation=values["activation"],
        solver="sgd",
        learning_rate_init=values["learning_rate"],
        momentum=values["momentum"],
        alpha=values["alpha"],
        batch_size=values["batch_size"],
        max_iter=_EPOCHS,
        random_state=0,
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model.fit(train_x, train_y)
            loss = float(log_loss(test_y, np.clip(model.predict_proba(test_x), 1e-12, 1.0), labels=range(10)))
        except ValueError:  # scikit-learn's word for weights that are not finite
            return _WORST
    return min(loss, _WORST) if np.isfinite(loss) else _WORST


def _mean(values: list[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ± {error:.3f}"
