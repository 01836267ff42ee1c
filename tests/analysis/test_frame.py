"""The frame of runs: one row each, parameters in their types."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from made_runs import BEGIN, EVIL, config, made

from lightsweep.analysis import dataframe

NAN = float("nan")
KINDS: dict[str, Any] = {
    "depth": {"min": 1, "max": 5},
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "width": {"values": [64, 16, 32]},
    "rate": {"values": [0, 0.5]},
    "flag": {"values": [True, False]},
    "model": {"parameters": {"act": {"values": ["relu", "gelu", EVIL]}}},
    "mixed": {"values": [1, True, "1", None]},
    "layers": {"values": [[8, 8], [16]]},
    "huge": {"values": [2**70, 1]},
    EVIL: {"value": 3},
}
FIRST = {"depth": 2, "lr": 0.01, "width": 16, "rate": 0, "flag": True, "model.act": "gelu"}
FIRST |= {"mixed": True, "layers": [16], "huge": 2**70, EVIL: 3}
SECOND = {**FIRST, "rate": 0.5, "flag": False, "model.act": EVIL, "mixed": None, "layers": [8, 8], "huge": 1}


def test_parameters_have_their_types() -> None:
    frame = dataframe([made(FIRST, [1.0]), made(SECOND, [2.0], 2)], config(KINDS))
    kinds = {name.removeprefix("config."): str(kind) for name, kind in frame.dtypes.items() if "config." in name}
    assert kinds == {
        "depth": "int64",
        "lr": "float64",
        "width": "int64",
        "rate": "float64",
        "flag": "bool",
        "model.act": "category",
        "mixed": "object",
        "layers": "object",
        "huge": "object",
        EVIL: "int64",
    }
    assert list(frame["config.model.act"]) == ["gelu", EVIL]
    assert list(frame["config.model.act"].cat.categories) == ["relu", "gelu", EVIL]
    assert [type(value) for value in frame["config.mixed"]] == [bool, type(None)]
    assert list(frame["config.layers"]) == [[16], [8, 8]]
    assert list(frame["config.huge"]) == [2**70, 1]


def test_a_run_without_parameters_yet_leaves_the_types() -> None:
    frame = dataframe([made(FIRST, [1.0]), made({}, [], 2, state="running", ended=None)], config(KINDS))
    assert str(frame["config.depth"].dtype) == "Int64"
    assert str(frame["config.flag"].dtype) == "boolean"
    assert frame.loc[1, [f"config.{name}" for name in FIRST]].isna().all()
    assert frame.loc[0, "config.depth"] == 2
    assert pd.isna(frame.loc[1, "best"])
    assert frame.loc[1, "iterations"] == 0


def test_the_columns_of_a_run() -> None:
    metrics = {"loss": {"min": 1.0, "max": 3.0, "last": 2.0}, EVIL: {"min": NAN, "max": float("inf"), "last": 1.0}}
    run = made({"x": 0.5}, [3.0, 1.0, 2.0], state="pruned", reason="too slow", metrics=metrics)
    frame = dataframe([run], config({"x": {"min": 0.0, "max": 1.0}}))
    fields = ["id", "state", "best", "last", "iterations", "started", "ended", "reason", "config.x"]
    ends = [f"{which}.{name}" for name in (EVIL, "loss") for which in ("last", "min", "max")]
    assert list(frame.columns) == [*fields, *ends]
    row = frame.iloc[0]
    assert (row["id"], row["state"], row["best"], row["last"], row["iterations"]) == ("0001", "pruned", 1.0, 2.0, 3)
    assert (row["ended"] - row["started"]).total_seconds() == 300
    assert row["started"] == BEGIN + (row["started"] - pd.Timestamp(BEGIN))
    assert str(frame["started"].dt.tz) == "UTC"
    assert row[f"max.{EVIL}"] == float("inf")
    assert row["max.loss"] == 3.0


@pytest.mark.parametrize("parameters", [KINDS, {"x": {"value": None}}])
def test_no_runs(parameters: dict[str, Any]) -> None:
    frame = dataframe([], config(parameters))
    assert len(frame) == 0
    assert str(frame["started"].dtype).startswith("datetime64")
    assert frame["best"].dtype == "float64"


def test_parameters_that_only_the_runs_know() -> None:
    runs = [made({"x": 0.1, "gamma": 2}, [1.0]), made({"x": 0.2}, [1.0], 2)]
    frame = dataframe(runs, config({"x": {"min": 0.0, "max": 1.0}}))
    assert str(frame["config.gamma"].dtype) == "Int64"
    assert pd.isna(frame.loc[1, "config.gamma"])


def test_many_runs_are_one_frame() -> None:
    runs = [made({"x": number / 5000}, [float(number)], number) for number in range(5000)]
    assert len(dataframe(runs, config({"x": {"min": 0.0, "max": 1.0}}))) == 5000


def test_prior_runs_are_marked() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    own = made({"x": 0.1, "y": 0.2}, [3.0], 1)
    frame = dataframe([own, made({"x": 0.2}, [2.0], id="p0001", prior=True)], space)
    assert frame["prior"].tolist() == [False, True]
    assert frame["config.y"].isna().tolist() == [False, True]
    assert "prior" not in dataframe([own], space).columns
