"""Keras' callback: names, epochs without validation, ends and checkpoints."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lightsweep
from lightsweep.client import serving
from lightsweep.integrations.keras import MetricMissingError, SweepCallback
from scripted import ScriptedHandler

# Keras with torch reads tensors into NumPy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

X = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
Y = 3 * X + 0.5


def model() -> Any:
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse", metrics=["mae"])
    return made


def fit(epochs: int = 4, trained: Any = None, callbacks: Any = None, **options: Any) -> Any:
    options = {"validation_data": (X, Y), "batch_size": 16, "shuffle": False, "verbose": 0, **options}
    callbacks = [SweepCallback()] if callbacks is None else callbacks
    return (trained or model()).fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


def reported(handler: ScriptedHandler, name: str) -> list[float]:
    return [log["metrics"][name] for log in handler.logs if name in log["metrics"]]


@pytest.mark.parametrize("metric", ["val_loss", "epoch/val_loss"])
def test_every_number_of_an_epoch_is_logged(metric: str) -> None:
    handler = ScriptedHandler(metric=metric)
    with serving(handler), lightsweep.init():
        history = fit().history
    assert reported(handler, metric) == history["val_loss"]
    assert {"loss", "mae", "val_mae"} <= set(handler.logs[0]["metrics"])
    assert [log.get("last", False) for log in handler.logs] == [False, False, False, True]


def test_epochs_without_a_validation_are_no_reports() -> None:
    handler = ScriptedHandler(metric="val_mae")
    with serving(handler), lightsweep.init():
        history = fit(5, validation_freq=2).history
    assert reported(handler, "val_mae") == history["val_mae"]
    assert len(handler.logs) == 2


@pytest.mark.parametrize(
    ("metric", "options", "says"),
    [
        ("val_los", {}, r"did you mean 'val_loss'\?.*Give fit validation_data"),
        ("val_loss", {"validation_data": None}, "it has logged 'loss', 'mae'"),
        ("accuracy", {}, "Compile the model with the metric"),
    ],
)
def test_a_missing_metric_names_what_there_is(metric: str, options: dict[str, Any], says: str) -> None:
    handler = ScriptedHandler(metric=metric)
    with serving(handler), pytest.raises(MetricMissingError, match=says), lightsweep.init():
        fit(**options)
    assert [finish["state"] for finish in handler.finishes] == ["failed"]
