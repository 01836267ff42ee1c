"""Dotted names and the nested config."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.space import Constant, Parameter, Space

Path = tuple[str, ...]


def space(*paths: Path) -> Space:
    return Space(Parameter(".".join(path), path, Constant(0)) for path in paths)


def test_values_stand_where_their_path_says_in_the_order_given() -> None:
    nested = space(("lr",), ("model", "hidden"), ("model", "act", "name"), ("data.workers",)).nest(
        {"model.hidden": 8, "lr": 0.1, "model.act.name": "relu", "data.workers": 2}
    )
    assert nested == {"model": {"hidden": 8, "act": {"name": "relu"}}, "lr": 0.1, "data.workers": 2}
    assert list(nested) == ["model", "lr", "data.workers"]


def test_a_dict_that_is_a_value_stays_one() -> None:
    values = {"optimizer": {"name": "adam", "b": 1}, "a.b": {}}
    nested = space(("optimizer",), ("a", "b")).nest(values)
    assert nested == {"optimizer": {"name": "adam", "b": 1}, "a": {"b": {}}}


def test_a_part_of_the_parameters_will_do() -> None:
    part = space(("a",), ("m", "b"))
    assert part.nest({"m.b": 1}) == {"m": {"b": 1}}


segment = st.sampled_from(["a", "b", "c", "a.b", "b.c"])


@settings(max_examples=200, deadline=None)
@given(paths=st.lists(st.lists(segment, min_size=1, max_size=3).map(tuple), max_size=6))
def test_each_value_stands_at_its_path_or_the_paths_collide(paths: list[Path]) -> None:
    names = [".".join(path) for path in paths]
    prefixes = {path[:depth] for path in paths for depth in range(1, len(path))}
    collide = len(set(names)) < len(names) or bool(prefixes & set(paths))
    if collide:
        with pytest.raises(ValueError, match=r"are the same parameter|cannot be a parameter and also the group"):
            space(*paths)
    else:
        some = space(*paths)
        values = {name: place for place, name in enumerate(names)}
        nested = some.nest(values)
        found: list[Any] = [reduce(getitem, path, nested) for path in paths]
        assert found == list(range(len(paths)))
        assert list(nested) == list(dict.fromkeys(path[0] for path in paths))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([("m.h",), ("m", "h")], "'m.h' and 'h' in 'm' are the same parameter"),
        ([("m",), ("m", "h")], "'m' cannot be a parameter and also the group that holds 'h' in 'm'"),
        ([("m", "h"), ("m", "h", "x")], "'h' in 'm' cannot be a parameter and also the group that holds 'x' in 'h' in"),
        ([("",)], "needs a name that is not empty"),
        ([("a", "")], "needs a name that is not empty"),
    ],
)
def test_collisions_name_both(paths: list[Path], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space(*paths)


def test_a_flat_name_may_begin_with_another_name() -> None:
    assert space(("model",), ("model.params.epochs",)).nest({"model": 1, "model.params.epochs": 2}) == {
        "model": 1,
        "model.params.epochs": 2,
    }


def test_an_unknown_name_is_not_nested() -> None:
    with pytest.raises(ValueError, match="no parameter 'lrr'; did you mean 'lr'"):
        space(("lr",)).nest({"lrr": 1})
