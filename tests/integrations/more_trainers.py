"""XGBoost, LightGBM, Keras and accelerate, plugged into the contract; each is imported when it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["LightGBM", "XGBoost"]

X = np.arange(8.0).reshape(8, 1)
Y = 2 * X[:, 0]


class XGBoost:
    """``xgboost.train`` with a metric of its own."""

    metric = "eval-score"

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        import xgboost

        from lightsweep.integrations.xgboost import SweepCallback

        remaining = list(values)

        class Hook(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
            def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                hook(epoch)
                return False

        def score(*_: Any) -> tuple[str, float]:
            return "score" if log else "other", remaining.pop(0)

        data = xgboost.DMatrix(X, Y)
        xgboost.train(
            {"disable_default_eval_metric": True, "nthread": 1, "max_depth": 1},
            data,
            len(values),
            evals=[(data, "eval")],
            custom_metric=score,
            callbacks=[SweepCallback(on_prune=on_prune), Hook()],
            verbose_eval=False,
        )


class LightGBM:
    """``lightgbm.train`` with a metric of its own."""

    metric = "valid_0_score"

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        import lightgbm

        from lightsweep.integrations.lightgbm import SweepCallback

        remaining = list(values)

        def before(env: Any) -> None:
            hook(env.iteration)

        before.before_iteration = True  # type: ignore[attr-defined]

        def score(*_: Any) -> tuple[str, float, bool]:
            return "score" if log else "other", remaining.pop(0), False

        data = lightgbm.Dataset(X, Y)
        lightgbm.train(
            {"metric": "none", "num_threads": 1, "verbose": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1},
            data,
            len(values),
            valid_sets=[lightgbm.Dataset(X, Y, reference=data)],
            feval=score,
            callbacks=[SweepCallback(on_prune=on_prune), before],
        )
