"""Free points of a finite space: the nearest one, and always one where any is left."""

from __future__ import annotations

import pytest
from sampler_helpers import FINITE, run, sweep

from lightsweep.sampler.unit_cube import LISTED, UnseenPoints

LINE = {"x": {"min": 0, "max": 9}, "kind": {"values": ["a", "b"]}}
HUGE = {f"p{axis}": {"min": 0, "max": 99} for axis in range(4)}


def test_the_nearest_neighbour_takes_the_place_of_a_taken_point() -> None:
    space = sweep(LINE).space
    free = UnseenPoints(space)
    taken = {space.index({"x": x, "kind": "a"}) for x in (3, 4, 5)}
    assert free.nearest({"x": 3, "kind": "a"}, taken, 0) == {"x": 2, "kind": "a"}
    assert free.nearest({"x": 5, "kind": "a"}, taken, 0) == {"x": 6, "kind": "a"}
    others = {space.index({"x": x, "kind": "a"}) for x in range(10)}
    assert free.nearest({"x": 7, "kind": "a"}, others, 0) == {"x": 7, "kind": "b"}


def test_unordered_values_are_all_equally_far() -> None:
    space = sweep({"kind": {"values": ["a", "b", "c", "d", "e"]}, "x": {"values": [0, 1]}}).space
    free = UnseenPoints(space)
    taken = {space.index({"kind": "a", "x": 0})}
    # The other x is 1/2 away; b is 1 away, though it is written next to a.
    assert free.nearest({"kind": "a", "x": 0}, taken, 0) == {"kind": "a", "x": 1}
    taken |= {space.index({"kind": kind, "x": x}) for kind in "abcd" for x in (0, 1)}
    assert free.nearest({"kind": "a", "x": 1}, taken, 0) == {"kind": "e", "x": 1}


def test_a_huge_space_is_searched_nearby() -> None:
    space = sweep(HUGE).space
    assert space.size is not None
    assert space.size > LISTED
    centre = {f"p{axis}": 50 for axis in range(4)}
    free = UnseenPoints(space)
    taken = {space.index(centre)}
    found = free.nearest(centre, taken, 1)
    assert found is not None
    assert found != centre
    assert all(abs(value - 50) <= 10 for value in found.values())
    assert free.nearest(centre, taken, 1) == found


def test_a_huge_space_whose_neighbourhood_is_taken_gives_its_first_free_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightsweep.sampler.unit_cube.LISTED", 0)
    space = sweep(FINITE).space
    assert UnseenPoints(space).nearest(space.point(3), set(range(11)), 0) == space.point(11)


def test_a_run_that_moved_to_another_point_takes_that_one_alone() -> None:
    """Two agents may choose the same point at once; one of them then moves on."""
    space = sweep(FINITE).space
    points = UnseenPoints(space)
    assert points.taken([run(0, space.point(4), state="running")]) == {4}
    assert points.taken([run(0, space.point(5), state="running")]) == {5}
