"""Points as Optuna's trials, rebuilt only if a run changed."""

from __future__ import annotations

from dataclasses import replace

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sampler_helpers import MIXED, QUADRATIC, run, sweep

from lightsweep.sampler.bayes import quiet
from lightsweep.sampler.unit_cube import Axes, RunTrials, SnapshotStorage


def test_numbers_are_axes_and_names_are_categories() -> None:
    axes = Axes(sweep(MIXED).space)
    assert axes.distributions == {
        "dropout": FloatDistribution(0, 1),
        "layers": IntDistribution(0, 3),
        "lr": FloatDistribution(0, 1),
        "optimizer": CategoricalDistribution([0, 1, 2]),
        "width": IntDistribution(0, 2),
    }
    values = {"dropout": 0.125, "epochs": 27, "layers": 3, "lr": 1e-3, "optimizer": "lion", "width": 32}
    shown = axes.show(values)
    assert shown is not None
    params = shown[0]
    assert params["width"] == 1
    assert params["layers"] == 2
    assert params["optimizer"] == 2
    back = axes.values(params)
    assert abs(back.pop("lr") - 1e-3) < 1e-12
    assert back == {name: value for name, value in values.items() if name != "lr"}


def test_a_trial_is_rebuilt_only_when_its_run_or_its_imputed_value_changes() -> None:
    config = sweep(QUADRATIC)
    shadow = RunTrials(config.metrics, Axes(config.space).show)
    point = {"x": 0.5, "y": 0.5}
    known = [run(0, point, 1.0), run(1, point, state="failed"), run(2, point, state="running")]
    first = shadow.trials(known)
    assert [trial.values for trial in first] == [[1.0], [1.0], None]
    assert all(one is two for one, two in zip(first, shadow.trials(known), strict=True))
    known[2] = replace(known[2], state="finished", objectives=(4.0,), version=2)
    second = shadow.trials(known)
    assert [trial.values for trial in second] == [[1.0], [4.0], [4.0]]
    assert second[0] is first[0]


def test_a_pending_run_that_moved_is_shown_where_it_is() -> None:
    config = sweep(QUADRATIC)
    shadow = RunTrials(config.metrics, Axes(config.space).show)
    moved = [run(0, {"x": x, "y": 0.5}, state="running") for x in (0.25, 0.75)]
    before, after = (shadow.trials([replace(one, version=version)]) for version, one in enumerate(moved))
    assert before[0].params != after[0].params


def test_the_storage_shows_its_trials_beside_the_one_that_is_asked_for() -> None:
    config = sweep(QUADRATIC)
    axes = Axes(config.space)
    point = {"x": 0.5, "y": 0.5}
    trials = RunTrials(config.metrics, axes.show).trials([run(0, point, 1.0), run(1, point, state="running")])
    with quiet():
        study = optuna.create_study(storage=SnapshotStorage(trials))
        asked = study.ask(axes.distributions)
    assert asked.number == 0
    assert sorted(trial.number for trial in study.get_trials()) == [0, 1, 2]
    assert study.get_trials(states=[TrialState.COMPLETE]) == trials[:1]
    assert study.get_trials(deepcopy=True)[0] is not trials[0]
    assert study.get_trials(deepcopy=False)[0] is trials[0]
