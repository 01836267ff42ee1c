"""Values from tickets: the same sequence for every agent."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from sampler_helpers import FINITE, MIXED, sweep

from lightsweep.sampler import make_searcher
from lightsweep.sampler.fixed_order import BLOCK, ORDERED, DistinctPoints, SobolSearcher

TICKETS = [("grid", "auto"), ("random", "auto"), ("random", "qmc")]
# More points than are put in order at once.
LARGE = {f"p{axis}": {"min": 0, "max": 31} for axis in range(4)}
# A parameter with more values than are tabulated.
WIDE = {"a": {"min": 1, "max": 10**9}, "b": {"values": ["x", "y"]}}


def test_grid_goes_through_the_points_in_order_and_ends() -> None:
    searcher = make_searcher(sweep(FINITE, "grid"), seed=1)
    points = [searcher.suggest(ticket, []) for ticket in range(13)]
    assert points[:-1] == [{"a": a, "b": b, "c": [1, 2]} for a, b in product("xyz", (1, 2, 4, 8))]
    assert points[-1] is None


def test_a_grid_of_a_thousand_million_points_starts_at_once() -> None:
    config = sweep({f"p{axis}": {"min": 0, "max": 9} for axis in range(9)}, "grid")
    assert make_searcher(config, 1).suggest(123_456_789, []) == {f"p{axis}": axis + 1 for axis in range(9)}


@pytest.mark.parametrize(("method", "sampler"), TICKETS[1:])
@pytest.mark.parametrize("parameters", [MIXED, FINITE, LARGE, WIDE], ids=["mixed", "finite", "large", "wide"])
def test_eight_agents_give_the_runs_of_one(parameters: dict[str, object], method: str, sampler: str) -> None:
    config = sweep(parameters, method, sampler)
    alone = make_searcher(config, 7)
    agents = [make_searcher(config, 7) for _ in range(8)]
    order = np.random.default_rng(0).permutation(12)
    together = {int(ticket): agents[ticket % 8].suggest(int(ticket), []) for ticket in order}
    expected = [alone.suggest(ticket, []) for ticket in range(12)]
    assert [together[ticket] for ticket in range(12)] == expected
    assert expected != [make_searcher(config, 8).suggest(ticket, []) for ticket in range(12)]


@pytest.mark.parametrize("parameters", [LARGE, WIDE], ids=["large", "wide"])
@pytest.mark.parametrize("sampler", ["auto", "qmc"])
def test_a_large_finite_space_gives_no_point_twice(parameters: dict[str, object], sampler: str) -> None:
    config = sweep(parameters, "random", sampler)
    assert config.space.size is not None
    assert config.space.size > ORDERED
    searcher = make_searcher(config, 3)
    points = [searcher.suggest(ticket, []) for ticket in range(2000)]
    assert len({config.space.index(point) for point in points if point}) == 2000


def test_points_that_the_stream_never_brings_come_in_the_end() -> None:
    space = sweep(FINITE).space
    stream = DistinctPoints(space, lambda _: np.full((BLOCK, 2), 0.5))
    order = [stream.at(ticket) for ticket in range(13)]
    assert order[0] == space.index(space.at([0.5, 0.5]))
    assert sorted(index for index in order if index is not None) == list(range(12))
    assert order[12] is None


@pytest.mark.parametrize("repeats", [1, 7], ids=["ordered", "stream"])
def test_probabilities_decide_what_comes_first(repeats: int) -> None:
    parameters = {"a": {"values": ["often", "seldom"], "probabilities": [0.9, 0.1]}}
    parameters |= {f"z{axis}": {"min": 0, "max": 9} for axis in range(repeats)}
    config = sweep(parameters, "random")
    counts: Counter[str] = Counter()
    for seed in range(300):
        point = make_searcher(config, seed).suggest(0, [])
        assert point is not None
        counts[point["a"]] += 1
    # Binomial with p = 0.9: five standard deviations around 270.
    assert 244 <= counts["often"] <= 296


def test_sobol_points_fill_the_space_evenly() -> None:
    space = sweep({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}).space
    searcher = SobolSearcher(space, 5)
    points = [searcher.suggest(ticket) for ticket in range(64)]
    for axis in ("x", "y"):
        assert sorted(int(point[axis] * 64) for point in points if point) == list(range(64))
