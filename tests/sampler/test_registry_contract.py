"""The contract of every sampler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampler_helpers import FINITE, MIXED, play, run, sweep

from lightsweep.sampler import Observation, make_searcher
from lightsweep.schema import SweepConfig

BAYES = ["auto", "gp", "tpe", "cmaes", "qmc", "random"]
ALL = [("grid", "auto"), ("random", "auto"), ("random", "qmc"), *(("bayes", sampler) for sampler in BAYES)]
every_sampler = pytest.mark.parametrize(("method", "sampler"), ALL)
every_bayes = pytest.mark.parametrize("sampler", BAYES)
# Above it the samplers are asked, below it the first tickets are drawn.
LATER = 12


def loss(values: Mapping[str, Any]) -> float:
    return sum(float(value) if isinstance(value, (int, float)) else len(str(value)) for value in values.values())


def assert_inside(config: SweepConfig, values: Mapping[str, Any]) -> None:
    assert set(values) == {parameter.name for parameter in config.space.parameters}
    config.space.unit(values)
    for parameter in config.space.parameters:
        if parameter.distribution.size == 1:
            assert values[parameter.name] == parameter.distribution.value_at(0)


@every_sampler
def test_each_proposal_is_a_point_of_the_space(method: str, sampler: str) -> None:
    config = sweep(FINITE if method == "grid" else MIXED, method, sampler)
    for observed in play(make_searcher(config, 1), min(LATER + 2, config.space.size or 99), loss):
        assert_inside(config, observed.values)


@every_sampler
@pytest.mark.parametrize("ticket", [0, LATER])
def test_a_proposal_follows_from_seed_ticket_and_runs(method: str, sampler: str, ticket: int) -> None:
    config = sweep(MIXED | {"lr": {"values": [1, 2, 3]}, "dropout": {"value": 0}}, method, sampler)
    asked = make_searcher(config, 1)
    known = play(asked, ticket, loss)
    proposal = asked.suggest(ticket, known)
    assert asked.suggest(ticket, known) == proposal
    assert make_searcher(config, 1).suggest(ticket, known) == proposal


@every_bayes
@pytest.mark.parametrize("ticket", [0, LATER])
def test_agents_that_start_together_differ(sampler: str, ticket: int) -> None:
    config = sweep(MIXED, sampler=sampler)
    known = play(make_searcher(config, 1), ticket, loss)
    proposals = [make_searcher(config, 1).suggest(ticket + agent, known) for agent in range(3)]
    assert len({repr(proposal) for proposal in proposals}) == 3


@every_sampler
def test_a_finite_space_is_gone_through_exactly_once(method: str, sampler: str) -> None:
    config = sweep(FINITE, method, sampler)
    searcher = make_searcher(config, 1)
    observed = play(searcher, 12, loss)
    assert sorted(config.space.index(one.values) for one in observed) == list(range(12))
    assert searcher.suggest(12, observed) is None
    assert searcher.suggest(112, observed) is None


@every_bayes
def test_a_point_that_a_run_of_any_state_has_is_not_proposed_again(sampler: str) -> None:
    config = sweep(FINITE, sampler=sampler)
    states: list[Any] = ["running", "finished", "pruned", "failed", "killed"]
    prior = [
        Observation(f"prior-{index}", None, config.space.point(index), states[index % 5], (float(index),), 1)
        for index in range(12)
        if index != 5
    ]
    assert make_searcher(config, 1).suggest(0, prior) == config.space.point(5)
    # Tickets that came to nothing lose no points.
    assert make_searcher(config, 1).suggest(40, []) is not None


@every_sampler
def test_constants_alone_are_one_point(method: str, sampler: str) -> None:
    searcher = make_searcher(sweep({"a": {"value": [1]}}, method, sampler), 1)
    assert searcher.suggest(0, []) == {"a": [1]}
    assert searcher.suggest(1, [run(0, {"a": [1]}, 0.5)]) is None


@every_bayes
def test_runs_without_a_finite_value_do_no_harm(sampler: str) -> None:
    config = sweep(MIXED, sampler=sampler)
    searcher = make_searcher(config, 1)
    known = play(searcher, LATER, loss)
    odd = [(), (math.nan,), (math.inf,), (-math.inf,), (1e308,), (-1e308,)]
    known += [
        run(LATER + place, known[place].values, *objectives, state=state)
        for place, objectives in enumerate(odd)
        for state in ("finished", "failed")
    ]
    proposal = searcher.suggest(40, known)
    assert proposal is not None
    assert_inside(config, proposal)


@every_bayes
def test_nothing_finite_at_all_does_no_harm(sampler: str) -> None:
    known = play(make_searcher(sweep(MIXED, sampler=sampler), 1), LATER, lambda _values: math.nan, state="failed")
    assert len({repr(one.values) for one in known}) == LATER


@every_bayes
def test_runs_from_elsewhere_are_passed_over_where_they_do_not_fit(sampler: str) -> None:
    config = sweep(MIXED, sampler=sampler)
    known = play(make_searcher(config, 1), LATER, loss)
    foreign = [{**known[0].values, "optimizer": "rmsprop"}, {"lr": 1e-3}, {**known[0].values, "lr": 7.0}]
    with_foreign = known + [Observation(f"prior-{n}", None, v, "finished", (0.0,), 1) for n, v in enumerate(foreign)]
    assert make_searcher(config, 1).suggest(LATER, with_foreign) == make_searcher(config, 1).suggest(LATER, known)


@pytest.mark.parametrize("sampler", ["auto", "tpe", "cmaes"])
def test_two_hundred_parameters(sampler: str) -> None:
    config = sweep({f"p{axis}": {"min": 0.0, "max": 1.0} for axis in range(200)}, sampler=sampler)
    for observed in play(make_searcher(config, 1), LATER, loss):
        assert_inside(config, observed.values)


DISTRIBUTIONS: list[dict[str, Any]] = [
    {"values": ["a", None, True, 1, [1], {"k": 2}]},
    {"values": [0.5, 3, 1], "probabilities": [0.2, 0.5, 0.3]},
    {"min": -3, "max": 4},
    {"min": 0.5, "max": 2.5},
    {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.1},
    {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
    {"distribution": "inv_log_uniform_values", "min": 1e-3, "max": 1.0},
    {"distribution": "q_log_uniform_values", "min": 1, "max": 1000, "q": 8},
    {"distribution": "normal", "mu": 1, "sigma": 2},
    {"distribution": "log_normal", "mu": 0, "sigma": 1},
    {"distribution": "q_normal", "mu": 5, "sigma": 3, "q": 2},
    {"distribution": "beta", "a": 2, "b": 3},
    {"value": "fixed"},
]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.sampled_from(DISTRIBUTIONS), min_size=1, max_size=5),
    st.sampled_from(["auto", "tpe", "cmaes"]),
    st.integers(0, 2**32),
)
def test_any_space_with_any_sampler(drawn: list[dict[str, Any]], sampler: str, seed: int) -> None:
    config = sweep({f"p{place}": one for place, one in enumerate(drawn)}, sampler=sampler)
    searcher, known = make_searcher(config, seed), list[Observation]()
    for ticket in range(LATER):
        values = searcher.suggest(ticket, known)
        if values is None:
            assert config.space.size is not None
            assert len(known) == config.space.size
            break
        assert_inside(config, values)
        known.append(run(ticket, values, loss(values)))
