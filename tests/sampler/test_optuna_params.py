"""Parameters in the Optuna storage: natural units, every value inside, and back again exactly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from lightsweep.sampler.optuna_params import from_optuna, optuna_distribution, to_optuna
from lightsweep.space import Constant, Distribution
from lightsweep.space.continuous import Beta, InvLogUniform, LogNormal, LogUniform, Normal, Uniform
from lightsweep.space.discrete import Categorical, IntUniform, Quantized

SHOWN: list[tuple[Distribution, BaseDistribution]] = [
    (Constant(3), CategoricalDistribution([3])),
    (Constant({"a": [1]}), CategoricalDistribution(['{"a": [1]}'])),
    (Categorical(["adam", None, True, 0.5]), CategoricalDistribution(["adam", None, True, 0.5])),
    (Categorical([1, True, "1"]), CategoricalDistribution(["1", "true", '"1"'])),
    (Categorical(["a", "b"], [0.25, 0.75]), CategoricalDistribution(["a", "b"])),
    (IntUniform(1, 5), IntDistribution(1, 5)),
    (IntUniform(-(2**53), 2**53), IntDistribution(-(2**53), 2**53)),
    (Uniform(0.0, 0.1), FloatDistribution(0.0, 0.1)),
    (LogUniform(0.0, 1.0), FloatDistribution(1.0, math.e, log=True)),
    (Beta(2.0, 3.0), FloatDistribution(0.0, 1.0)),
    (Quantized(Uniform(0.0, 1.0), 0.1), FloatDistribution(0.0, 1.0, step=0.1)),
    (Quantized(Uniform(10.0, 100.0), 25), IntDistribution(25, 100, step=25)),
    (Quantized(LogUniform(0.0, 5.0), 2), IntDistribution(2, 148, log=True)),
    (Quantized(LogUniform(1.0, 5.0), 0.25), FloatDistribution(2.75, 148.25, log=True)),
]
UNBOUNDED: list[Distribution] = [
    Normal(0.5, 0.1),
    LogNormal(300.0, 100.0),
    InvLogUniform(1.0, 4.0),
    Quantized(Normal(0.0, 5.0), 2),
    Quantized(LogNormal(1.0, 1.0), 3),
]


@pytest.mark.parametrize(("distribution", "shown"), SHOWN, ids=lambda value: repr(value)[:50])
def test_each_distribution_is_shown_in_natural_units(distribution: Distribution, shown: BaseDistribution) -> None:
    natural = optuna_distribution(distribution)
    assert natural == shown
    if isinstance(natural, CategoricalDistribution) and isinstance(shown, CategoricalDistribution):
        assert [type(choice) for choice in natural.choices] == [type(choice) for choice in shown.choices]


@pytest.mark.parametrize("distribution", UNBOUNDED, ids=repr)
def test_an_unbounded_distribution_has_a_finite_range(distribution: Distribution) -> None:
    natural = optuna_distribution(distribution)
    assert isinstance(natural, (FloatDistribution, IntDistribution))
    assert math.isfinite(natural.low)
    assert math.isfinite(natural.high)
    assert (natural.low, natural.high) == (distribution.quantile(0.0), distribution.quantile(1.0))


@pytest.mark.parametrize("distribution", [case[0] for case in SHOWN] + UNBOUNDED, ids=lambda value: repr(value)[:50])
@settings(max_examples=25, deadline=None)
@given(u=st.floats(0.0, 1.0))
def test_every_value_comes_back_from_the_storage_as_it_was(distribution: Distribution, u: float) -> None:
    value = distribution.quantile(u)
    # As a relational storage does it: the distribution as JSON, the value as a double.
    natural = json_to_distribution(distribution_to_json(optuna_distribution(distribution)))
    internal = float(natural.to_internal_repr(to_optuna(distribution, value)))
    if isinstance(natural, CategoricalDistribution):
        assert 0 <= internal < len(natural.choices)
    else:
        assert isinstance(natural, (FloatDistribution, IntDistribution))
        assert natural.low <= internal <= natural.high
        steps = (internal - natural.low) / (natural.step or 1)
        assert natural.step is None or abs(steps - round(steps)) < 1e-8
    back = from_optuna(distribution, natural.to_external_repr(internal))
    assert back == value
    assert type(back) is type(value)


@settings(max_examples=50, deadline=None)
@given(u=st.floats(0.0, 1.0), sigma=st.floats(1.0, 80.0), q=st.integers(1, 7))
def test_multiples_too_large_for_a_double_stay_inside(u: float, sigma: float, q: int) -> None:
    distribution = Quantized(LogNormal(30.0, sigma), q)
    natural = optuna_distribution(distribution)
    assert isinstance(natural, IntDistribution)
    value = distribution.quantile(u)
    internal = float(natural.to_internal_repr(to_optuna(distribution, value)))
    assert natural.low <= internal <= natural.high
    back = from_optuna(distribution, natural.to_external_repr(internal))
    assert distribution.quantile(0.0) <= back <= distribution.quantile(1.0)
    assert math.isclose(back, value, rel_tol=1e-15)


def test_a_value_that_is_no_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of the choices"):
        from_optuna(Categorical([1, 2]), 3)
    with pytest.raises(ValueError, match="not one of"):
        to_optuna(Categorical([1, 2]), 3)
