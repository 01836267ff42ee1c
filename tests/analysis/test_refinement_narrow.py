"""Narrow each kind of parameter for the next sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import config

from lightsweep import SweepConfig
from lightsweep.analysis.refinement import Block, narrow


def narrowed(keys: dict[str, Any], best: Sequence[Any]) -> Block:
    """Narrow one parameter; its new block is valid, unless an error says otherwise."""
    block = narrow(config({"x": keys}).space.parameters[0].distribution, best)
    if block.keys:
        SweepConfig.load({"method": "random", "parameters": {"x": block.keys}})
    return block


def bounds(low: float, high: float, distribution: str | None = None, **keys: Any) -> dict[str, Any]:
    return {"min": low, "max": high, **({"distribution": distribution} if distribution else {}), **keys}


@pytest.mark.parametrize(
    ("keys", "best", "expected"),
    [
        (bounds(0.0, 1.0), [0.5, 0.5], bounds(0.4, 0.6, "uniform")),
        (bounds(1000.0, 1001.0), [1000.5], bounds(1000.4, 1000.6, "uniform")),
        (bounds(1, 9), [4, 6], bounds(3, 7, "int_uniform")),
        (bounds(1e-4, 1e-2, "log_uniform_values"), [1e-3, 1e-3], bounds(6.31e-4, 1.585e-3, "log_uniform_values")),
        (bounds(-9, -5, "log_uniform"), [1e-3, 1e-3], bounds(6.703e-4, 1.492e-3, "log_uniform_values")),
        (bounds(5, 9, "inv_log_uniform"), [1e-3, 1e-3], bounds(6.703e-4, 1.492e-3, "inv_log_uniform_values")),
        (bounds(0, 100, "q_uniform", q=5), [40, 50], bounds(30, 60, "q_uniform", q=5)),
        (bounds(8, 512, "q_log_uniform_values", q=8), [64, 128], bounds(40, 184, "q_log_uniform_values", q=8)),
        (bounds(0.0, 1.0, "q_uniform", q=0.1), [0.4, 0.5], bounds(0.3, 0.6, "q_uniform", q=0.1)),
        ({"distribution": "beta", "a": 2, "b": 2}, [0.5, 0.6], bounds(0.4, 0.69, "uniform")),
        (
            {"distribution": "normal", "mu": 0, "sigma": 1},
            [0.4, 0.6],
            {"distribution": "normal", "mu": 0.5, "sigma": 0.2},
        ),
        (
            {"distribution": "q_log_normal", "mu": 0, "sigma": 1, "q": 1},
            [1, 1],
            {"distribution": "q_log_normal", "mu": 0.0, "sigma": 0.2, "q": 1},
        ),
    ],
)
def test_numbers(keys: dict[str, Any], best: list[Any], expected: dict[str, Any]) -> None:
    found = narrowed(keys, best).keys
    assert found["distribution"] == expected["distribution"]
    assert {key: value for key, value in found.items() if key != "distribution"} == pytest.approx(
        {key: value for key, value in expected.items() if key != "distribution"}, rel=0.005
    )
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in expected.items()}


def test_the_comment_says_where_the_best_runs_lie_and_what_the_range_was() -> None:
    assert narrowed(bounds(0.0, 1.0), [0.5, 0.4, 0.6]).comment == "the best runs lie between 0.4 and 0.6; was 0 to 1"


def test_of_many_runs_the_outermost_do_not_count() -> None:
    keys = narrowed(bounds(0.0, 1.0), [0.51, *(0.5 + place / 1000 for place in range(19)), 0.99]).keys
    assert pytest.approx(keys["min"], abs=0.01) == 0.4
    assert pytest.approx(keys["max"], abs=0.01) == 0.62


@pytest.mark.parametrize(
    ("keys", "best", "new", "said"),
    [
        (bounds(1.0, 3.0), 2.95, (2.75, 3.5), "the best run is at the upper edge, 3, so it moved to 3.5"),
        (bounds(1.0, 3.0), 1.05, (0.5, 1.25), "the best run is at the lower edge, 1, so it moved to 0.5"),
        (bounds(-1.0, 1.0), -1.0, (-1.5, -0.8), "the best run is at the lower edge, -1, so it moved to -1.5"),
        (bounds(0.0, 4.0), 0.0, (0.0, 0.4), "the best runs lie between 0 and 0"),
        (bounds(0.5, 0.99), 0.985, (0.936, 0.995), "the upper edge, 0.99, so it moved to 0.995"),
        (bounds(0.0, 0.5), 0.5, (0.45, 0.625), "the upper edge, 0.5, so it moved to 0.625"),
        (bounds(1.0, 1e4, "log_uniform_values"), 1e4, (3981.0, 2e4), "to 20000 (at most the old width further)"),
        (bounds(1e-4, 0.1, "log_uniform_values"), 0.1, (0.0501, 0.2), "to 0.1999 (at most the old width further)"),
        (bounds(1e-4, 0.1, "log_uniform_values"), 1e-4, (5e-5, 0.0002), "so it moved to 5e-05 (at most halved)"),
        (bounds(1.0, 1e300, "log_uniform_values"), 1e300, (1e270, 2e300), "(at most the old width further)"),
        (bounds(1, 4), 4, (3, 5), "moved to 5"),
        (bounds(1, 4), 1, (1, 2), "the best runs lie between 1 and 1"),
        ({"distribution": "beta"}, 1.0, (0.9, 1.0), "the best runs lie between 1 and 1"),
        (bounds(0.0, 5e-324), 5e-324, (0.0, 5e-324), "was 0 to"),
        (bounds(1e-323, 1.5e-323, "log_uniform_values"), 1e-323, (1e-323, 1.5e-323), "was 9.8813e-324 to"),
    ],
)
def test_the_edge_at_which_the_best_run_is_moves(
    keys: dict[str, Any], best: float, new: tuple[float, float], said: str
) -> None:
    block = narrowed(keys, [best, best])
    assert (block.keys["min"], block.keys["max"]) == pytest.approx(new, rel=0.005)
    assert said in block.comment


KINDS = st.sampled_from(["uniform", "log_uniform_values", "int_uniform", "q_uniform", "q_log_uniform_values"])


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=KINDS, step=st.sampled_from([1, 8, 0.1, 0.25]))
def test_whatever_the_runs_the_bounds_hold_the_best_one(data: st.DataObject, kind: str, step: float) -> None:
    log, quantized = "log" in kind, kind.startswith("q_")
    if quantized or kind == "int_uniform":
        first = data.draw(st.integers(1 if log else -1000, 1000))
        low, high = (place * (step if quantized else 1) for place in (first, first + data.draw(st.integers(1, 1000))))
    else:
        low = data.draw(st.floats(1e-300, 1e300) if log else st.floats(-1e300, 1e300))
        high = data.draw(st.floats(min_value=low, max_value=1e301).filter(lambda value: value > low))
    keys = bounds(low, high, kind, **({"q": step} if quantized else {}))
    distribution = config({"x": keys}).space.parameters[0].distribution
    best = [distribution.quantile(u) for u in data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=12))]
    block = narrow(distribution, best)
    new = SweepConfig.load({"method": "random", "parameters": {"x": block.keys}}).space.parameters[0].distribution
    slack = 1e-9 * max(abs(best[0]), 1e-300)
    assert new.support[0] - slack <= best[0] <= new.support[1] + slack
    assert "\n" not in block.comment
    if low > 0:
        assert new.support[0] > 0
    if low >= 0:
        assert new.support[0] >= 0


def test_values_from_outside_do_not_count() -> None:
    assert narrowed(bounds(0.0, 1.0), [7.0, 0.5]).keys["max"] == pytest.approx(0.6)
    assert narrowed(bounds(0.0, 1.0), [7.0]).keys == {}
    assert narrowed({"values": ["a", "b", "c"]}, ["d", "a", "b"]).keys == {"values": ["a", "b"]}


def test_a_list_of_numbers_keeps_the_values_between_the_best_and_the_neighbours_of_the_best() -> None:
    block = narrowed({"values": [8, 16, 32, 64, 128, 256, 512]}, [64, 64, 128])
    assert block.keys == {"values": [32, 64, 128]}
    assert block.comment == "without 8, 16, 256, 512, which none of the best runs had"


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
    block = narrowed({"values": values}, [best, best])
    assert block.keys["values"] == pytest.approx(expected)
    assert [type(value) for value in block.keys["values"]] == [type(value) for value in expected]
    assert block.comment.startswith("widened") == bool(set(block.keys["values"]) - set(values))


def test_other_values_stay_if_a_good_run_had_them() -> None:
    block = narrowed({"values": ["sgd", "adam", [1, 2], None, True]}, ["adam", None, "adam"])
    assert block.keys == {"values": ["adam", None]}
    assert block.comment == 'without "sgd", [1, 2], true, which none of the best runs had'


def test_one_value_that_is_left_is_fixed() -> None:
    block = narrowed({"values": ["a", "b"]}, ["a", "a"])
    assert block.keys == {"value": "a"}
    assert block.comment.startswith("fixed, as all of the best runs had it")


def test_probabilities_are_those_of_the_values_that_stay() -> None:
    block = narrowed({"values": ["a", "b", "c"], "probabilities": [0.5, 0.3, 0.2]}, ["a", "c"])
    assert block.keys["values"] == ["a", "c"]
    assert block.keys["probabilities"] == pytest.approx([5 / 7, 2 / 7])
    wider = narrowed({"values": [1, 2, 4], "probabilities": [0.2, 0.3, 0.5]}, [4, 4])
    assert wider.keys["values"] == [2, 4, 8]
    assert wider.keys["probabilities"] == pytest.approx([3 / 11, 5 / 11, 3 / 11])
