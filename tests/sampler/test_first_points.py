"""Searches that begin with the user's configurations, and conditional parameters, by every method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sampler_helpers import FINITE, MIXED, QUADRATIC, play, quadratic, run, sweep

from lightsweep.sampler import Observation, make_searcher
from lightsweep.sampler.first_points import FirstPoints
from lightsweep.sampler.unit_cube import Axes, RunTrials
from lightsweep.schema import SweepConfig
from lightsweep.space import Value

WHEN = {"momentum": {"optimizer": "sgd"}, "beta2": {"optimizer": ["adam", "adamw"]}}
CONDITIONAL = {
    "optimizer": {"values": ["adam", "sgd", "adamw"]},
    "momentum": {"min": 0.0, "max": 0.99},
    "beta2": {"values": [0.9, 0.99, 0.999]},
    "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
}
LISTED = {**CONDITIONAL, "momentum": {"values": [0, 0.5, 0.9]}, "lr": {"values": [0.1, 0.01]}}


def config(parameters: Mapping[str, Any], method: str, sampler: str = "auto", **keys: Any) -> SweepConfig:
    return sweep(parameters, method, lightsweep={"sampler": sampler, "seed": 1, **keys})


@pytest.mark.parametrize(
    ("method", "sampler"),
    [("random", "qmc"), ("bayes", "auto"), ("bayes", "random")],
)
def test_the_first_runs_have_the_given_values(method: str, sampler: str) -> None:
    first = [{"lr": 0.001, "width": 64}, {"dropout": 0.5}]
    found = config(MIXED, method, sampler, first=first)
    runs = play(make_searcher(found, 1), 5, lambda values: values["dropout"])
    assert [{name: runs[place].values[name] for name in entry} for place, entry in enumerate(first)] == first
    assert all(each.values.keys() == MIXED.keys() for each in runs)


@pytest.mark.parametrize("sampler", ["auto", "qmc"])
def test_other_draws_of_random_stay(sampler: str) -> None:
    plain, begun = config(MIXED, "random", sampler), config(MIXED, "random", sampler, first=[{"lr": 0.001}])
    first, *others = [make_searcher(plain, 1).suggest(ticket, ()) or {} for ticket in range(9)]
    assert [make_searcher(begun, 1).suggest(ticket, ()) for ticket in range(9)] == [{**first, "lr": 0.001}, *others]


def test_bayes_begins_with_them_instead_of_the_middle() -> None:
    plain, begun = config(QUADRATIC, "bayes"), config(QUADRATIC, "bayes", first=[{"x": 0.1}])
    middle = make_searcher(plain, 1).suggest(0, ())
    assert middle == {"x": 0.5, "y": 0.5}
    searcher = make_searcher(begun, 1)
    assert searcher.suggest(0, ()) == {"x": 0.1, "y": 0.5}
    assert searcher.suggest(1, ()) == make_searcher(plain, 1).suggest(1, ())
    runs = play(searcher, 12, quadratic)
    assert min(quadratic(each.values) for each in runs) < 0.01


def test_more_configurations_than_draws_are_all_run_and_learned_from() -> None:
    first = [{"x": place / 10, "y": place / 10} for place in range(8)]
    searcher = make_searcher(config(QUADRATIC, "bayes", first=first), 1)
    runs = play(searcher, 9, quadratic)
    assert [each.values for each in runs[:8]] == first
    # An agent that asks before it knows of the others' runs has them in mind.
    assert searcher.suggest(8, runs[:6]) not in first


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_each_point_of_a_finite_space_comes_once(method: str) -> None:
    first = [{"b": 4}, {"a": "z", "b": 8, "c": [1, 2]}, {"b": 4}]
    found = config(FINITE, method, first=first)
    runs = play(make_searcher(found, 1), found.space.size or 0, lambda values: values["b"])
    assert [each.values["b"] for each in runs[:3]] == [4, 8, 4]
    if method == "grid":
        assert [each.values["a"] for each in runs[3:]] == sorted(each.values["a"] for each in runs[3:])
    assert runs[1].values == first[1]
    assert len({found.space.key(each.values) for each in runs}) == found.space.size == 12
    assert make_searcher(found, 1).suggest(12, runs) is None


def test_more_configurations_than_points_end_with_the_points() -> None:
    found = config({"a": {"values": [1, 2]}, "b": {"value": 3}}, "grid", first=[{"b": 3}] * 1 + [{"a": 1}, {"a": 1}])
    searcher = make_searcher(found, 1)
    assert [searcher.suggest(ticket, ()) for ticket in range(3)] == [{"a": 1, "b": 3}, {"a": 2, "b": 3}, None]


@pytest.mark.parametrize(
    ("method", "sampler"),
    [("random", "qmc"), ("bayes", "auto"), ("bayes", "tpe"), ("bayes", "cmaes")],
)
def test_runs_have_the_parameters_that_exist(method: str, sampler: str) -> None:
    found = config(CONDITIONAL, method, sampler, when=WHEN)
    runs = play(make_searcher(found, 1), 16, lambda values: math.log10(values["lr"]) ** 2 + values.get("momentum", 1))
    own = {"sgd": "momentum", "adam": "beta2", "adamw": "beta2"}
    assert all(each.values.keys() == {"optimizer", "lr", own[str(each.values["optimizer"])]} for each in runs)
    assert len({each.values["optimizer"] for each in runs}) == 3


def test_random_draws_what_it_drew_without_conditions() -> None:
    plain, found = config(CONDITIONAL, "random"), config(CONDITIONAL, "random", when=WHEN)
    for ticket in range(8):
        drawn = make_searcher(plain, 1).suggest(ticket, ()) or {}
        assert make_searcher(found, 1).suggest(ticket, ()) == found.space.existing(drawn)


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_each_distinct_point_of_a_conditional_space_comes_once(method: str) -> None:
    found = config(LISTED, method, when=WHEN, first=[{"optimizer": "sgd", "momentum": 0.9}])
    assert found.space.size == 2 * (3 + 3 + 3)
    runs = play(make_searcher(found, 1), 18, lambda values: values.get("momentum", 0.3) + values["lr"])
    assert len({found.space.key(each.values) for each in runs}) == 18
    assert runs[0].values["momentum"] == 0.9
    assert make_searcher(found, 1).suggest(18, runs) is None


def test_random_prefers_likely_points_of_a_conditional_space() -> None:
    likely = {"values": ["a", "b"], "probabilities": [0.99, 0.01]}
    found = config({"kind": likely, "x": {"values": [1, 2, 3]}}, "random", when={"x": {"kind": "a"}})
    starts = [make_searcher(found, seed).suggest(0, ()) or {} for seed in range(40)]
    assert sum(each["kind"] == "a" for each in starts) > 30


def test_what_does_not_exist_is_a_fixed_value_for_the_model() -> None:
    found = config(CONDITIONAL, "bayes", when=WHEN)
    axes = Axes(found.space)
    sgd = {"optimizer": "sgd", "momentum": 0.9, "lr": 0.01}
    adam = {"optimizer": "adam", "beta2": 0.9, "lr": 0.01}
    shown = [axes.show(each) for each in (sgd, adam, {**adam, "momentum": 0.1})]
    assert all(shown)
    params = [each[0] for each in shown if each]
    assert params[1]["momentum"] == params[2]["momentum"] == 0.5
    assert params[0]["momentum"] == pytest.approx(0.9 / 0.99)
    assert [axes.values(each) for each in params[:2]] == [pytest.approx(sgd), pytest.approx(adam)]
    (trial,) = RunTrials(found.metrics, axes.show).trials([run(0, adam, 1.0)])
    assert trial.params == params[1]


def test_candidates_are_moved_to_what_exists() -> None:
    import numpy as np

    found = config(
        {**LISTED, "nesterov": {"values": [1, 2, 4]}}, "bayes", when={**WHEN, "nesterov": {"momentum": [0.5, 0.9]}}
    )
    axes = Axes(found.space)
    names = list(axes.distributions)
    points = np.random.default_rng(1).integers(0, 3, (200, len(names))).astype(float)
    for place, name in enumerate(names):
        top = getattr(axes.distributions[name], "high", None)
        points[:, place] = np.minimum(points[:, place], top or 2) / (top or 1)
    shown = axes.project(points.copy())
    for before, after in zip(points, shown, strict=True):
        raw = {
            name: round(value * getattr(axes.distributions[name], "high", 1))
            for name, value in zip(names, before, strict=True)
        }
        point = axes.values(raw)
        params, _ = axes.show(point) or ({}, {})
        ranks = [params[name] / getattr(axes.distributions[name], "high", 1) for name in names]
        assert after.tolist() == pytest.approx(ranks)


class Gaining:
    """A searcher that expects a gain of 0.5 of each point."""

    gain: float | None = None

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        del ticket, history
        self.gain = 0.5
        return {"x": 0.5}


def test_the_gain_that_the_model_expects_is_known_after_them() -> None:
    points = FirstPoints(sweep({"x": {"min": 0.0, "max": 1.0}}, "bayes").space, [{"x": 0.1}], Gaining(), once=False)
    gains = [(points.suggest(ticket, ()), points.gain)[1] for ticket in (0, 1, 0)]
    assert gains == [None, 0.5, None]
