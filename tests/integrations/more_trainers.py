"""XGBoost, LightGBM, Keras, accelerate and a trainer of its own, plugged into the contract; imported when used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Accelerate", "Keras", "LightGBM", "XGBoost"]

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


class Keras:
    """``Model.fit`` with a metric of its own, one batch an epoch."""

    metric = "val_score"

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        import keras

        from lightsweep.integrations.keras import SweepCallback

        epochs = [0]

        class Hook(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                epochs.append(epoch)
                hook(epoch)

        def score(truth: Any, predicted: Any) -> Any:
            return keras.ops.full_like(truth, values[epochs[-1]])

        score.__name__ = "score" if log else "other"
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[score])
        callbacks = [Hook(), SweepCallback(on_prune=on_prune)]
        model.fit(X / 8, Y / 8, epochs=len(values), validation_data=(X, Y), verbose=0, callbacks=callbacks)


class Accelerate:
    """A loop with accelerate's tracker, which is the user's own loop."""

    metric = "val_loss"

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        from accelerate import Accelerator

        from lightsweep.integrations.accelerate import SweepTracker

        accelerator = Accelerator(cpu=True, log_with=SweepTracker())
        accelerator.init_trackers("project")
        for epoch, value in enumerate(values):
            hook(epoch)
            accelerator.log({"val_loss" if log else "other": value}, step=epoch)
        accelerator.end_training()
