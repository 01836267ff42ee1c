"""The problems of the search benchmark: what is searched, and the training that gives the loss.

Each problem was written before the first change of a sampler, and half of them are never used to choose anything in
lightsweep (``HELD_OUT``): figures that the documentation states come from these. All data comes with scikit-learn or is
made here, each training takes about a tenth of a second on one core, and a loss that is not finite becomes the worst
loss of its problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.search import synthetic, trainings
from benchmarks.search.made import MadeLoss

__all__ = ["HELD_OUT", "PROBLEMS", "TUNED", "Problem"]

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One search problem; lower losses are better.

    Attributes:
        name: Its name in tables.
        parameters: The parameters of a sweep file.
        train: Takes the values and a seed, and returns the validation loss after each iteration.
        worst: Takes the place of each loss that is greater or not finite.
        noisy: Whether the seed changes the loss.
        real: Whether a model is trained.
    """

    name: str
    parameters: Mapping[str, Mapping[str, Any]]
    train: Callable[[Values, int], list[float]]
    worst: float
    noisy: bool = False
    real: bool = True

    def curve(self, values: Values, seed: int = 0) -> list[float]:
        """Losses after each iteration; the last is that of the run."""
        losses = self.train(values, seed if self.noisy else 0)
        return [min(loss, self.worst) if math.isfinite(loss) else self.worst for loss in losses]


def _log(low: float, high: float) -> dict[str, Any]:
    return {"distribution": "log_uniform_values", "min": low, "max": high}


def _ints(low: int, high: int) -> dict[str, Any]:
    return {"min": low, "max": high}


def _floats(low: float, high: float) -> dict[str, Any]:
    return {"min": float(low), "max": float(high)}


def _one_of(*values: Any) -> dict[str, Any]:
    return {"values": list(values)}


def _made(number: int) -> Problem:
    loss = MadeLoss(number)
    return Problem(f"made-{number}", loss.parameters, loss, 20.0, real=False)


_NETWORK = {
    "learning_rate": _log(1e-4, 1.0),
    "weight_decay": _log(1e-6, 1e-1),
    "momentum": _floats(0.0, 0.99),
    "width": _one_of(8, 16, 32, 64, 128),
    "depth": _ints(1, 3),
    "dropout": _floats(0.0, 0.6),
    "batch_size": _one_of(16, 32, 64, 128, 256),
    "optimizer": _one_of("sgd", "adam", "adamw"),
}
"""Momentum is dead unless the optimizer is SGD; a large learning rate diverges."""

TUNED = (
    Problem("digits-network", _NETWORK, trainings.digits_network, 2.5),
    Problem(
        "cancer-xgboost",
        {
            "eta": _log(1e-3, 1.0),
            "max_depth": _ints(1, 10),
            "min_child_weight": _log(0.1, 30.0),
            "subsample": _floats(0.3, 1.0),
            "colsample": _floats(0.2, 1.0),
            "reg_lambda": _log(1e-3, 100.0),
            "rounds": _ints(5, 60),
        },
        trainings.cancer_xgboost,
        0.7,
    ),
    Problem(
        "diabetes-svr",
        {
            "kernel": _one_of("rbf", "poly", "sigmoid", "linear"),
            "C": _log(1e-2, 1e3),
            "gamma": _log(1e-4, 10.0),
            "epsilon": _log(1e-3, 1.0),
            "degree": _ints(2, 4),
            "coef0": _floats(0.0, 1.0),
        },
        trainings.diabetes_svr,
        2.0,
    ),
    Problem("wine-ridge", {"alpha": _log(1e-5, 1e4), "degree": _ints(1, 3)}, trainings.wine_ridge, 3.0),
    Problem(
        "branin-mixed",
        {"x": _floats(-5, 10), "y": _floats(0, 15), "shift": _one_of("a", "b", "c")},
        synthetic.branin,
        310.0,
        real=False,
    ),
    Problem("levy-8", {f"x{number}": _floats(-10, 10) for number in range(8)}, synthetic.levy, 400.0, real=False),
    Problem(
        "styblinski-5", {f"x{number}": _floats(0, 1) for number in range(5)}, synthetic.styblinski, 1000.0, real=False
    ),
    Problem(
        "ellipsoid-mixed",
        {**{f"x{number}": _floats(0, 1) for number in range(6)}, "k": _one_of("a", "b", "c"), "n": _ints(0, 10)},
        synthetic.ellipsoid,
        20.0,
        real=False,
    ),
    Problem(
        "rates-made",
        {
            "lr": _log(1e-5, 1.0),
            "wd": _log(1e-6, 0.1),
            "opt": _one_of("sgd", "adam", "adamw"),
            "depth": _ints(1, 6),
            "drop": _floats(0, 0.6),
            "act": _one_of("relu", "tanh", "gelu"),
        },
        synthetic.rates,
        3.0,
        real=False,
    ),
    Problem(
        "wine-svm",
        {
            "scaler": _one_of("none", "standard", "minmax"),
            "kernel": _one_of("rbf", "poly", "sigmoid"),
            "C": _log(1e-3, 1e4),
            "gamma": _log(1e-5, 10.0),
            "coef0": _floats(0.0, 2.0),
        },
        trainings.wine_svm,
        1.6,
    ),
    Problem(
        "cancer-linear",
        {
            "alpha": _log(1e-7, 1.0),
            "l1_ratio": _floats(0.0, 1.0),
            "schedule": _one_of("constant", "optimal", "invscaling", "adaptive"),
            "eta0": _log(1e-5, 10.0),
            "power_t": _floats(0.1, 0.9),
            "average": _one_of(True, False),
            "passes": _ints(1, 12),
        },
        trainings.cancer_linear,
        1.5,
    ),
    Problem(
        "diabetes-trees",
        {
            "trees": _ints(1, 12),
            "max_depth": _ints(1, 16),
            "min_samples_leaf": _ints(1, 60),
            "min_samples_split": _ints(2, 100),
            "max_features": _floats(0.1, 1.0),
            "bootstrap": _one_of(True, False),
        },
        trainings.diabetes_trees,
        1.5,
    ),
    *(_made(number) for number in range(16)),
)
"""Problems that settings were chosen on."""

HELD_OUT = (
    Problem(
        "waves-network",
        {
            **_NETWORK,
            "warmup": _ints(0, 5),
            "schedule": _one_of("constant", "linear", "cosine"),
            "activation": _one_of("relu", "tanh", "gelu", "silu"),
            "label_noise": _floats(0.0, 0.3),
        },
        trainings.waves_network,
        1.6,
        noisy=True,
    ),
    Problem(
        "friedman-xgboost",
        {
            "eta": _log(1e-3, 1.0),
            "max_depth": _ints(1, 12),
            "min_child_weight": _log(0.1, 50.0),
            "subsample": _floats(0.2, 1.0),
            "colsample": _floats(0.2, 1.0),
            "reg_lambda": _log(1e-4, 100.0),
            "reg_alpha": _log(1e-4, 100.0),
            "gamma": _log(1e-4, 10.0),
            "grow_policy": _one_of("depthwise", "lossguide"),
            "rounds": _ints(5, 80),
        },
        trainings.friedman_xgboost,
        1.3,
    ),
    Problem(
        "digits-svm",
        {
            "scaler": _one_of("none", "standard", "minmax"),
            "components": _ints(2, 60),
            "C": _log(1e-3, 1e3),
            "gamma": _log(1e-6, 1e1),
        },
        trainings.digits_svm,
        0.91,
    ),
    Problem(
        "words-linear",
        {
            "loss": _one_of("log_loss", "modified_huber"),
            "penalty": _one_of("l2", "l1", "elasticnet"),
            "alpha": _log(1e-7, 1e-1),
            "l1_ratio": _floats(0.0, 1.0),
            "schedule": _one_of("constant", "optimal", "invscaling", "adaptive"),
            "eta0": _log(1e-4, 1.0),
            "power_t": _floats(0.1, 0.9),
            "unused_a": _floats(0.0, 1.0),
            "unused_b": _one_of("p", "q", "r"),
        },
        trainings.words_linear,
        2.5,
    ),
    Problem(
        "housing-forest",
        {
            "max_depth": _ints(2, 20),
            "min_samples_leaf": _ints(1, 40),
            "max_features": _floats(0.1, 1.0),
            "criterion": _one_of("squared_error", "absolute_error"),
            "bootstrap": _one_of(True, False),
        },
        trainings.housing_forest,
        1.2,
    ),
    Problem("hartmann-6", {f"x{number}": _floats(0, 1) for number in range(6)}, synthetic.hartmann, 0.0, real=False),
    Problem(
        "ackley-mixed",
        {
            **{f"x{number}": _floats(-32, 32) for number in range(4)},
            **{f"step{number}": _ints(-8, 8) for number in range(3)},
            "kind": _one_of("one", "two", "three", "four", "five"),
        },
        synthetic.ackley,
        25.0,
        real=False,
    ),
)
"""Problems that nothing was ever chosen on."""

PROBLEMS = {problem.name: problem for problem in (*TUNED, *HELD_OUT)}
