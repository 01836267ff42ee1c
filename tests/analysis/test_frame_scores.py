"""Choose the runs that count, and their values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from made_runs import EVIL, config, made

from lightsweep import UsageError
from lightsweep.analysis.frame import never_read, scores
from lightsweep.controller import SweepRun
from lightsweep.controller.runs import Repeat

X = {"x": {"min": 0.0, "max": 1.0}}
INF = float("inf")


def stats(**names: float) -> dict[str, dict[str, float]]:
    return {name: {"min": value - 1, "max": value + 1, "last": value} for name, value in names.items()}


def test_the_own_metric_counts_with_its_best_value_also_where_stopped() -> None:
    runs = [
        made({"x": 0.1}, [3.0, 1.0, 2.0], 1),
        made({"x": 0.2}, [9.0, 8.0], 2, state="pruned"),
        made({"x": 0.3}, [0.5], 3, state="failed"),
        made({"x": 0.4}, [0.4], 4, state="killed"),
        made({"x": 0.5}, [0.3], 5, state="running"),
        made({"x": 0.6}, [math.nan, INF], 6),
        made({"x": 0.7}, [0.2], 7, state="killed", waiting=True),
    ]
    found = scores(runs, config(X))
    assert [run.id for run in found.runs] == ["0001", "0002"]
    assert found.values == (1.0, 8.0)
    assert (found.metric, found.goal) == ("loss", "minimize")
    assert found.notes == (
        "left out: 1 failed run, 1 killed run, 1 running run, 1 waiting run",
        "left out: 1 run without a finite loss",
        "1 of 2 runs stopped early, counted with the best value until then",
    )


def test_a_prior_run_counts_where_nothing_of_it_is_made_up() -> None:
    two = {**X, "y": {"min": 0.0, "max": 1.0}}
    runs = [
        made({"x": 0.1, "y": 0.2}, [3.0], 1),
        made({"x": 0.2, "y": 0.2}, [2.0], id="p0001", prior=True),
        made({"x": 0.3}, [1.0], id="p0002", prior=True),
    ]
    found = scores(runs, config(two))
    assert [run.id for run in found.runs] == ["0001", "p0001"]
    assert found.notes == (
        "left out: 1 prior run without a value of each searched parameter",
        "1 of 2 runs is a prior run",
    )
    # Only its best is known, not what it had after so many iterations.
    assert [run.id for run in scores(runs, config(two), at=1).runs] == ["0001"]


def test_repeats_count_as_one_with_their_mean() -> None:
    def repeat(number: int, group: int, value: float, **keys: Any) -> SweepRun:
        place = Repeat(group, number - group + 1, 7, f"{group:04d}")
        return made({"x": group / 10}, [value], number, repeat=place, **keys)

    runs = [
        repeat(1, 1, 1.0),
        repeat(2, 1, 3.0),
        repeat(3, 3, 5.0),
        repeat(4, 3, 9.0, state="pruned"),
        repeat(5, 5, 0.5, state="failed"),
    ]
    found = scores(runs, config(X, lightsweep={"repeats": 2}))
    assert [run.id for run in found.runs] == ["0001", "0003"]
    assert found.values == (2.0, 5.0)
    assert found.notes[-1] == "repeats count as one, with their mean: 4 runs in 2 groups"


def test_the_greatest_value_counts_where_more_is_better() -> None:
    found = scores([made({"x": 0.1}, [3.0, 1.0])], config(X, metric={"name": "loss", "goal": "maximize"}))
    assert found.values == (3.0,)


def test_equal_trainings_are_compared_at_an_iteration() -> None:
    runs = [
        made({"x": 0.1}, [3.0, 2.0, 1.0], 1),
        made({"x": 0.2}, [2.0, 2.5], 2, state="pruned"),
        made({"x": 0.3}, [1.0], 3, state="pruned"),
    ]
    found = scores(runs, config(X), at=2)
    assert dict(zip([run.id for run in found.runs], found.values, strict=True)) == {"0001": 2.0, "0002": 2.0}
    assert found.notes == ("left out: 1 run with fewer than 2 iterations",)


def test_another_metric_counts_with_its_last_value() -> None:
    runs = [
        made({"x": 0.1}, [1.0], 1, metrics={**stats(loss=1.0), EVIL: {"min": 0.0, "max": 9.0, "last": 4.0}}),
        made({"x": 0.1}, [1.0], 2, metrics={EVIL: {"min": 0.0, "max": 9.0, "last": math.nan}}, state="pruned"),
        made({"x": 0.1}, [1.0], 3, metrics={}),
    ]
    found = scores(runs, config(X), EVIL)
    assert (found.goal, found.values) == (None, (4.0,))
    assert found.notes == (f"left out: 2 runs without a finite {EVIL}",)


def test_the_other_metrics_of_several_count_with_their_best() -> None:
    several = config(X, metric=None, metrics=[{"name": "loss"}, {"name": "acc", "goal": "maximize"}])
    run = made({"x": 0.1}, [1.0], metrics=stats(loss=1.0, acc=7.0))
    assert scores([run], several).values == (1.0,)
    assert scores([run], several, "acc").values == (8.0,)
    assert scores([run], several, "acc").goal == "maximize"


def test_a_metric_that_nobody_logged() -> None:
    run = made({"x": 0.1}, [1.0], metrics=stats(loss=1.0, accuracy=2.0))
    with pytest.raises(UsageError, match=r"no run has logged 'acuracy'; did you mean 'accuracy'\?"):
        scores([run], config(X), "acuracy")
    with pytest.raises(UsageError, match=r"no run has logged 'zzz'; there are: 'accuracy', 'loss'"):
        scores([run], config(X), "zzz")
    with pytest.raises(UsageError, match=r"has no metric, so name one that was logged: 'accuracy', 'loss'"):
        scores([run], config(X, metric=None))
    with pytest.raises(UsageError, match="none yet"):
        scores([], config(X, metric=None))


def test_an_iteration_that_cannot_be() -> None:
    run = made({"x": 0.1}, [1.0], metrics=stats(loss=1.0, accuracy=2.0))
    with pytest.raises(UsageError, match="at least 1, not 0"):
        scores([run], config(X), at=0)
    with pytest.raises(UsageError, match="has no history"):
        scores([run], config(X), "accuracy", at=2)


def test_no_runs() -> None:
    found = scores([], config(X))
    assert (found.runs, found.values, found.notes) == ((), (), ())


def test_never_read_is_what_no_finished_run_read() -> None:
    def run(number: int, state: str, *unread: str, **keys: bool) -> SweepRun:
        return made({"x": 0.1, "y": 0.2}, [1.0], number, state=state, unread=unread, **keys)

    assert never_read([]) == frozenset()
    assert never_read([run(1, "failed", "x")]) == frozenset()
    assert never_read([run(1, "pruned", "x", "y"), run(2, "pruned", "x"), run(3, "killed")]) == {"x"}
    # A run that was killed at a band has said nothing, so finished runs decide; a prior run read other code.
    assert never_read([run(1, "pruned"), run(2, "finished", "x"), run(3, "finished", prior=True)]) == {"x"}
    assert never_read([run(1, "finished", "x"), run(2, "finished")]) == frozenset()


def test_a_parameter_that_not_every_run_has_is_never_read_if_no_run_with_it_read_it() -> None:
    has, lacks = made({"x": 0.1, "y": 0.2}, [1.0], 1, unread=("y",)), made({"x": 0.3}, [1.0], 2)
    assert never_read([has, lacks]) == {"y"}
    assert never_read([has, lacks, made({"x": 0.1, "y": 0.4}, [1.0], 3)]) == frozenset()
