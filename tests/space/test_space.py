"""The grid, the unit cube and the identity of points."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.space import Constant, Distribution, Parameter, Space
from lightsweep.space.continuous import LogUniform, Normal, Uniform
from lightsweep.space.discrete import Categorical, IntUniform, Quantized


def parameter(name: str, distribution: Distribution, *, flat: bool = True) -> Parameter:
    return Parameter(name, (name,) if flat else tuple(name.split(".")), distribution)


@pytest.fixture
def grid() -> Space:
    return Space(
        [
            parameter("layers", IntUniform(1, 3)),
            parameter("batch", Categorical([64, 16, 64.0, 32])),
            parameter("fixed", Constant("x")),
            parameter("model.dropout", Quantized(Uniform(0, 0.2), 0.1), flat=False),
        ]
    )


def mixed() -> Space:
    return Space(
        [
            parameter("a", Categorical(["x", None, [1], {"k": 1}])),
            parameter("b", Constant(5)),
            parameter("c", LogUniform.from_values(1e-5, 0.1)),
            parameter("d", IntUniform(0, 9)),
            parameter("e", Normal(), flat=False),
        ]
    )


def test_the_grid_is_sorted_by_name_and_the_last_varies_fastest(grid: Space) -> None:
    assert [p.name for p in grid.parameters] == ["batch", "fixed", "layers", "model.dropout"]
    assert grid.size == 27
    expected = [
        {"batch": batch, "fixed": "x", "layers": layers, "model.dropout": dropout}
        for batch, layers, dropout in product([64, 16, 32], [1, 2, 3], [0.0, 0.1, 0.2])
    ]
    points = [grid.point(index) for index in range(27)]
    assert points == expected
    assert [list(point) for point in points] == [["batch", "fixed", "layers", "model.dropout"]] * 27
    assert [grid.index(point) for point in points] == list(range(27))


def test_the_grid_has_ends(grid: Space) -> None:
    for outside in (-1, 27):
        with pytest.raises(IndexError, match="27 points"):
            grid.point(outside)


def test_a_space_without_parameters_has_one_point() -> None:
    empty = Space([])
    assert empty.size == 1
    assert empty.point(0) == {}
    assert empty.index({}) == 0
    assert empty.at([]) == {}
    assert empty.unit({}) == []


@settings(max_examples=50, deadline=None)
@given(index=st.integers(0, 10**30 - 1))
def test_a_huge_grid_is_never_listed(index: int) -> None:
    huge = Space([parameter(f"p{place}", IntUniform(0, 999)) for place in range(10)])
    assert huge.size == 10**30
    point = huge.point(index)
    assert "".join(f"{value:03}" for value in point.values()) == f"{index:030}"
    assert huge.index(point) == index


def test_a_continuous_parameter_makes_the_space_endless() -> None:
    space = mixed()
    assert space.size is None
    for call in (lambda: space.point(0), lambda: space.index({})):
        with pytest.raises(ValueError, match="c has log_uniform_values"):
            call()


def test_single_values_are_not_searched() -> None:
    space = mixed()
    assert [p.name for p in space.searched] == ["a", "c", "d", "e"]
    assert [p.name for p in Space([parameter("one", Categorical([1, 1.0]))]).searched] == []


@settings(max_examples=100, deadline=None)
@given(unit=st.lists(st.floats(0.001, 0.999), min_size=4, max_size=4))
def test_the_unit_cube_is_undone(unit: list[float]) -> None:
    space = mixed()
    point = space.at(unit)
    assert list(point) == ["a", "b", "c", "d", "e"]
    assert point["b"] == 5
    back = space.unit(point)
    assert back[1] == pytest.approx(unit[1])
    assert back[3] == pytest.approx(unit[3])
    assert space.key(space.at(back) | {"c": 0, "e": 0}) == space.key(point | {"c": 0, "e": 0})
    assert space.unit({name: value for name, value in point.items() if name != "b"}) == back


@pytest.mark.parametrize("unit", [[], [0.5], [0.5] * 5])
def test_a_point_of_another_dimension_is_refused(unit: list[float]) -> None:
    with pytest.raises(ValueError, match="4 parameters are searched"):
        mixed().at(unit)


def test_values_that_do_not_fit_are_refused_by_name(grid: Space) -> None:
    point = grid.point(0)
    with pytest.raises(ValueError, match=r"batch: 128 is not one of the values \[64, 16, 32\]"):
        grid.unit(point | {"batch": 128})
    with pytest.raises(ValueError, match="layers: 4 is not an integer from 1 to 3"):
        grid.index(point | {"layers": 4})
    with pytest.raises(ValueError, match="no value for the parameter 'batch'; did you mean 'batsh'"):
        grid.unit({"batsh": 64})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": None}, {"a": "None"}, False),
        ({"a": [1, {"x": [2]}]}, {"a": [1.0, {"x": [2.0]}]}, True),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, True),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, False),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_keys_are_equal_for_equal_points_only(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    space = Space([])
    assert (space.key(one) == space.key(other)) is same
    assert len({space.key(one), space.key(other)}) == (1 if same else 2)


def test_all_keys_of_a_grid_differ(grid: Space) -> None:
    assert len({grid.key(grid.point(index)) for index in range(27)}) == 27


def test_equal_spaces_are_equal(grid: Space) -> None:
    again = Space(reversed(grid.parameters))
    assert again == grid
    assert hash(again) == hash(grid)
    assert grid != Space(islice(grid.parameters, 3))
    assert grid != 3


def test_a_name_that_is_not_its_path_is_refused() -> None:
    with pytest.raises(ValueError, match="its path with dots"):
        Parameter("a", ("a", "b"), Constant(1))


def test_the_middle_of_a_range_is_a_round_number_if_it_is_nearly_one() -> None:
    space = Space(
        [
            Parameter("lr", ("lr",), LogUniform.from_values(1e-5, 0.1)),
            Parameter("odd", ("odd",), LogUniform.from_values(1e-5, 1.0)),
            Parameter("width", ("width",), Uniform(0.1, 0.7)),
            Parameter("list", ("list",), Categorical([0.1 + 0.2, 1.0])),
        ]
    )
    exact = space.at([0.5] * 4)
    assert exact["lr"] != 0.001
    found = space.middle()
    assert (found["lr"], found["width"]) == (0.001, 0.4)
    assert found["odd"] == exact["odd"]  # 0.0031622776601683794 has no shorter form
    assert found["list"] in (0.1 + 0.2, 1.0)  # a value of a list is never another one
    assert space.unit(found) == pytest.approx([0.5] * 4, abs=0.3)
