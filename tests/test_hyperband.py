"""Bands, thresholds and verdicts."""

from __future__ import annotations

import doctest
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep import hyperband as module
from lightsweep.hyperband import Hyperband, Verdict, brief, judge, threshold, verdict


@pytest.mark.parametrize(
    ("settings_", "bands"),
    [
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 18, "s": 2}, (2, 6)),
        ({"max_iter": 9, "s": 2}, (1, 3)),
        ({"max_iter": 27, "s": 3}, (1, 3, 9)),
        ({"max_iter": 27, "s": 10**9}, (1, 3, 9)),
        ({"max_iter": 2, "s": 1}, ()),
        ({"max_iter": 100, "s": 3, "eta": 2}, (12, 25, 50)),
        ({"max_iter": 5, "s": 4, "eta": 1.5}, (1, 2, 3)),
        ({"max_iter": 27, "s": 2, "min_iter": 1}, (3, 9)),
    ],
)
def test_bands_of_max_iter(settings_: dict[str, Any], bands: tuple[int, ...]) -> None:
    hyperband = Hyperband(**settings_)
    assert hyperband.bands() == bands
    assert hyperband.bands(upto=3) == tuple(band for band in bands if band <= 3)


@pytest.mark.parametrize(
    ("settings_", "bands"),
    [
        ({"min_iter": 3}, (3, 9, 27, 81)),
        ({"min_iter": 3, "s": 2}, (3, 9, 27, 81)),
        ({"min_iter": 1, "eta": 1.5}, (1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 86)),
        ({"min_iter": 5, "eta": 2.5}, (5, 12, 31, 78)),
        ({"min_iter": 101}, ()),
        ({"min_iter": 95, "eta": 1 + 1e-12}, (95, 96, 97, 98, 99, 100)),
        ({"min_iter": 2, "eta": 1e300}, (2,)),
    ],
)
def test_bands_of_min_iter(settings_: dict[str, Any], bands: tuple[int, ...]) -> None:
    hyperband = Hyperband(**settings_)
    assert hyperband.bands(upto=100) == bands
    with pytest.raises(ValueError, match="no end"):
        hyperband.bands()


@pytest.mark.parametrize(
    ("settings_", "bands"),
    [
        ({"min_iter": 3}, (3, 9, 27, 81, 243)),
        ({"min_iter": 1, "eta": 1.5}, (1, 2, 3, 5, 7)),
        ({"min_iter": 1, "eta": 1 + 1e-9}, (1, 2, 3, 4, 5)),
        ({"min_iter": 2, "eta": 1e300}, (2,)),  # no run has more iterations than a float counts
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 729, "s": 6}, (1, 3, 9, 27, 81)),
        ({"max_iter": 2, "s": 1}, ()),
    ],
)
def test_the_first_bands(settings_: dict[str, Any], bands: tuple[int, ...]) -> None:
    assert Hyperband(**settings_).first(5) == bands


@settings(max_examples=100, deadline=None)
@given(
    min_iter=st.integers(1, 20),
    max_iter=st.integers(1, 300),
    s=st.integers(1, 8),
    eta=st.one_of(st.integers(2, 5), st.floats(1.05, 5)),
    upto=st.integers(0, 300),
)
def test_bands_follow_the_formula(min_iter: int, max_iter: int, s: int, eta: float, upto: int) -> None:
    endless = {int(min_iter * eta**k) for k in range(200)}
    assert set(Hyperband(min_iter, eta=eta).bands(upto)) == {band for band in endless if band <= upto}
    ended = {int(max_iter / eta**k) for k in range(1, s + 1)} - {0}
    assert set(Hyperband(max_iter=max_iter, s=s, eta=eta).bands()) == ended
    for hyperband in (Hyperband(min_iter, eta=eta), Hyperband(max_iter=max_iter, s=s, eta=eta)):
        bands = hyperband.bands(upto)
        assert list(bands) == sorted(set(bands))
        assert hyperband.first(len(bands)) == bands
        assert hyperband.reached(upto) == (bands[-1] if bands else None)


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({}, "needs min_iter, or max_iter together with s"),
        ({"s": 2}, "needs min_iter, or max_iter together with s"),
        ({"max_iter": 27}, "max_iter needs s"),
        ({"max_iter": 27, "min_iter": 3}, "max_iter needs s"),
        ({"min_iter": 0}, "min_iter must be a whole number from 1"),
        ({"min_iter": 1.5}, "min_iter must be a whole number from 1"),
        ({"min_iter": 10**400}, "min_iter must be a whole number from 1 to 9007199254740992"),
        ({"max_iter": 0, "s": 2}, "max_iter must be a whole number from 1"),
        ({"max_iter": math.inf, "s": 2}, "max_iter must be a whole number from 1"),
        ({"max_iter": 27, "s": 0}, "s must be a whole number from 1"),
        ({"min_iter": 3, "eta": 1}, "eta must be a finite number above 1, not 1"),
        ({"min_iter": 3, "eta": 0.5}, "eta must be a finite number above 1"),
        ({"min_iter": 3, "eta": math.nan}, "eta must be a finite number above 1"),
        ({"min_iter": 3, "eta": math.inf}, "eta must be a finite number above 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings_: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Hyperband(**settings_)


@pytest.mark.parametrize(
    ("values", "goal", "expected"),
    [
        ([9, 11, 10, 10, 10], "minimize", 10),
        ([3, 4, 6], "minimize", 4),
        ([0.9], "minimize", 0.9),
        ([1, 2], "minimize", 1),
        ([0.7, 0.9, 0.8], "maximize", 0.8),
        ([math.nan, 5, math.inf], "minimize", math.inf),
        ([math.nan, 5, 4, 3, -math.inf, 2], "minimize", 4),
        ([math.inf, 5, 4, 3, math.nan, 2], "maximize", 3),
        ([math.nan], "maximize", -math.inf),
    ],
)
def test_thresholds(values: list[float], goal: str, expected: float) -> None:
    assert threshold(values, 3, goal) == expected


def test_a_threshold_exists_for_any_eta_above_one() -> None:
    for count in (*range(1, 100), 2**16 - 1, 2**16, 2**16 + 1):
        assert threshold(range(count), math.nextafter(1, 2), "minimize") == count - 1
    assert threshold([1, 2, 3], 1e300, "minimize") == 1


def test_no_values_and_unknown_goals_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        threshold([], 3, "minimize")
    for call in (lambda: threshold([1], 3, "minimise"), lambda: judge(Hyperband(3), "minimise", [1.0], [])):
        with pytest.raises(ValueError, match="not 'minimise'"):
            call()


def test_the_worked_example() -> None:
    hyperband = Hyperband(max_iter=9, s=2, strict=False)
    histories = {"a": [9, 8], "b": [11, 11], "c": [10, 8, 3], "d": [10, 7, 4], "e": [10, 6, 6]}
    stopped = set()
    for name, history in histories.items():
        band = hyperband.reached(len(history)) or 0
        verdict = judge(hyperband, "minimize", history, [h[band - 1] for h in histories.values() if len(h) >= band])
        assert (verdict.band, verdict.threshold) == ((1, 10) if band == 1 else (3, 4))
        if verdict.stop and name != "a":
            stopped.add(name)
    assert stopped == {"b", "e"}


def test_a_stop_says_band_value_threshold_and_company() -> None:
    values = [0.1, 0.2, 0.3, 0.312, 0.4312, *[0.5] * 6]
    assert judge(Hyperband(9), "minimize", [1.0] * 8 + [0.4312, 0.2], values) == Verdict(
        stop=True,
        reason="stopped at band 9: 0.4312 > cut-off 0.3120 (the 4th best of 11 runs)",
        band=9,
        value=0.4312,
        threshold=0.312,
        compared=11,
    )


@pytest.mark.parametrize(
    ("strict", "history", "values", "goal", "reason"),
    [
        (True, [], [], "minimize", "no band reached after 0 iterations"),
        (True, [1.0], [], "minimize", "no band reached after 1 iteration"),
        (True, [1.0, 0.5], [0.5], "minimize", "passed band 2: 0.5000 <= cut-off 0.5000 (the best of 1 run)"),
        (
            False,
            [0.25, 0.125],
            [0.125, 0.5],
            "maximize",
            "stopped at band 2: best so far 0.2500 < cut-off 0.5000 (the best of 2 runs)",
        ),
        (
            True,
            [9.0, 1.00001],
            [1.0, 1.00001],
            "minimize",
            "stopped at band 2: 1.00001 > cut-off 1.00000 (the best of 2 runs)",
        ),
        (
            True,
            [9.0, 2.0],
            [1.0] * 35 + [2.0],
            "minimize",
            "stopped at band 2: 2.000 > cut-off 1.000 (the 13th best of 36 runs)",
        ),
    ],
)
def test_reasons(strict: bool, history: list[float], values: list[float], goal: str, reason: str) -> None:
    assert judge(Hyperband(2, strict=strict), goal, history, values).reason == reason


@pytest.mark.parametrize(
    ("strict", "goal", "values", "text"),
    [
        (True, "minimize", [0.814, 0.5], "stopped at 2: 0.8140 (cut-off 0.5000)"),
        (True, "maximize", [-1e-9, 0.5], "stopped at 2: -1.000e-09 (cut-off 0.5000)"),
        (False, "minimize", [0.814, 0.5], "stopped at 2: 0.8140 (cut-off 0.5000)"),
    ],
)
def test_a_stop_in_a_few_words(strict: bool, goal: str, values: list[float], text: str) -> None:
    found = judge(Hyperband(2, strict=strict), goal, [values[0]] * 2, values)
    assert found.stop
    assert brief(found.reason) == text


def test_other_reasons_stay_as_they_are() -> None:
    for reason in ("", "exit code 1: stopped", "band 3: 1.668 is worse than the threshold 1.485, goal minimize"):
        assert brief(reason) == reason


def test_values_that_are_not_finite_are_no_iterations() -> None:
    verdict = judge(Hyperband(2), "minimize", [math.nan, 3.0, math.inf, 1.0], [1.0, 2.0])
    assert (verdict.band, verdict.value, verdict.stop) == (2, 1.0, False)
    assert judge(Hyperband(2), "minimize", [math.nan, 3.0], []).band is None


def test_a_run_is_never_worse_than_a_threshold_that_is_not_finite() -> None:
    for goal in ("minimize", "maximize"):
        verdict = judge(Hyperband(1), goal, [5.0], [math.nan, 5.0, math.nan, math.inf, -math.inf])
        assert not verdict.stop


def test_a_run_is_judged_again_when_the_threshold_moves() -> None:
    hyperband = Hyperband(2)
    assert not judge(hyperband, "minimize", [5.0, 4.0], [4.0]).stop
    assert judge(hyperband, "minimize", [5.0, 4.0, 1.0], [4.0, 3.0]).stop
    assert not judge(Hyperband(2, strict=False), "minimize", [5.0, 4.0, 1.0], [4.0, 3.0]).stop


def _naive_stops(bands: set[int], eta: float, strict: bool, goal: str, index: int, sweep: list[list[float]]) -> bool:
    """The rule said another way: count how many runs are strictly better than this one.

    The element at index k of the sorted values is better than mine if and only if more than k values are.
    """
    mine = sweep[index]
    passed = [band for band in bands if band <= len(mine)]
    if not passed:
        return False
    band = max(passed)
    pick = max if goal == "maximize" else min
    value = mine[band - 1] if strict else pick(mine)
    there = [history[band - 1] for history in sweep if len(history) >= band]
    better = sum(pick(other, value) != value for other in there)
    return better > int(len(there) / eta)


@settings(max_examples=300, deadline=None)
@given(
    sweep=st.lists(
        st.lists(st.one_of(st.integers(0, 6).map(float), st.floats(-10, 10)), max_size=30), min_size=1, max_size=12
    ),
    bounds=st.one_of(
        st.fixed_dictionaries({"min_iter": st.integers(1, 6)}),
        st.fixed_dictionaries({"max_iter": st.integers(1, 40), "s": st.integers(1, 4)}),
    ),
    eta=st.one_of(st.integers(2, 4), st.floats(1.2, 4)),
    strict=st.booleans(),
    goal=st.sampled_from(["minimize", "maximize"]),
)
def test_random_histories_against_a_naive_reference(
    sweep: list[list[float]], bounds: dict[str, int], eta: float, strict: bool, goal: str
) -> None:
    hyperband = Hyperband(**bounds, eta=eta, strict=strict)
    if "min_iter" in bounds:
        bands = {int(bounds["min_iter"] * eta**k) for k in range(40)}
    else:
        bands = {int(bounds["max_iter"] / eta**k) for k in range(1, bounds["s"] + 1)} - {0}
    for index, history in enumerate(sweep):
        band = hyperband.reached(len(history))
        values_at = [] if band is None else [other[band - 1] for other in sweep if len(other) >= band]
        verdict = judge(hyperband, goal, history, values_at)
        assert verdict.stop is _naive_stops(bands, eta, strict, goal, index, sweep)
        assert verdict.compared == len(values_at)
        assert verdict.reason


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    eta=st.floats(1.01, 5),
    goal=st.sampled_from(["minimize", "maximize"]),
)
def test_values_known_to_ascend_give_the_same_threshold(values: list[float], eta: float, goal: str) -> None:
    ordered = sorted(values)
    assert threshold(ordered, eta, goal, ascending=True) == threshold(values, eta, goal)
    hyperband = Hyperband(min_iter=1, eta=eta)
    assert verdict(hyperband, goal, 1, 1, values[0], ordered, ascending=True) == judge(
        hyperband, goal, values[:1], values
    )


def test_the_example_of_the_module_is_true() -> None:
    found = doctest.testmod(module)
    assert found.attempted >= 6
    assert found.failed == 0
