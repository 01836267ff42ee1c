"""The suggestions of one stage: its searched parameters beside the fixed ones."""

from __future__ import annotations

from typing import Any

import pytest

from lightsweep.errors import InputError
from lightsweep.sampler import Observation, make_searcher
from lightsweep.sampler.base import taken_before
from lightsweep.sampler.registry import make_subspace_searcher
from lightsweep.schema import SweepConfig

PARAMETERS: dict[str, Any] = {
    "a": {"values": [1, 2, 3]},
    "b": {"values": ["x", None]},
    "lr": {"min": 0.0, "max": 1.0},
    "epochs": {"value": 9},
}


def config(method: str = "grid", **options: Any) -> SweepConfig:
    return SweepConfig.load(
        {
            "method": method,
            "metric": {"name": "loss"},
            "parameters": PARAMETERS,
            "lightsweep": {
                "stages": [
                    {"parameters": ["lr"], "method": "random", "run_cap": 3, "defaults": {"a": 1, "b": None}},
                    {"parameters": ["a", "b"], "method": method},
                    {"parameters": ["lr"], "method": "bayes"},
                ],
                **options,
            },
        }
    )


def point(a: int, b: str | None, lr: float = 0.5) -> dict[str, Any]:
    return {"a": a, "b": b, "epochs": 9, "lr": lr}


def run(key: str, values: dict[str, Any], ticket: int | None = None, value: float = 1.0) -> Observation:
    return Observation(key, ticket, values, "finished", (value,), 1)


FIXED = {"epochs": 9, "lr": 0.5}


def test_taken_are_the_points_of_runs_that_differ_in_nothing_else() -> None:
    stage = config().stages[1]
    runs = [point(1, None), point(2, "x", lr=0.6), point(3, "x"), point(3, "x")]
    assert taken_before(stage.space, FIXED, runs) == {stage.space.index({"a": 1, "b": None}), 4}
    assert taken_before(config().stages[2].space, {"epochs": 9, "a": 1, "b": None}, [point(1, None)]) == set()


@pytest.mark.parametrize("method", ["grid", "random"])
def test_every_point_that_is_left_comes_once(method: str) -> None:
    made = config(method)
    stage = made.stages[1]
    taken = taken_before(stage.space, FIXED, [point(1, "x"), point(3, "x")])
    searcher = make_subspace_searcher(made, made.alone(stage), 1, FIXED, taken)
    found = [searcher.suggest(ticket, []) for ticket in range(4)]
    assert searcher.suggest(4, []) is None
    left = [point(a, b) for a in (1, 2, 3) for b in ("x", None) if point(a, b) not in (point(1, "x"), point(3, "x"))]
    assert sorted(map(str, found)) == sorted(map(str, left))
    if method == "grid":
        assert [list(each.items()) for each in found if each] == [list(each.items()) for each in left]
    # Another agent may begin with any ticket.
    again = make_subspace_searcher(made, made.alone(stage), 1, FIXED, taken)
    assert [again.suggest(ticket, []) for ticket in (3, 1)] == [found[3], found[1]]


def test_bayes_goes_on_from_the_run_that_it_is_fixed_at() -> None:
    """The first stage had one of the six points, so five are left."""
    made = config("bayes", sampler="tpe")
    stage = made.stages[1]
    searcher = make_subspace_searcher(made, made.alone(stage), 1, FIXED)
    known = [run("1", point(1, "x"))]
    for ticket in range(5):
        values = searcher.suggest(ticket, known)
        assert values is not None
        assert values not in [each.values for each in known]
        known.append(run(str(ticket + 2), values, ticket, float(ticket)))
    assert searcher.suggest(5, known) is None


def test_a_config_with_stages_proposes_for_the_first() -> None:
    values = make_searcher(config(), 1).suggest(0, [])
    assert values is not None
    assert {name: values[name] for name in ("a", "b", "epochs")} == {"a": 1, "b": None, "epochs": 9}


def test_what_a_later_stage_needs_is_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="sampler cmaes needs the package cmaes"):
        make_searcher(config("grid", sampler="cmaes"), 1)


def test_a_stage_begins_with_few_draws() -> None:
    """Three for one parameter, less the base run; a sweep would begin with ten."""
    made = config("grid", sampler="tpe")
    stage = made.stages[2]
    fixed = {"epochs": 9, "a": 1, "b": None}

    def proposed(ticket: int, best: float) -> Any:
        values = [point(1, None, lr) for lr in (0.1, 0.3, 0.5, 0.7, 0.9)]
        losses = [abs(each["lr"] - best) for each in values]
        known = [run(str(place), values[place], place - 1 if place else None, losses[place]) for place in range(5)]
        return make_subspace_searcher(made, made.alone(stage), 1, fixed).suggest(ticket, known)

    assert proposed(1, 0.1) == proposed(1, 0.9)
    assert proposed(2, 0.1) != proposed(2, 0.9)
