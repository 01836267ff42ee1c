"""Parameters that exist only beside certain values of others: which exist, and the distinct points."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from lightsweep.space import Constant, Parameter, Space
from lightsweep.space.continuous import Uniform
from lightsweep.space.discrete import Categorical

OPTIMIZER = {
    "momentum": {"optimizer": ["sgd"]},
    "nesterov": {"momentum": [0.9, 0.99]},
    "beta2": {"optimizer": ["adam"]},
}


def space(when: Mapping[str, Any], **values: Any) -> Space:
    return Space(
        [
            Parameter(name, (name,), Categorical(choices) if isinstance(choices, list) else choices)
            for name, choices in values.items()
        ],
        when,
    )


SPACE = space(
    OPTIMIZER,
    optimizer=["adam", "sgd", "lion"],
    momentum=[0.0, 0.9, 0.99],
    nesterov=[True, False],
    beta2=[0.9, 0.999],
    layers=[1, 2],
)


def test_points_that_differ_in_absent_parameters_are_one() -> None:
    # adam has 2 beta2, lion is alone, sgd has momentum 0 and twice nesterov beside two others
    assert SPACE.size == (2 + 1 + (1 + 2 + 2)) * 2
    points = [SPACE.point(index) for index in range(SPACE.size or 0)]
    assert len({SPACE.key(point) for point in points}) == len(points)
    assert [SPACE.index(point) for point in points] == list(range(len(points)))
    assert all(SPACE.is_whole(point) and SPACE.existing(point) == point for point in points)
    assert {"layers": 1, "optimizer": "lion"} in points
    assert {"layers": 2, "optimizer": "sgd", "momentum": 0.9, "nesterov": True} in points


def test_absent_parameters_are_ignored_and_missing_ones_are_errors() -> None:
    point = {"layers": 1, "optimizer": "adam", "beta2": 0.9}
    assert SPACE.index({**point, "momentum": 0.9}) == SPACE.index(point)
    assert SPACE.existing({**point, "momentum": 0.9, "nesterov": True}) == point
    assert not SPACE.is_whole({"layers": 1, "optimizer": "adam"})
    with pytest.raises(ValueError, match="no value for the parameter 'beta2'"):
        SPACE.index({"layers": 1, "optimizer": "adam"})


def test_the_unit_cube_leaves_out_what_does_not_exist() -> None:
    names = [parameter.name for parameter in SPACE.searched]
    unit = dict(zip(names, [0.5] * len(names), strict=True)) | {"optimizer": 0.1}
    assert SPACE.at(list(unit.values())) == {"beta2": 0.999, "layers": 2, "optimizer": "adam"}
    assert SPACE.all_at(list(unit.values())).keys() == set(names)
    back = dict(zip(names, SPACE.unit({"beta2": 0.999, "layers": 2, "optimizer": "adam"}), strict=True))
    assert back["momentum"] == 0.5  # the middle of three
    assert SPACE.at(list(back.values())) == {"beta2": 0.999, "layers": 2, "optimizer": "adam"}


def test_all_parents_must_hold() -> None:
    both = space({"c": {"a": [1], "b": [1, 2]}}, a=[1, 2], b=[1, 2, 3], c=[7, 8, 9])
    assert both.size == 2 * 3 + 3 + 1
    assert both.existing({"a": 1, "b": 2, "c": 7}) == {"a": 1, "b": 2, "c": 7}
    assert both.existing({"a": 1, "b": 3, "c": 7}) == {"a": 1, "b": 3}


def test_constants_and_endless_parameters_may_be_conditional() -> None:
    found = space(
        {"warmup": {"schedule": ["cosine"]}, "x": {"schedule": ["flat"]}},
        schedule=["flat", "cosine"],
        warmup=Constant(5),
        x=Uniform(0, 1),
    )
    assert found.size is None
    assert found.at([0.9, 0.3]) == {"schedule": "cosine", "warmup": 5}
    assert found.at([0.1, 0.3]) == {"schedule": "flat", "x": 0.3}
    assert not found.is_whole({"schedule": "cosine"})


def test_values_are_compared_as_everywhere() -> None:
    found = space({"b": {"a": [1]}}, a=[True, 1.0], b=[1, 2])
    assert found.size == 3
    assert found.existing({"a": True, "b": 1}) == {"a": True}
    assert found.existing({"a": 1, "b": 1}) == {"a": 1, "b": 1}


@pytest.mark.parametrize("seed", range(20))
def test_random_conditions_are_counted_as_by_listing(seed: int) -> None:
    choose = random.Random(seed)
    names = [f"p{place}" for place in range(6)]
    choose.shuffle(names)
    values = {name: list(range(choose.randint(1, 3))) for name in names}
    when = {
        name: {
            parent: choose.sample(values[parent], choose.randint(1, len(values[parent])))
            for parent in choose.sample(names[:place], min(place, choose.randint(1, 2)))
        }
        for place, name in enumerate(names)
        if place and choose.random() < 0.6
    }
    found, free = space(when, **values), space({}, **values)
    listed = {found.key(found.existing(free.point(index))) for index in range(free.size or 0)}
    assert found.size == len(listed)
    points = [found.point(index) for index in range(found.size)]
    assert {found.key(point) for point in points} == listed
    assert [found.index(point) for point in points] == list(range(len(points)))


def test_many_parameters_cost_little() -> None:
    values = {f"p{place:04d}": [0, 1] for place in range(2000)}
    found = space({"p0007": {"p0003": [1]}}, **values)
    assert found.size == 3 * 2**1998
    assert found.index(found.point(found.size - 1)) == found.size - 1
