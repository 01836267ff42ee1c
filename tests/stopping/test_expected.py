"""How runs that were stopped early would have ended, by the curves of all runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lightsweep.stopping import Progress, ended_curve, stopped_ends

LENGTH = 40


def falling(end: float, gain: float = 1.0, noise: float = 0.0, seed: int = 0) -> list[float]:
    """A loss that falls to its end, exponentially."""
    steps = np.arange(1, LENGTH + 1)
    found = end + gain * 0.85**steps + noise * np.random.default_rng(seed).normal(size=LENGTH)
    return [float(each) for each in found]


def curve(
    history: Sequence[float], goal: str = "minimize", stop: int | None = None, excluded: bool = False
) -> Progress:
    sign = 1.0 if goal == "minimize" else -1.0
    shown = [sign * value for value in history[:stop]]
    made = ended_curve(goal, shown, finished=stop is None, excluded=excluded)
    assert made is not None
    return made


def others(goal: str = "minimize", count: int = 6) -> dict[str, Progress]:
    """Runs that trained to their end."""
    return {str(number): curve(falling(0.1 * number, 1.0 + 0.1 * number), goal) for number in range(count)}


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_stopped_run_is_expected_to_end_near_its_end(goal: str) -> None:
    whole, sign = falling(0.33, 1.2), 1.0 if goal == "minimize" else -1.0
    found = stopped_ends(goal, {**others(goal), "stopped": curve(whole, goal, 9)})
    assert found.keys() == {"stopped"}
    value, deviation = found["stopped"]
    assert abs(value - sign * whole[-1]) < 0.5 * abs(whole[8] - whole[-1])
    assert abs(value - sign * whole[-1]) < 2 * deviation < 0.6


def test_the_later_a_run_stopped_the_surer_is_its_end() -> None:
    whole = falling(0.33, 1.2)
    stopped = {str(-count): curve(whole, stop=count) for count in (3, 9, 22)}
    deviations = [each.deviation for each in stopped_ends("minimize", {**others(), **stopped}).values()]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 2 * deviations[-1] > 0


def test_nothing_is_predicted_before_three_runs_have_trained_to_their_end() -> None:
    stopped = curve(falling(0.33), stop=9)
    assert stopped_ends("minimize", {**others(count=2), "stopped": stopped}) == {}
    broken = curve(falling(0.1), excluded=True)
    assert stopped_ends("minimize", {**others(count=2), "broken": broken, "stopped": stopped}) == {}
    assert stopped_ends("minimize", {**others(count=3), "stopped": stopped}).keys() == {"stopped"}
    assert stopped_ends("minimize", others()) == {}
    assert ended_curve("minimize", [], finished=False) is None


def test_no_end_is_better_than_the_best_run_however_much_noise_may_lift_a_run() -> None:
    alike = {str(seed): curve(falling(0.0, 0.01, noise=1.0, seed=seed)) for seed in range(8)}
    stopped = curve(falling(0.5, 0.01, noise=1.0, seed=9), stop=9)
    value, deviation = stopped_ends("minimize", {**alike, "stopped": stopped})["stopped"]
    assert min(each.best for each in alike.values()) <= value <= stopped.best
    assert 0 < deviation < 10


def test_a_run_that_was_ahead_when_it_was_stopped_is_no_better_than_the_best_run() -> None:
    steady = {str(number): curve([10.0 - 0.2 * step for step in range(LENGTH)]) for number in range(4)}
    ahead = curve([4.0 - 0.2 * step for step in range(8)], stop=8)  # at 2.6, where the others end at 2.2
    assert stopped_ends("minimize", {**steady, "ahead": ahead})["ahead"].value == pytest.approx(2.2)


def test_a_run_stopped_between_bands_counts_with_its_last_values() -> None:
    whole = [*falling(0.5)[:10], 0.12, 0.12]  # band 10 is the last one; the run was told to stop after band 10
    found = stopped_ends("minimize", {**others(), "stopped": curve(whole, stop=11)})["stopped"]
    assert found.value <= 0.12
    assert found.deviation > 0


def test_losses_that_are_too_large_to_calculate_with_are_left_out() -> None:
    with np.errstate(all="ignore"):
        huge = {**others(), "0": curve([-1.7e308] * LENGTH), "stopped": curve([1.7e308] * 9, stop=9)}
        assert stopped_ends("minimize", huge) == {}
