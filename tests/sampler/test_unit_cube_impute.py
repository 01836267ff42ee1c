"""The value that each run counts with, on a scripted sweep."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from sampler_helpers import QUADRATIC, run, sweep

from lightsweep.sampler.unit_cube import LARGEST, counted_objectives, is_pending
from lightsweep.schema import Metric

STATES = ["finished", "pruned", "failed", "killed", "running"]


def metrics(**keys: Any) -> tuple[Metric, ...]:
    return sweep(QUADRATIC, metric={"name": "loss", **keys}).metrics


def scripted() -> list[Any]:
    """A run of each state that logged 1, 2, ... and 10 more at its end, then one of each without a value."""
    logged = [
        replace(run(place, {}, float(place + 1), state=state), last=(place + 11.0,))
        for place, state in enumerate(STATES)
    ]
    return logged + [run(place + 5, {}, state=state) for place, state in enumerate(STATES)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, [1, 2, 5, 5, None, 5, 5, 5, 5, None]),
        ({"goal": "maximize"}, [1, 2, 1, 1, None, 1, 1, 1, 1, None]),
        ({"impute": "best"}, [1, 2, 3, 4, None, 5, 5, 5, 5, None]),
        ({"impute": "best", "goal": "maximize"}, [1, 2, 3, 4, None, 1, 1, 1, 1, None]),
        ({"impute": "latest"}, [1, 2, 13, 14, None, 5, 5, 5, 5, None]),
        ({"impute_while_running": True}, [1, 2, 5, 5, 5, 5, 5, 5, 5, 5]),
        ({"impute_while_running": True, "impute": "latest"}, [1, 2, 13, 14, 15, 5, 5, 5, 5, 5]),
    ],
    ids=str,
)
def test_each_state_counts_as_the_metric_says(keys: dict[str, Any], expected: list[float | None]) -> None:
    counted = counted_objectives(scripted(), metrics(**keys))
    assert counted == [None if value is None else (float(value),) for value in expected]


def test_only_running_runs_pend_and_only_without_imputing() -> None:
    assert [is_pending(one, metrics()) for one in scripted()] == [one.state == "running" for one in scripted()]
    assert not any(is_pending(one, metrics(impute_while_running=True)) for one in scripted())


@pytest.mark.parametrize("text", ["best", "latest", "worst"])
def test_by_a_text_of_wandb_a_running_run_counts_with_its_own_best(text: str) -> None:
    given = metrics(impute="latest", impute_while_running=text)
    known = [run(0, {}, 0.2, state="running"), run(1, {}, 0.7, state="running"), run(2, {}, state="running")]
    assert counted_objectives(known, given) == [(0.2,), (0.7,), None]
    assert [is_pending(one, given) for one in known] == [False, False, True]  # nothing yet: only a point to avoid


@pytest.mark.parametrize(("impute", "expected"), [("best", [8, 6, 1]), ("latest", [10, 10, 1]), ("worst", [8, 8, 1])])
def test_a_failed_run_counts_as_in_wandb(impute: str, expected: list[float]) -> None:
    runs = [run(0, {}, 8.0, state="failed"), run(1, {}, 6.0, state="failed"), run(2, {}, 1.0)]
    known = [replace(each, last=(10.0,)) for each in runs]
    assert counted_objectives(known, metrics(impute=impute)) == [(value,) for value in expected]


def test_without_a_finite_value_there_is_nothing_to_impute() -> None:
    known = [run(0, {}, math.nan, state="failed"), run(1, {}, math.inf), run(2, {}, state="killed")]
    assert counted_objectives(known, metrics()) == [None, None, None]
    assert counted_objectives([], metrics()) == []
    assert counted_objectives(scripted(), ()) == [None] * 10


def test_values_that_are_not_finite_never_enter() -> None:
    known = [run(0, {}, 1.0), run(1, {}, math.nan), run(2, {}, -math.inf), run(3, {}, 1e300)]
    assert counted_objectives(known, metrics()) == [(1.0,), (LARGEST,), (LARGEST,), (LARGEST,)]


def test_several_metrics_are_imputed_each_by_its_own_rule() -> None:
    accuracy = {"name": "accuracy", "goal": "maximize", "impute": "best"}
    both = sweep(QUADRATIC, metrics=[{"name": "loss"}, accuracy]).metrics
    ended = [run(0, {}, 1.0, 0.2), run(1, {}, 3.0, 0.9), run(3, {}, 2.0, math.nan)]
    known = [*ended[:2], run(2, {}, 2.0, 0.5, state="failed"), ended[2]]
    assert counted_objectives(known, both) == [(1.0, 0.2), (3.0, 0.9), (3.0, 0.5), (2.0, 0.2)]
