"""The forecast of what more runs bring: the same for every method, from what is known of the runs."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
from controller_helpers import claim, config, work, working

from lightsweep.cli.export import sweep_document
from lightsweep.cli.status import _text
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Reporter
from lightsweep.controller.summary import LEAST, Forecast, expected_gain, forecast, mean_least
from lightsweep.storage import Storage

FALLING = [1 / (number + 1) for number in range(16)]


def trained(storage: Storage, losses: list[float | None], **keys: Any) -> Sweep:
    """A sweep whose runs had these values, in this order; one without a value failed."""

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        value = losses[run.ticket or 0]
        if value is None:
            return Outcome("failed", "no value")
        reporter.report(run, {"loss": value})
        return Outcome("finished")

    sweep = Sweep.create(config(**keys), storage=storage)
    work(sweep, train, count=len(losses))
    sweep.refresh()
    return sweep


def test_the_least_of_some_is_the_mean_over_all_choices() -> None:
    losses = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    for count in range(1, 7):
        chosen = [min(each) for each in combinations(losses, count)]
        assert mean_least(losses, count) == pytest.approx(sum(chosen) / len(chosen))
    assert mean_least([1.0, math.inf], 1) == 1.0  # a run without a value is as bad as the worst
    assert mean_least([math.inf, math.inf], 1) == math.inf


def test_the_gain_follows_from_the_later_half_and_falls_with_the_number_of_runs() -> None:
    gains = [expected_gain(FALLING[:count], 10, in_order=True) or 0 for count in (10, 12, 16)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0
    assert expected_gain(FALLING[::-1], 10, in_order=True) == 0.0  # nothing was found in the later half
    shuffled = [expected_gain(each, 10, in_order=False) for each in (FALLING, FALLING[::-1])]
    assert shuffled[0] == pytest.approx(shuffled[1])
    assert (shuffled[0] or 0) > 0
    assert expected_gain([math.inf] * 6 + [1.0] * 6, 10, in_order=True) is None


def test_a_loss_that_was_never_below_0_is_not_expected_there() -> None:
    falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.001]
    assert expected_gain(falling, 10, in_order=True) == 0.001
    below = expected_gain([loss - 2.0 for loss in falling], 10, in_order=True)
    assert below is not None
    assert below > 0.1


def test_a_score_that_was_always_from_0_to_1_is_not_expected_above_1() -> None:
    rising = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99]
    assert expected_gain([-score for score in rising], 10, in_order=True) == pytest.approx(0.01)
    below = expected_gain([0.5, *(-score for score in rising)], 10, in_order=True)
    assert below is not None
    assert below > 0.1


@pytest.mark.parametrize("method", ["random", "bayes", "grid"])
def test_status_tells_what_ten_more_runs_may_bring(storage: Storage, method: str) -> None:
    space = {"x": {"values": list(range(40))}}
    sweep = trained(storage, [*FALLING], method=method, parameters=space, lightsweep={"sampler": "tpe"})
    found = forecast(sweep)
    assert found is not None
    assert (found.runs, found.best) == (10, 1 / 16)
    assert 0 < found.gain < 1 / 16
    (line,) = [line for line in _text(sweep, 10, launches=False) if "more runs" in line]
    assert line == f"10 more runs: about {float(f'{found.gain:.1g}'):g} better (now 0.0625)"
    assert sweep_document(sweep)["forecast"] == {"runs": 10, "gain": found.gain, "best": 1 / 16}


def test_a_goal_to_maximize_gains_upwards(storage: Storage) -> None:
    metric = {"name": "loss", "goal": "maximize"}
    found = forecast(trained(storage, [-each for each in FALLING], metric=metric))
    assert found is not None
    assert found.best == -1 / 16
    assert found.gain > 0


def test_few_runs_and_several_metrics_have_no_forecast(storage: Storage) -> None:
    assert forecast(trained(storage, FALLING[: LEAST - 1])) is None
    assert "forecast" not in sweep_document(trained(storage, FALLING[:3]))
    several = trained(storage, [*FALLING], metric=None, metrics=[{"name": "loss"}, {"name": "time"}])
    assert forecast(several) is None


def test_a_space_that_is_used_up_has_no_forecast_but_a_cap_can_be_raised(storage: Storage) -> None:
    space = {"x": {"values": list(range(14))}}
    whole = trained(storage, FALLING[:14], method="grid", parameters=space)
    assert forecast(whole) is None
    part = trained(storage, FALLING[:11], method="grid", parameters=space)
    found = forecast(part)
    assert found is not None
    assert found.runs == 3
    capped = trained(storage, FALLING[:12], run_cap=12)
    found = forecast(capped)
    assert found is not None
    assert found.runs == 10


def test_failed_and_running_runs_are_no_gain(storage: Storage) -> None:
    sweep = trained(storage, [*FALLING[:12], None, None], method="bayes", lightsweep={"sampler": "tpe"})
    before = forecast(sweep)
    with working(sweep) as (claimer, reporter, _):
        run = claim(claimer)
        reporter.report(run, {"loss": -5.0})
    sweep.refresh()
    assert before is not None
    assert before.best == 1 / 12
    assert forecast(sweep) == before


def test_no_gain_is_said_in_words() -> None:
    assert (
        Forecast(10, 0.0, 0.25, 15).text == "10 more runs: no gain expected, since the last 15 were no better than 0.25"
    )
    assert Forecast(1, 0.0034, 0.25, 15).text == "1 more run: about 0.003 better (now 0.25)"
