"""The trials that a Gaussian process is fitted to."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.unit_cube import GP_RUNS, LARGEST, frozen_trial, gp_trials, stopped_end
from lightsweep.stopping import StoppedEnd


def trials(values: Sequence[Sequence[float] | None]) -> list[FrozenTrial]:
    return [
        frozen_trial(number + 1, {"x": 0.5}, {"x": FloatDistribution(0, 1)}, one) for number, one in enumerate(values)
    ]


def test_few_ordinary_runs_are_given_as_they_are() -> None:
    given = trials([[1.0], [2.0], None, [3.0]])
    assert all(one is two for one, two in zip(gp_trials(given, ["minimize"]), given, strict=True))
    assert gp_trials(trials([None]), ["minimize"])[0].state == TrialState.RUNNING


def test_outliers_on_the_bad_side_are_drawn_in() -> None:
    low = gp_trials(trials([[0.0], [1.0], [2.0], [1e9], [4.0]]), ["minimize"])
    assert [trial.values for trial in low] == [[0.0], [1.0], [2.0], [6.0], [4.0]]
    high = gp_trials(trials([[0.0], [-1.0], [-2.0], [-1e9], [1e9]]), ["maximize"])
    assert high[-1].values == [1e9]
    assert high[3].values == [-1e9]
    equal = gp_trials(trials([[1.0], [1.0], [1.0], [9.0]]), ["minimize"])
    assert equal[-1].values == [9.0]


def test_a_stopped_run_has_the_value_of_its_end_and_keeps_its_deviation() -> None:
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
    ends = [StoppedEnd(2.5, 0.3), StoppedEnd(50.0, 9.0)]
    stopped = [frozen_trial(5 + place, {"x": 0.1}, space, [99.0], end=end) for place, end in enumerate(ends)]
    found = gp_trials([*trials([[0.0], [1.0], [2.0], [4.0]]), *stopped], ["minimize"])
    assert [trial.values for trial in found] == [[0.0], [1.0], [2.0], [4.0], [2.5], [6.75]]  # 3 times the median
    assert [stopped_end(trial) for trial in found] == [None] * 4 + ends
    endless = frozen_trial(5, {"x": 0.1}, space, [3.0], end=StoppedEnd(-1e300, 1.0))
    assert gp_trials([*trials([[0.0], [1.0], [2.0]]), endless], ["minimize"])[-1].values == [-LARGEST]


def test_of_many_runs_the_best_and_a_spread_of_the_others_stay() -> None:
    count = 4 * GP_RUNS
    given = trials([[float(count - number)] for number in range(count)] + [None])
    kept = gp_trials(given, ["minimize"])
    assert len(kept) == GP_RUNS + 1
    numbers = [trial.number for trial in kept]
    assert numbers == sorted(set(numbers))
    assert set(range(count - GP_RUNS // 2 + 1, count + 1)) <= set(numbers)
    assert min(numbers) == 1
    assert kept[-1].state == TrialState.RUNNING
    assert len(gp_trials(given, ["maximize"])) == GP_RUNS + 1
