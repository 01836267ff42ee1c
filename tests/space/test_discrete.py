"""Constants, categories and integers."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lightsweep.space import Constant, Distribution, identity
from lightsweep.space.discrete import Categorical, IntUniform

DISCRETE: dict[str, Distribution] = {
    "constant": Constant({"a": [1]}),
    "strings": Categorical(["adam", "sgd", "lion"]),
    "mixed": Categorical([1, True, None, "1", [1, 2], {"a": 1.5}]),
    "unsorted": Categorical([64, 8, 16, 32.5]),
    "repeated": Categorical([1, 2, 1.0, 3]),
    "weighted": Categorical(["a", "b", "a", "c"], [0.1, 0.2, 0.3, 0.4]),
    "weighted numbers": Categorical([3, 1, 2], [0.5, 0.2, 0.3]),
    "integers": IntUniform(-3, 12),
}
each = pytest.mark.parametrize("distribution", DISCRETE.values(), ids=DISCRETE.keys())
units = st.floats(0, 1)


@each
def test_20000_samples_follow_the_weights(distribution: Distribution) -> None:
    stream = np.random.default_rng(11).random(20_000)
    counts = Counter(distribution.index_of(distribution.quantile(u)) for u in stream)
    weights = distribution.weights()
    assert weights is not None
    assert distribution.size == len(weights)
    observed = [counts[place] for place in range(len(weights))]
    if len(weights) == 1:
        assert observed == [20_000]
    else:
        assert stats.chisquare(observed, 20_000 * np.array(weights)).pvalue > 0.01


def test_weights_are_the_written_ones_with_repeated_values_added() -> None:
    assert DISCRETE["repeated"].weights() == (0.5, 0.25, 0.25)
    assert DISCRETE["weighted"].weights() == pytest.approx((0.4, 0.2, 0.4))
    assert list(DISCRETE["integers"].weights() or []) == [1 / 16] * 16


@each
def test_every_value_is_found_again(distribution: Distribution) -> None:
    assert distribution.size is not None
    for place in range(distribution.size):
        value = distribution.value_at(place)
        assert distribution.index_of(value) == place
        assert identity(distribution.quantile(distribution.inverse(value))) == identity(value)
    for outside in (-1, distribution.size):
        with pytest.raises(IndexError):
            distribution.value_at(outside)


@each
@settings(max_examples=60, deadline=None)
@given(u=units)
def test_the_inverse_is_the_midpoint_of_the_bin(distribution: Distribution, u: float) -> None:
    value = distribution.quantile(u)
    middle = distribution.inverse(value)
    weights = distribution.weights()
    assert weights is not None
    assert abs(u - middle) <= weights[distribution.index_of(value)] / 2 + 1e-12


@pytest.mark.parametrize("name", ["unsorted", "repeated", "weighted numbers", "integers"])
def test_numbers_ascend_along_the_unit_axis(name: str) -> None:
    distribution = DISCRETE[name]
    assert distribution.ordered
    values = [distribution.quantile(u) for u in np.linspace(0, 1, 200)]
    assert values == sorted(values)
    assert len(set(values)) == distribution.size


def test_what_is_not_all_numbers_keeps_its_written_order() -> None:
    assert not DISCRETE["strings"].ordered
    assert not DISCRETE["mixed"].ordered
    assert not Categorical([1, 2, math.nan]).ordered
    assert not Categorical([0, True]).ordered
    assert [DISCRETE["strings"].quantile(u) for u in (0, 0.5, 1)] == ["adam", "sgd", "lion"]


def test_grid_order_is_the_written_order_even_of_numbers() -> None:
    unsorted = DISCRETE["unsorted"]
    assert [unsorted.value_at(place) for place in range(4)] == [64, 8, 16, 32.5]


def test_one_and_one_point_zero_are_one_value_and_true_is_another() -> None:
    distribution = Categorical([1, 1.0, True, [1], [1.0], [True], {"a": 1}, {"a": 1.0}, {"a": True}, None, "None"])
    assert distribution.size == 8
    assert distribution.index_of(1.0) == 0
    assert distribution.index_of(True) == 1
    assert distribution.value_at(1) is True
    assert distribution.index_of([1.0]) == 2
    assert distribution.index_of({"a": True}) == 5
    assert distribution.inverse(None) != distribution.inverse("None")


def test_a_dict_is_the_same_in_any_order_of_its_keys() -> None:
    assert identity({"a": 1, "b": [2]}) == identity({"b": (2.0,), "a": 1})
    assert identity({"a": 1}) != identity({"a": 1, "b": None})
    assert identity({1, 2}) == identity({2.0, 1})
    assert identity(10**400) == identity(10**400) != identity(10**400 + 1)  # no float is as large
    assert identity(math.nan) == identity(float("nan"))


def test_what_cannot_be_hashed_is_refused_with_its_type() -> None:
    with pytest.raises(ValueError, match="bytearray"):
        Categorical([1, bytearray(b"x")])


def test_nobody_can_change_a_value_from_outside() -> None:
    written: list[Any] = [[1, 2], {"a": [3]}]
    distribution, constant = Categorical(written), Constant(written[0])
    written[0].append(9)
    distribution.quantile(0).append(9)
    distribution.value_at(1)["a"].append(9)
    constant.quantile(0.5).append(9)
    constant.value_at(0).append(9)
    assert [distribution.value_at(0), distribution.value_at(1)] == [[1, 2], {"a": [3]}]
    assert constant.value_at(0) == [1, 2]


def test_a_value_of_probability_zero_is_left_out() -> None:
    distribution = Categorical(["a", "b", "c"], [0, 1, 0])
    assert distribution.size == 1
    assert {distribution.quantile(u) for u in (0, 0.5, 1)} == {"b"}
    with pytest.raises(ValueError, match="'a' is not one of"):
        distribution.inverse("a")


def test_of_equal_entries_the_first_that_can_come_up_is_the_value() -> None:
    distribution = Categorical([1.0, 2, 1, 1.0], [0, 0.5, 0.25, 0.25])
    assert [repr(value) for value in distribution.choices] == ["2", "1"]
    assert repr(distribution.quantile(0.0)) == "1"
    assert distribution.weights() == (0.5, 0.5)


@pytest.mark.parametrize(
    ("values", "probabilities", "words"),
    [
        ([], None, "must not be empty"),
        ([1, 2], [1], "one probability for each of the 2 values, not 1"),
        ([1, 2], [0.5, 0.6], "add up to 1, not 1.1"),
        ([1, 2], [-0.5, 1.5], "must not be negative"),
        ([1, 2], ["0.5", 0.5], "must be a finite number, not '0.5'"),
        ([1, 2], [math.nan, 0.5], "must be a finite number, not nan"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(values: list[Any], probabilities: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Categorical(values, probabilities)


def test_names_are_those_of_the_sweep_file() -> None:
    assert Constant(1).name == "constant"
    assert Categorical([1]).name == "categorical"
    assert Categorical([1], [1]).name == "categorical_w_probabilities"
    assert IntUniform(1, 2).name == "int_uniform"


@settings(max_examples=200, deadline=None)
@given(low=st.integers(-(2**53), 2**53 - 1), width=st.integers(1, 2**50), u=units)
def test_integers_are_inside_and_found_again_however_many(low: int, width: int, u: float) -> None:
    distribution = IntUniform(low, low + width)
    value = distribution.quantile(u)
    assert type(value) is int
    assert (distribution.quantile(0), distribution.quantile(1)) == (low, low + width)
    assert distribution.value_at(distribution.index_of(value)) == value
    assert distribution.quantile(distribution.inverse(value)) == value


@pytest.mark.parametrize("value", [0.5, 13, -4, True, "1", None, math.nan, math.inf])
def test_integers_refuse_what_is_none_of_them(value: object) -> None:
    with pytest.raises(ValueError, match="not an integer from -3 to 12"):
        DISCRETE["integers"].inverse(value)
    assert DISCRETE["integers"].index_of(3.0) == 6


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0.5, 3), (0, math.inf), (True, 3), ("1", 3)])
def test_bounds_of_integers_that_mean_nothing_are_refused(low: Any, high: Any) -> None:
    with pytest.raises(ValueError, match=r"min must be below|whole number"):
        IntUniform(low, high)


def test_distributions_compare_by_identity_of_values() -> None:
    assert Categorical([1, [2]]) == Categorical([1.0, [2]])
    assert hash(Categorical([[1]])) == hash(Categorical([[1.0]]))
    assert Categorical([1]) != Categorical([True])
    assert Constant(1) != Constant(True)
    assert hash(Constant({"a": 1})) == hash(Constant({"a": 1.0}))
