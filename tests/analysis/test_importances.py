"""Importance and correlation: the order of a known function, scikit-learn's own numbers, and runs that say little."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_runs import EVIL, config, made, sampled
from scipy import stats
from sklearn.inspection import permutation_importance

from lightsweep.analysis import importance
from lightsweep.analysis.importances import REPEATS, axes, linear, matrix, model, rank
from lightsweep.cli.analysis import _text
from lightsweep.controller.runs import Repeat

KNOWN: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "opt": {"values": ["sgd", "adam", EVIL]},
    "decay": {"min": 0.0, "max": 0.5},
    "null_width": {"values": [16, 32, 64, 128]},
    "null_rate": {"min": 0.0, "max": 1.0},
}


def known(values: Mapping[str, Any], chance: random.Random) -> float:
    """Strong in lr (on its logarithm) and in opt, weak in decay, and nothing in the others."""
    strong = 0.4 * (math.log10(values["lr"]) + 2.5) ** 2 + {"sgd": 0.0, "adam": 0.6, EVIL: 1.2}[values["opt"]]
    return strong + 1.2 * values["decay"] + chance.gauss(0.0, 0.05)


def right_order(seed: int) -> bool:
    found = importance(sampled(config(KNOWN), known, 60, seed), config(KNOWN))
    value = {each.name: each.importance or 0.0 for each in found.parameters}
    strong, null = min(value["lr"], value["opt"]), max(value["null_width"], value["null_rate"])
    assert found.warnings == ()
    return strong > value["decay"] > null


@pytest.mark.slow
def test_the_order_of_a_known_function_is_recovered_from_60_runs() -> None:
    right = [right_order(seed) for seed in range(20)]
    assert sum(right) >= 19, right


def test_the_numbers_are_those_of_scikit_learn() -> None:
    runs = sampled(config(KNOWN), known, 60)
    found = importance(runs, config(KNOWN))
    data = matrix(axes([run.values for run in runs], config(KNOWN)), [run.best or 0.0 for run in runs])
    assert data.x.shape == (60, 5)  # one column for each parameter, so a category is permuted as a whole
    fitted = model(data.categories, 60).fit(data.x, data.y)
    assert fitted.named_steps["columns"].transform(data.x).shape == (60, 4 + 3)  # but has no order for the forest
    theirs = permutation_importance(fitted, data.x, data.y, n_repeats=REPEATS, random_state=0)
    names = [parameter.name for parameter in config(KNOWN).space.searched]
    for place, name in enumerate(names):
        assert found[name].importance == pytest.approx(theirs.importances_mean[place])
        assert found[name].spread == pytest.approx(theirs.importances_std[place])
    assert found.fit == pytest.approx(fitted.named_steps["forest"].oob_score_)
    assert sum(each.share or 0.0 for each in found.parameters) == pytest.approx(1.0)
    with pytest.raises(KeyError):
        found["nothing"]


def test_the_same_runs_give_the_same_numbers() -> None:
    runs = sampled(config(KNOWN), known, 30)
    assert importance(runs, config(KNOWN)) == importance(runs, config(KNOWN))


def test_axes_are_those_of_the_distributions() -> None:
    space = config(
        {
            **KNOWN,
            "flag": {"values": [True, False]},
            "mixed": {"values": [1, "1", None, [1, 2]]},
            "q": {"distribution": "q_log_uniform_values", "min": 0.5, "max": 100, "q": 1},
            "normal": {"distribution": "normal"},
        }
    )
    runs = [run.values for run in sampled(space, lambda *_: 0.0, 20)]
    scales = {axis.name: axis.scale for axis in axes(runs, space)}
    assert scales == {
        "decay": "linear",
        "flag": "category",
        "lr": "log",
        "mixed": "category",
        "normal": "linear",
        "null_rate": "linear",
        "null_width": "rank",
        "opt": "category",
        "q": "log",
    }
    width = next(axis for axis in axes(runs, space) if axis.name == "null_width")
    places = {values["null_width"]: place for values, place in zip(runs, width.values, strict=True)}
    assert places == pytest.approx({16: 0, 32: 1 / 3, 64: 2 / 3, 128: 1})


def test_correlation_on_the_natural_axis() -> None:
    space = config({"lr": KNOWN["lr"], "opt": KNOWN["opt"]})
    runs = sampled(space, lambda values, chance: -math.log(values["lr"]) + chance.gauss(0, 0.5), 40)
    loss = np.array([run.best for run in runs], dtype=float)
    lr, opt = axes([run.values for run in runs], space)
    logs = [math.log(run.values["lr"]) for run in runs]
    assert linear(lr, loss) == pytest.approx(stats.pearsonr(logs, loss).statistic)
    assert rank(lr, loss) == pytest.approx(stats.spearmanr(logs, loss).statistic)
    found = importance(runs, space)
    assert found["lr"].correlation == pytest.approx(linear(lr, loss))
    # For a category: the multiple correlation with its indicators, as least squares finds it.
    indicators = np.array([[run.values["opt"] == value for value in ("sgd", "adam", EVIL)] for run in runs], float)
    fitted = indicators @ np.linalg.lstsq(indicators, loss, rcond=None)[0]
    assert linear(opt, loss) == pytest.approx(np.corrcoef(fitted, loss)[0, 1])
    assert found["opt"].rank_correlation == pytest.approx(linear(opt, stats.rankdata(loss)))


def test_one_run_that_diverged_does_not_decide_everything() -> None:
    runs = sampled(config(KNOWN), known, 60)
    wild = made({**runs[0].values, "null_rate": 0.99}, [1e300], 61)
    found = importance([*runs, wild], config(KNOWN))
    assert found.notes == ("outliers, whose values were clipped: 1 of 61 runs",)
    assert {each.name for each in found.parameters[:2]} == {"lr", "opt"}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_runs(count: int) -> None:
    found = importance(sampled(config(KNOWN), known, count), config(KNOWN))
    assert (found.runs, found.fit, len(found.parameters)) == (count, None, 5)
    assert all(each.importance is None and each.correlation is None for each in found.parameters)
    runs = "1 run" if count == 1 else f"{count} runs"
    assert found.warnings == (f"{runs} with a value, fewer than 4: nothing is computed",)


def test_few_runs_are_a_hint_only() -> None:
    found = importance(sampled(config(KNOWN), known, 12), config(KNOWN))
    assert found.parameters[0].importance is not None
    assert found.warnings[0] == "12 runs are few for 5 parameters: take this as a hint, and look again at 20"


def test_noise_explains_nothing() -> None:
    found = importance(sampled(config(KNOWN), lambda _, chance: chance.random(), 40), config(KNOWN))
    assert found.fit is not None
    assert found.fit < 0.2
    assert any("explain little of loss" in warning for warning in found.warnings)


def test_a_parameter_that_no_run_read_is_marked_and_doubted() -> None:
    runs = [replace(run, unread=("null_rate",)) for run in sampled(config(KNOWN), known, 30)]
    found = importance(runs, config(KNOWN))
    assert [each.name for each in found.parameters if each.unread] == ["null_rate"]
    assert found.warnings == ("no run read 'null_rate', so its numbers are chance",)
    assert all(each.unread == (each.name == "null_rate") for each in importance(runs[:2], config(KNOWN)).parameters)


def test_a_constant_metric() -> None:
    found = importance(sampled(config(KNOWN), lambda *_: 0.25, 30), config(KNOWN))
    assert found.warnings == ("loss is 0.25 in every run, so no parameter made a difference",)
    assert found.parameters[0].importance is None


@pytest.mark.parametrize("state", ["failed", "killed", "running"])
def test_none_that_ended_by_itself(state: str) -> None:
    runs = [made({"x": number / 9}, [number], number, state=state) for number in range(9)]
    found = importance(runs, config({"x": {"min": 0.0, "max": 1.0}}))
    assert found.runs == 0
    assert found.notes[0].startswith(f"left out: 9 {state} runs")


def test_all_stopped_early() -> None:
    runs = [made({"x": number / 30}, [float(number)], number, state="pruned") for number in range(30)]
    found = importance(runs, config({"x": {"min": 0.0, "max": 1.0}}))
    assert found["x"].share == 1.0
    assert found["x"].correlation == pytest.approx(1.0)
    assert "30 of 30 runs stopped early" in found.notes[0]


def test_a_parameter_that_was_the_same_in_all_runs() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}, "y": {"values": ["a", "b"]}, "z": {"min": 0.0, "max": 1.0}})
    runs = [made({"x": number / 30, "y": "b", "z": 0.5}, [float(number)], number) for number in range(30)]
    found = importance(runs, space)
    for name in ("y", "z"):
        assert found[name].importance == pytest.approx(0.0)
        assert found[name].correlation is None
        assert found[name].rank_correlation is None


def test_nothing_is_searched() -> None:
    found = importance([made({"x": 1}, [1.0])], config({"x": {"value": 1}}))
    assert (found.parameters, found.warnings) == ((), ("the sweep searches no parameter",))


def test_extreme_numbers_and_lists() -> None:
    space = config(
        {
            "wide": {"min": -1e300, "max": 1e300},
            "layers": {"values": [[8], [8, 8], {"a": None}]},
            "ends": {"values": [1, 2.5, float("inf")]},
        }
    )
    found = importance(sampled(space, lambda values, _: 8e307 * len(values["layers"]), 30), space)
    assert found.parameters[0].name == "layers"
    json.dumps(found.document(), allow_nan=False)


def test_forty_parameters() -> None:
    space = config({f"p{number:02d}": {"min": 0.0, "max": 1.0} for number in range(40)})
    found = importance(sampled(space, lambda values, _: values["p07"], 50), space)
    assert found.parameters[0].name == "p07"
    assert found.warnings[0].startswith("50 runs are few for 40 parameters")


def test_parameters_that_only_some_runs_have() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}})
    chance = random.Random(1)
    runs = []
    for number in range(40):
        values: dict[str, Any] = {"x": chance.random(), "kind": ("svm", "knn")[number % 2]}
        if number % 2:
            values["k"] = chance.random()
        runs.append(made(values, [values.get("k", 0.5)], number + 1))
    found = importance(runs, space)
    assert found.parameters[0].name == "k"
    assert (found["k"].correlation or 0.0) > 0.9
    assert found["kind"].scale == "category"
    json.dumps(found.document(), allow_nan=False)


def test_groups_of_repeats_are_counted_as_groups() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}}, lightsweep={"repeats": 2})
    repeated = [
        made(
            {"x": group / 7},
            [float(group)],
            2 * group + number,
            repeat=Repeat(group, number, 7, f"{2 * group + 1:04d}"),
        )
        for group in range(7)
        for number in (1, 2)
    ]
    found = importance(repeated, space)
    assert (found.runs, found.thing) == (7, "group")
    assert found.warnings[0].startswith("7 groups are few for 1 parameter")
    assert _text(found).startswith("importance for loss (minimize): 7 groups\n")
    assert importance(repeated[:4], space).warnings[0].startswith("2 groups with a value, fewer than 4")
