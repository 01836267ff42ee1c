"""Narrow each kind of parameter for the next sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from made_runs import config

from lightsweep import SweepConfig
from lightsweep.analysis.refinement import Block, narrow


def narrowed(keys: dict[str, Any], best: Any, top: Sequence[Any], tried: Sequence[Any] | None = None) -> Block:
    """Narrow one parameter; its new block is valid, unless an error says otherwise."""
    distribution = config({"x": keys}).space.parameters[0].distribution
    block = narrow(distribution, keys, best, top, top if tried is None else tried)
    SweepConfig.load({"method": "random", "parameters": {"x": block.keys}})
    return block


@pytest.mark.parametrize(
    ("keys", "top", "expected"),
    [
        ({"min": 0.0, "max": 1.0}, [0.5, 0.5], {"distribution": "uniform", "min": 0.45, "max": 0.55}),
        ({"min": 1, "max": 9}, [4, 6], {"distribution": "int_uniform", "min": 3, "max": 7}),
        (
            {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
            [1e-3, 1e-3],
            {"distribution": "log_uniform_values", "min": 7.94e-4, "max": 1.26e-3},
        ),
        (
            {"distribution": "log_uniform", "min": -9, "max": -5},
            [1e-3, 1e-3],
            {"distribution": "log_uniform_values", "min": 8.18e-4, "max": 1.23e-3},
        ),
        (
            {"distribution": "inv_log_uniform", "min": 5, "max": 9},
            [1e-3, 1e-3],
            {"distribution": "inv_log_uniform_values", "min": 8.18e-4, "max": 1.23e-3},
        ),
        (
            {"distribution": "q_uniform", "min": 0, "max": 100, "q": 5},
            [40, 50],
            {"distribution": "q_uniform", "min": 35, "max": 55, "q": 5},
        ),
        (
            {"distribution": "q_log_uniform_values", "min": 8, "max": 512, "q": 8},
            [64, 128],
            {"distribution": "q_log_uniform_values", "min": 48, "max": 160, "q": 8},
        ),
        ({"distribution": "beta", "a": 2, "b": 2}, [0.5, 0.6], {"distribution": "uniform", "min": 0.45, "max": 0.65}),
        (
            {"distribution": "normal", "mu": 0, "sigma": 1},
            [0.4, 0.6],
            {"distribution": "normal", "mu": 0.5, "sigma": 0.2},
        ),
        (
            {"distribution": "q_log_normal", "mu": 0, "sigma": 1, "q": 1},
            [1, 0],
            {"distribution": "q_log_normal", "mu": 0.0, "sigma": 0.2, "q": 1},
        ),
    ],
)
def test_numbers(keys: dict[str, Any], top: list[Any], expected: dict[str, Any]) -> None:
    found = narrowed(keys, top[0], top).keys
    assert found == pytest.approx(expected) if "distribution" not in found else True
    assert found["distribution"] == expected["distribution"]
    assert {key: value for key, value in found.items() if key != "distribution"} == pytest.approx(
        {key: value for key, value in expected.items() if key != "distribution"}, rel=0.005
    )


def test_a_list_of_numbers_keeps_what_lies_between_the_best_and_the_neighbours_of_the_best() -> None:
    block = narrowed({"values": [8, 16, 32, 64, 128, 256, 512]}, 64, [64, 64, 128])
    assert block.keys == {"values": [32, 64, 128]}
    assert block.comment == "without 8, 16, 256, 512: none of the best runs had them"


@pytest.mark.parametrize(
    ("values", "best", "expected"),
    [
        ([16, 32, 64], 64, [32, 64, 128]),
        ([64, 32, 16], 16, [32, 16, 8]),
        ([1e-4, 1e-3, 1e-2], 1e-2, [1e-3, 1e-2, 0.1]),
        ([1, 2, 3], 3, [2, 3, 4]),
        ([1, 2, 3], 1, [1, 2]),
        ([0, 10, 20], 0, [0, 10]),
        ([-1, 0, 1], -1, [-2, -1, 0]),
        ([0.0, 0.25, 0.5], 0.5, [0.25, 0.5, 0.75]),
        ([0.1, 0.5, 0.9], 0.9, [0.5, 0.9]),
        ([3, 6, 13], 13, [6, 13]),
        ([3, 5, 25], 25, [5, 25]),
        ([1, 3, 9], 1, [1, 3]),
        ([10, 20], 20, [10, 20]),
    ],
)
def test_a_list_of_numbers_goes_on_beyond_the_edge(values: list[Any], best: Any, expected: list[Any]) -> None:
    block = narrowed({"values": values}, best, [best, best])
    assert block.keys["values"] == pytest.approx(expected)
    assert [type(value) for value in block.keys["values"]] == [type(value) for value in expected]
    assert block.comment.startswith("widened") == bool(set(block.keys["values"]) - set(values))


def test_other_values_stay_where_a_good_run_had_them_or_they_were_hardly_tried() -> None:
    values = ["sgd", "adam", [1, 2], None, True]
    tried = ["sgd", "sgd", "adam", [1, 2], [1, 2], None]
    block = narrowed({"values": values}, "adam", ["adam"], tried)
    assert block.keys == {"values": ["adam", None, True]}
    assert block.comment == 'without "sgd", [1, 2]: none of the best runs had them'


def test_one_value_that_is_left_is_fixed() -> None:
    block = narrowed({"values": ["a", "b"]}, "a", ["a", "a"], ["a", "a", "b", "b"])
    assert block.keys == {"value": "a"}
    assert block.comment.startswith("fixed, as all of the best runs had it")


def test_probabilities_are_those_of_the_values_that_stay() -> None:
    keys = {"values": ["a", "b", "c"], "probabilities": [0.5, 0.3, 0.2]}
    block = narrowed(keys, "a", ["a", "c"], ["b", "b", "a", "c"])
    assert block.keys["values"] == ["a", "c"]
    assert block.keys["probabilities"] == pytest.approx([5 / 7, 2 / 7])
    wider = narrowed({"values": [1, 2, 4], "probabilities": [0.2, 0.3, 0.5]}, 4, [4, 4])
    assert wider.keys["values"] == [2, 4, 8]
    assert wider.keys["probabilities"] == pytest.approx([3 / 11, 5 / 11, 3 / 11])


def test_a_named_distribution_stays_named() -> None:
    keys = {"distribution": "categorical", "values": ["a", "b"]}
    assert narrowed(keys, "a", ["a", "b"]).keys == keys
