"""Rounding to multiples of a step."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from lightsweep.space.continuous import Beta, Continuous, LogNormal, LogUniform, Normal, Uniform
from lightsweep.space.discrete import IntUniform, Quantized

FINITE = {
    "q_uniform": Quantized(Uniform(0, 1), 0.1),
    "q_uniform off the bounds": Quantized(Uniform(10, 130), 25),
    "q_log_uniform": Quantized(LogUniform(0, 4), 5),
    "q_log_uniform_values": Quantized(LogUniform.from_values(8, 512), 8),
    "q_beta": Quantized(Beta(2, 3), 0.05),
}
LAWS = {
    "q_uniform": stats.uniform(0, 1),
    "q_uniform off the bounds": stats.uniform(10, 120),
    "q_log_uniform": stats.loguniform(1, math.exp(4)),
    "q_log_uniform_values": stats.loguniform(8, 512),
    "q_beta": stats.beta(2, 3),
}
ENDLESS = {"q_normal": Quantized(Normal(2, 5), 1), "q_log_normal": Quantized(LogNormal(1, 1), 0.5)}
each_finite = pytest.mark.parametrize("key", FINITE)
units = st.floats(0, 1)


@each_finite
def test_20000_samples_follow_the_closed_form(key: str) -> None:
    distribution, law = FINITE[key], LAWS[key]
    assert distribution.name == key.split()[0]
    values = [distribution.value_at(place) for place in range(distribution.size or 0)]
    edges = [-math.inf, *((a + b) / 2 for a, b in pairwise(values)), math.inf]
    expected = np.diff(law.cdf(edges))
    assert list(distribution.weights() or []) == pytest.approx(expected.tolist(), abs=1e-12)
    counts = Counter(distribution.quantile(u) for u in np.random.default_rng(5).random(20_000))
    observed = np.array([counts[value] for value in values])
    common = expected * 20_000 >= 5
    observed = np.append(observed[common], observed[~common].sum())
    expected = np.append(expected[common], expected[~common].sum()) * 20_000
    filled = expected > 0
    assert stats.chisquare(observed[filled], expected[filled]).pvalue > 0.01


@pytest.mark.parametrize(
    ("distribution", "law", "q"),
    [(ENDLESS["q_normal"], stats.norm(2, 5), 1), (ENDLESS["q_log_normal"], stats.lognorm(1, scale=math.exp(1)), 0.5)],
)
def test_20000_samples_of_the_endless_ones(distribution: Quantized, law: Any, q: float) -> None:
    counts = Counter(distribution.quantile(u) for u in np.random.default_rng(6).random(20_000))
    common = [value for value, count in counts.items() if count >= 20]
    observed = [counts[value] for value in common]
    expected = [20_000 * (law.cdf(value + q / 2) - law.cdf(value - q / 2)) for value in common]
    rest = 20_000 - sum(expected)
    assert stats.chisquare([*observed, 20_000 - sum(observed)], [*expected, rest]).pvalue > 0.01
    assert distribution.size is None
    assert distribution.weights() is None
    with pytest.raises(ValueError, match="no countable values"):
        distribution.value_at(0)
    with pytest.raises(ValueError, match="no countable values"):
        distribution.index_of(1)


@each_finite
def test_every_value_is_found_again(key: str) -> None:
    distribution = FINITE[key]
    for place in range(distribution.size or 0):
        value = distribution.value_at(place)
        assert distribution.index_of(value) == place
        assert distribution.quantile(distribution.inverse(value)) == value


@settings(max_examples=200, deadline=None)
@given(
    bounds=st.tuples(st.integers(-1000, 1000), st.integers(1, 1000)),
    places=st.integers(0, 4),
    step=st.integers(1, 60),
    u=units,
    v=units,
)
def test_any_quantized_uniform(bounds: tuple[int, int], places: int, step: int, u: float, v: float) -> None:
    scale = 10**places
    first, last = bounds[0], bounds[0] + bounds[1]
    low, high, q = first / scale, last / scale, step / scale
    multiples = [k for k in range(first, last + 1) if k % step == 0]
    assume(multiples)
    distribution = Quantized(Uniform(low, high), q)
    whole = step % scale == 0
    assert [distribution.value_at(place) for place in range(distribution.size or 0)] == [k / scale for k in multiples]
    a, b = distribution.quantile(min(u, v)), distribution.quantile(max(u, v))
    assert low <= a <= b <= high
    assert type(a) is (int if whole else float)
    assert distribution.quantile(distribution.inverse(a)) == a
    assert math.fsum(distribution.weights() or []) == pytest.approx(1)


@pytest.mark.parametrize("distribution", ENDLESS.values(), ids=ENDLESS.keys())
@settings(max_examples=60, deadline=None)
@given(u=st.floats(1e-9, 1 - 1e-9), v=units)
def test_the_endless_ones_ascend_and_are_found_again(distribution: Quantized, u: float, v: float) -> None:
    value = distribution.quantile(u)
    assert distribution.quantile(distribution.inverse(value)) == value
    assert distribution.quantile(min(u, v)) <= distribution.quantile(max(u, v))
    assert value / distribution.q == round(value / distribution.q)


def test_whole_steps_give_ints_and_others_clean_decimals() -> None:
    assert FINITE["q_log_uniform_values"].value_at(0) == 8
    assert type(Quantized(Uniform(0, 10), 2.0).quantile(0.5)) is int
    assert type(ENDLESS["q_normal"].quantile(0.5)) is int
    assert repr([FINITE["q_uniform"].value_at(place) for place in range(11)]) == (
        "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]"
    )
    assert FINITE["q_uniform"].index_of(0.1 * 3) == 3


def test_the_bounds_are_kept_where_rounding_would_leave_them() -> None:
    off = FINITE["q_uniform off the bounds"]
    assert (off.quantile(0), off.quantile(1), off.size) == (25, 125, 5)
    assert Quantized(Uniform(0.7, 2.1), 0.7).size == 3


@pytest.mark.parametrize(("low", "high", "q"), [(8, 128, 8), (10, 1000, 10), (0.1, 0.7, 0.1), (1, 5, 1)])
def test_bounds_that_are_logarithms_of_multiples_include_them(low: float, high: float, q: float) -> None:
    distribution = Quantized(LogUniform(math.log(low), math.log(high)), q)
    assert (distribution.quantile(0), distribution.quantile(1)) == (low, high)
    for value in (low, high):
        assert distribution.quantile(distribution.inverse(value)) == value


def test_the_bounds_are_those_of_the_base() -> None:
    assert Quantized(Uniform(0, 3)).size == 4
    assert Quantized(LogNormal()).quantile(0) == 0


def test_the_extremes_of_the_endless_ones_are_finite() -> None:
    for base in (Normal(0, 1e300), LogNormal(0, 1e300)):
        for q in (1, 0.1, 1e-12):
            assert all(math.isfinite(Quantized(base, q).quantile(u)) for u in (0, 1))


def test_a_single_value_is_rounded_as_well() -> None:
    single = Quantized(Normal(2.6, 0), 1)
    assert (single.size, single.quantile(0.1), single.value_at(0), single.inverse(3)) == (1, 3, 3, 0.5)
    assert list(single.weights() or []) == [1]


@pytest.mark.parametrize("value", [0.15, -0.1, 1.1, True, "0.1", None, math.nan, math.inf, 10**400])
def test_what_is_no_multiple_inside_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="q_uniform"):
        FINITE["q_uniform"].inverse(value)


@pytest.mark.parametrize(
    ("base", "q", "words"),
    [
        (Uniform(1, 4), 5, "no multiple of q 5 lies between min 1.0 and max 4.0"),
        (Uniform(0, 1), 0, "q must be above 0"),
        (Uniform(0, 1), -1, "q must be above 0"),
        (Uniform(0, 1), math.nan, "q must be a finite number"),
        (IntUniform(0, 3), 1, "only a continuous distribution"),
    ],
)
def test_steps_that_mean_nothing_are_refused(base: Continuous, q: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Quantized(base, q)
