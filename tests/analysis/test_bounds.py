"""New bounds: around the best runs, with margins, moved outwards if the best run is at an edge."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.analysis.bounds import Bounds, refined_bounds


def test_a_margin_on_each_side() -> None:
    new, said = refined_bounds(Bounds(0.0, 1.0), 0.5, [0.4, 0.5, 0.6])
    assert new == (0.35, 0.65)
    assert said == "the best runs lie between 0.4 and 0.6; was 0 to 1"


def test_a_margin_of_the_width_where_that_is_more() -> None:
    new, _ = refined_bounds(Bounds(0.0, 1.0), 0.5, [0.2, 0.5, 0.8])
    assert new == (0.11, 0.89)


def test_margins_are_logarithmic_on_a_logarithmic_axis() -> None:
    (low, high), _ = refined_bounds(Bounds(1e-5, 1e-1, log=True), 1e-3, [1e-3, 1e-3])
    share = 0.05 * math.log(1e4)
    assert low == pytest.approx(1e-3 * math.exp(-share), rel=0.01)
    assert high == pytest.approx(1e-3 * math.exp(share), rel=0.01)
    assert low < 1e-3 < high


def test_whole_numbers_stay_whole() -> None:
    new, _ = refined_bounds(Bounds(1, 100, step=1), 20, [10, 20, 30])
    assert new == (5, 35)
    assert {type(bound) for bound in new} == {int}


def test_multiples_of_a_step_stay_multiples() -> None:
    new, _ = refined_bounds(Bounds(0.0, 1.0, step=0.1), 0.5, [0.4, 0.5])
    assert new == (0.3, 0.6)


def test_of_ten_runs_the_outermost_do_not_count() -> None:
    top = [0.5 + place / 1000 for place in range(19)] + [0.99]
    (low, high), said = refined_bounds(Bounds(0.0, 1.0), 0.51, top)
    assert 0.4 < low < high < 0.6
    assert "mostly" in said


@pytest.mark.parametrize(
    ("old", "best", "new", "said"),
    [
        (Bounds(1.0, 3.0), 2.95, (2.85, 3.5), "the best run is at the upper edge, 3, so it moved to 3.5"),
        (Bounds(1.0, 3.0), 1.05, (0.5, 1.15), "the best run is at the lower edge, 1, so it moved to 0.5"),
        (Bounds(-1.0, 1.0), -1.0, (-1.5, -0.9), "the best run is at the lower edge, -1, so it moved to -1.5"),
        (Bounds(0.0, 4.0), 0.0, (0.0, 0.2), "the lower edge, 0, beyond which there is nothing to try"),
        (Bounds(0.5, 0.99), 0.985, (0.96, 0.995), "the upper edge, 0.99, so it moved to 0.995"),
        (Bounds(0.0, 0.5), 0.5, (0.475, 0.625), "the upper edge, 0.5, so it moved to 0.625"),
        (Bounds(1.0, 1e4, log=True), 1e4, (6300.0, 1e5), "the upper edge, 10000, so it moved to 100000"),
        (Bounds(1e-4, 1e-1, log=True), 0.1, (0.0707, 0.55), "moved to 0.55"),
        (Bounds(1, 4, step=1), 4, (3, 5), "moved to 5"),
        (Bounds(1, 4, step=1), 1, (1, 2), "beyond which there is nothing to try"),
        (Bounds(0.0, 1.0, closed=True), 1.0, (0.95, 1.0), "beyond which there is nothing to try"),
    ],
)
def test_the_edge_at_which_the_best_run_is_moves(old: Bounds, best: float, new: tuple[float, float], said: str) -> None:
    bounds, text = refined_bounds(old, best, [best, best])
    assert bounds == pytest.approx(new)
    assert said in text


def test_of_few_values_an_edge_needs_most_of_the_best_runs() -> None:
    few = Bounds(1, 4, step=1)
    assert refined_bounds(few, 4, [4, 2, 1, 3])[0] == (1, 4)
    assert refined_bounds(few, 4, [4, 4, 1, 3])[0] == (1, 5)


def test_a_range_that_is_left_says_so() -> None:
    assert refined_bounds(Bounds(0.0, 1.0), 0.5, [0.06, 0.5, 0.94]) == (
        (0.0, 1.0),
        "as it was: the best runs are spread over the whole range; was 0 to 1",
    )


@settings(max_examples=300, deadline=None)
@given(data=st.data(), log=st.booleans(), step=st.sampled_from([None, None, 1, 8, 0.1, 0.25]))
def test_whatever_the_runs_the_bounds_hold_the_best_one(data: st.DataObject, log: bool, step: float | None) -> None:
    finite = {"allow_nan": False, "allow_infinity": False}
    if step is None:
        low = data.draw(st.floats(1e-300, 1e300, **finite) if log else st.floats(-1e300, 1e300, **finite))
        high = data.draw(st.floats(min_value=low, max_value=1e301, **finite).filter(lambda value: value > low))
    else:
        first = data.draw(st.integers(1 if log else -1000, 1000))
        low, high = first * step, (first + data.draw(st.integers(1, 1000))) * step
    old = Bounds(low, high, log=log, step=step)
    values = (
        st.floats(low, high)
        if step is None
        else st.integers(0, round((high - low) / step)).map(lambda count: low + count * step)
    )
    top = data.draw(st.lists(values, min_size=1, max_size=12))
    best = data.draw(st.sampled_from(top))
    (new_low, new_high), text = refined_bounds(old, best, top)
    slack = 1e-9 * max(abs(best), 1e-300)
    assert new_low <= best + slack
    assert new_high >= best - slack
    assert new_low < new_high
    assert "\n" not in text
    if low > 0:
        assert new_low > 0
    if low >= 0:
        assert new_low >= 0
    if step is not None:
        assert new_low / step == pytest.approx(round(new_low / step), abs=1e-6)
