"""Prior runs: which are taken, their values, and the counts that leave them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from controller_helpers import work

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Reporter
from lightsweep.controller.summary import summarize
from lightsweep.errors import NotFoundError, UsageError
from lightsweep.storage import Storage, open_storage

X = {"x": {"min": 0.0, "max": 1.0}}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    yield opened
    opened.close()


def bayes(**keys: Any) -> dict[str, Any]:
    return {
        "method": "bayes",
        "metric": {"name": "loss"},
        "parameters": X,
        "lightsweep": {"seed": 1, "sampler": "tpe"},
        **keys,
    }


def logs(*rounds: Mapping[str, float]) -> Callable[[ClaimedRun, Reporter], Outcome]:
    """A run that logs these numbers, one after the other."""

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        for numbers in rounds:
            reporter.report(run, numbers)
        return Outcome("finished")

    return train


def test_bayes_begins_from_prior_runs(storage: Storage) -> None:
    first = Sweep.create(bayes(), storage=storage)
    work(first, logs({"loss": 1.0}), 3)
    wider = {**X, "width": {"values": [1, 2, 3]}, "epochs": {"value": 9}}
    second = Sweep.create(bayes(parameters=wider, run_cap=2), storage=storage)
    assert second.add_prior_runs(first.id) == (3, 0)
    assert second.add_prior_runs(f"{first.id}/0002") == (1, 0)
    assert [run.id for run in work(second, logs({"loss": 2.0}))] == ["0001", "0002"]
    runs = {run.id: run for run in second.runs}
    # What it lacked is made up for the sampler alone, and shown nowhere.
    assert runs["p0001"].values == runs["p0001"].config == {"x": first.runs[0].values["x"]}
    assert runs["p0001"].best == 1.0
    assert runs["p0001"].reason == f"from {first.id}/0001"
    assert second.state.reason == "run_cap 2"


def test_a_prior_run_is_none_of_the_sweep_s_own(storage: Storage) -> None:
    first = Sweep.create(bayes(parameters={**X, "epochs": {"value": 1}}), storage=storage)
    work(first, logs({"loss": 0.1}), 3)
    wider = {**X, "y": {"min": 0.0, "max": 1.0}, "epochs": {"value": 100}}
    second = Sweep.create(bayes(parameters=wider), prior_runs=[first.id], storage=storage)
    assert second.best_run is None
    assert [run.config for run in second.runs] == [run.config for run in first.runs]  # epochs as they really were
    work(second, logs({"loss": 5.0}), 2)
    assert second.best_run is not None
    assert second.best_run.id == "0001"
    assert second.best_run.config["epochs"] == 100
    assert [run.prior for run in second.runs] == [False, False, True, True, True]
    seen = summarize(second, 10)
    assert (seen.total, seen.priors, dict(seen.states)) == (2, 3, {"finished": 2})
    assert seen.best is not None
    assert seen.best.id == "0001"
    assert [run.id for run in seen.last] == ["0001", "0002"]


def test_a_prior_run_does_not_reach_the_target_of_the_new_sweep(storage: Storage) -> None:
    first = Sweep.create(bayes(), storage=storage)
    work(first, logs({"loss": 0.1}), 1)
    second = Sweep.create(bayes(metric={"name": "loss", "target": 0.5}), prior_runs=[first.id], storage=storage)
    assert second.state.name == "running"
    work(second, logs({"loss": 0.2}), 1)
    assert second.state.name == "finished"


def test_prior_runs_outside_of_the_space_are_left_out(storage: Storage) -> None:
    first = Sweep.create(bayes(), storage=storage)
    work(first, logs({"loss": 1.0}), 4)
    second = Sweep.create(bayes(parameters={"x": {"min": 5.0, "max": 6.0}}), storage=storage)
    assert second.add_prior_runs(first.id) == (0, 4)
    third = Sweep.create(bayes(parameters={"other": {"min": 5.0, "max": 6.0}}), storage=storage)
    with pytest.raises(UsageError, match="no parameter in common with the sweep, which searches other"):
        third.add_prior_runs(first.id)
    with pytest.raises(NotFoundError, match="no run '0009'"):
        second.add_prior_runs(f"{first.id}/0009")


def test_the_value_is_that_of_the_new_sweep_s_metric(storage: Storage) -> None:
    """Not of the one that the other sweep improved, whose best says nothing about this one's."""
    first = Sweep.create(bayes(metric={"name": "acc", "goal": "maximize"}), storage=storage)
    work(first, logs({"acc": 0.9, "loss": 3.0}, {"acc": 0.8, "loss": 2.0}, {"loss": float("nan")}), 2)
    work(first, logs({"acc": 0.9}), 1)
    second = Sweep.create(bayes(), prior_runs=[first.id], storage=storage)
    assert [run.best for run in second.runs] == [2.0, 2.0]
    # And by the new sweep's own goal; through a sweep in between as well.
    third = Sweep.create(bayes(metric={"name": "acc"}), prior_runs=[first.id], storage=storage)
    assert [run.best for run in third.runs] == [0.8, 0.8, 0.9]
    fourth = Sweep.create(
        bayes(metric={"name": "acc", "goal": "maximize"}), prior_runs=[second.id, third.id], storage=storage
    )
    assert [run.best for run in fourth.runs] == [0.9] * 5


@pytest.mark.parametrize(
    ("metric", "words"),
    [({"name": "acc", "goal": "maximize"}, "which is for 'acc'"), (None, "which has no metric")],
)
def test_a_sweep_whose_runs_never_logged_the_metric_is_an_error(storage: Storage, metric: Any, words: str) -> None:
    first = Sweep.create(bayes(method="random", metric=metric), storage=storage)
    work(first, logs({"acc": 0.9}), 2)
    good = Sweep.create(bayes(), storage=storage)
    work(good, logs({"loss": 1.0}), 1)
    count = len(Sweep.all(storage=storage))
    with pytest.raises(UsageError, match=f"no run of sweep {first.id}, {words}, has logged 'loss'"):
        Sweep.create(bayes(), prior_runs=[good.id, first.id], storage=storage)
    assert len(Sweep.all(storage=storage)) == count


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_method_that_learns_nothing_takes_no_prior_runs(storage: Storage, method: str) -> None:
    parameters = {"x": {"values": [1, 2]}}
    first = Sweep.create(bayes(parameters=parameters), storage=storage)
    work(first, logs({"loss": 1.0}), 1)
    with pytest.raises(UsageError, match=f"method {method} does not learn from runs"):
        Sweep.create(bayes(method=method, parameters=parameters), prior_runs=[first.id], storage=storage)
