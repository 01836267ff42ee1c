"""The continuous distributions against their closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lightsweep.space.continuous import Beta, Continuous, InvLogUniform, LogNormal, LogUniform, Normal, Uniform

CLOSED_FORMS = {
    "uniform": (Uniform(-2, 3), stats.uniform(-2, 5)),
    "log_uniform": (LogUniform(-9, -1), stats.loguniform(math.exp(-9), math.exp(-1))),
    "log_uniform_values": (LogUniform.from_values(1e-5, 0.1), stats.loguniform(1e-5, 0.1)),
    "inv_log_uniform": (InvLogUniform(1, 5), stats.loguniform(math.exp(-5), math.exp(-1))),
    "inv_log_uniform_values": (InvLogUniform.from_values(1e-5, 0.1), stats.loguniform(1e-5, 0.1)),
    "normal": (Normal(3, 0.5), stats.norm(3, 0.5)),
    "log_normal": (LogNormal(1, 2), stats.lognorm(2, scale=math.exp(1))),
    "beta": (Beta(0.5, 3), stats.beta(0.5, 3)),
}
CONTINUOUS = [distribution for distribution, _ in CLOSED_FORMS.values()]
each = pytest.mark.parametrize("distribution", CONTINUOUS, ids=lambda distribution: distribution.name)
units = st.floats(0, 1)
WORD: Any = "0"


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_20000_samples_follow_the_closed_form(name: str) -> None:
    distribution, law = CLOSED_FORMS[name]
    assert distribution.name == name
    samples = [distribution.quantile(u) for u in np.random.default_rng(7).random(20_000)]
    assert stats.kstest(samples, law.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_quantiles_are_exact(name: str) -> None:
    distribution, law = CLOSED_FORMS[name]
    for u in (1e-4, 0.01, 0.3, 0.5, 0.77, 0.999):
        value = distribution.quantile(u)
        assert value == pytest.approx(law.ppf(u), rel=1e-9)
        assert law.cdf(value) == pytest.approx(u, rel=1e-9)
        assert distribution.inverse(value) == pytest.approx(u, rel=1e-9)


@each
@settings(max_examples=60, deadline=None)
@given(u=units)
def test_the_inverse_undoes_the_quantile(distribution: Continuous, u: float) -> None:
    assert distribution.inverse(distribution.quantile(u)) == pytest.approx(u, abs=1e-12)


@each
@settings(max_examples=60, deadline=None)
@given(u=units, v=units)
def test_quantiles_ascend_inside_the_support(distribution: Continuous, u: float, v: float) -> None:
    low, high = distribution.support
    first, second = distribution.quantile(min(u, v)), distribution.quantile(max(u, v))
    assert low <= first <= second <= high
    assert math.isfinite(first)
    assert math.isfinite(second)


@each
def test_values_are_native_and_finite_for_any_u(distribution: Continuous) -> None:
    units_: list[Any] = [-0.5, 0, 5e-324, np.float64(0.3), np.float32(0.5), 1, 1.5]
    for u in units_:
        value = distribution.quantile(u)
        assert type(value) is float
        assert math.isfinite(value)
        assert type(distribution.inverse(value)) is float
    with pytest.raises(ValueError, match="nan"):
        distribution.quantile(math.nan)


@each
def test_a_continuous_distribution_is_ordered_and_not_countable(distribution: Continuous) -> None:
    assert distribution.ordered
    assert distribution.size is None
    assert distribution.weights() is None
    with pytest.raises(ValueError, match="no countable values"):
        distribution.value_at(0)
    with pytest.raises(ValueError, match="no countable values"):
        distribution.index_of(0.05)


@each
@pytest.mark.parametrize("value", [-1e9, True, "0.05", None, math.nan, math.inf, 10**400])
def test_the_inverse_refuses_what_is_no_value(distribution: Continuous, value: object) -> None:
    if distribution.name == "normal" and value == -1e9:
        assert distribution.inverse(value) == 0
        return
    with pytest.raises(ValueError, match=distribution.name):
        distribution.inverse(value)


@settings(max_examples=200, deadline=None)
@given(bounds=st.tuples(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300)).filter(lambda b: b[0] != b[1]), u=units)
@pytest.mark.parametrize("kind", [LogUniform, InvLogUniform])
def test_bounds_given_as_values_come_out_exactly(kind: type[LogUniform], bounds: tuple[float, float], u: float) -> None:
    low, high = sorted(bounds)
    distribution = kind.from_values(low, high)
    assert (distribution.quantile(0), distribution.quantile(1)) == (low, high)
    assert low <= distribution.quantile(u) <= high
    assert (distribution.inverse(low), distribution.inverse(high)) == (0, 1)


def test_bounds_given_as_exponents_are_natural_logarithms() -> None:
    assert LogUniform(0, 2).support == (1, math.exp(2))
    assert InvLogUniform(0, 2).support == (math.exp(-2), 1)


@pytest.mark.parametrize("distribution", [Normal(2, 0), LogNormal(math.log(2), 0)])
def test_sigma_zero_is_a_single_value(distribution: Continuous) -> None:
    value = distribution.quantile(0.9)
    assert value == pytest.approx(2)
    assert distribution.size == 1
    assert distribution.value_at(0) == value
    assert distribution.index_of(value) == 0
    assert distribution.inverse(value) == 0.5
    assert list(distribution.weights() or []) == [1]
    with pytest.raises(IndexError):
        distribution.value_at(1)


@settings(max_examples=100, deadline=None)
@given(a=st.floats(1e-300, 1e8), b=st.floats(1e-300, 1e8), u=units)
def test_beta_values_are_numbers_for_any_shape(a: float, b: float, u: float) -> None:
    assert 0 <= Beta(a, b).quantile(u) <= 1


@settings(max_examples=100, deadline=None)
@given(mu=st.floats(-700, 700), sigma=st.floats(0, 1e300), u=units)
def test_log_normal_values_stay_positive_and_finite(mu: float, sigma: float, u: float) -> None:
    assert 0 < LogNormal(mu, sigma).quantile(u) < math.inf


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Uniform(1, 1), "min must be below max"),
        (lambda: Uniform(2, 1), "min is 2 and max is 1"),
        (lambda: Uniform(0, math.nan), "max must be a finite number, not nan"),
        (lambda: Uniform(True, 2), "min must be a finite number, not True"),
        (lambda: Uniform(WORD, 2), "min must be a finite number, not '0'"),
        (lambda: Uniform(0, 10**400), "max must be a finite number"),
        (lambda: Uniform(-1e308, 1e308), "wider than a number"),
        (lambda: LogUniform(1, 0), "min must be below max"),
        (lambda: LogUniform(0, 1000), "write log_uniform_values"),
        (lambda: LogUniform(-1000, 0), "write log_uniform_values"),
        (lambda: InvLogUniform(0, 1000), "write inv_log_uniform_values"),
        (lambda: LogUniform.from_values(0, 1), "min must be above 0"),
        (lambda: InvLogUniform.from_values(3, 2), "min must be below max"),
        (lambda: Normal(0, -1), "sigma must not be negative"),
        (lambda: Normal(0, 1e308), "larger than a number"),
        (lambda: LogNormal(1000, 1), "mu is the natural logarithm"),
        (lambda: Beta(0, 1), "a must be above 0"),
        (lambda: Beta(1, -1), "b must be above 0"),
        (lambda: Beta(1, 1e9), "b must be above 0 and at most 1e\\+08"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def test_equal_distributions_are_equal() -> None:
    assert Uniform(0, 1) == Uniform(0.0, 1.0)
    assert hash(Uniform(0, 1)) == hash(Uniform(0.0, 1.0))
    assert LogUniform(math.log(1), math.log(2)) != LogUniform.from_values(1, 2)
    exponents: list[Continuous] = [LogUniform(0, 1), InvLogUniform(0, 1), Uniform(0, 1)]
    assert len(set(exponents)) == 3
