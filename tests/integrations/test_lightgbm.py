"""LightGBM's callback: names, ends and checkpoints."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest

import lightsweep
from lightsweep.client import serving
from lightsweep.errors import RunPruned
from lightsweep.integrations.lightgbm import SweepCallback
from scripted import ScriptedHandler

X = np.linspace(-1, 1, 64).reshape(-1, 1)
Y = 3 * X[:, 0] + 0.5
QUIET: dict[str, Any] = {"objective": "l2", "num_threads": 1, "verbose": -1, "min_data_in_leaf": 2, "num_leaves": 4}


def train(rounds: int = 4, callbacks: Any = None, **options: Any) -> lightgbm.Booster:
    data = lightgbm.Dataset(X, Y)
    return lightgbm.train(
        QUIET,
        data,
        rounds,
        valid_sets=[data, lightgbm.Dataset(X[::2], Y[::2], reference=data)],
        valid_names=["training", "valid_0"],
        callbacks=[SweepCallback()] if callbacks is None else callbacks,
        **options,
    )


def reported(handler: ScriptedHandler, name: str) -> list[float]:
    return [log["metrics"][name] for log in handler.logs if name in log["metrics"]]


def test_every_number_of_a_round_is_logged_by_the_name_that_wandb_shows() -> None:
    handler = ScriptedHandler(metric="valid_0_l2")
    results: dict[str, Any] = {}
    with serving(handler), lightsweep.init():
        train(callbacks=[SweepCallback(), lightgbm.record_evaluation(results)])
    assert reported(handler, "valid_0_l2") == results["valid_0"]["l2"]
    assert reported(handler, "training_l2") == results["training"]["l2"]
    assert [log.get("last", False) for log in handler.logs] == [False, False, False, True]


def test_cross_validation_reports_means() -> None:
    handler = ScriptedHandler(metric="valid_l2-mean", stop_at=3)
    with serving(handler), lightsweep.init(), pytest.raises(RunPruned):
        data = lightgbm.Dataset(X, Y, free_raw_data=False)
        lightgbm.cv(QUIET, data, 9, nfold=2, stratified=False, callbacks=[SweepCallback()])
    assert len(reported(handler, "valid_l2-mean")) == len(reported(handler, "valid_l2-stdv")) == 3
