"""The trials that a Gaussian process is fitted to."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.unit_cube import GP_RUNS, frozen_trial, gp_trials


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
