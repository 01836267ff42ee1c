"""Conditional parameters and first configurations in the storage: claims, retries, priors, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller_helpers import claim, config, finished, work, working

from lightsweep.analysis import dataframe, refine
from lightsweep.controller import Outcome, Sweep

PARAMETERS = {
    "optimizer": {"values": ["adam", "sgd"]},
    "head": {"parameters": {"momentum": {"min": 0.0, "max": 0.9}}},
    "lr": {"min": 0.0, "max": 1.0},
}
WHEN = {"head": {"optimizer": "sgd"}}


def conditional(tmp_path: Path, method: str = "random", **block: Any) -> Sweep:
    keys = config(PARAMETERS, method=method, run_cap=8, lightsweep={"when": WHEN, "seed": 1, **block})
    return Sweep.create(keys, storage=f"sqlite:///{tmp_path}/a.db")


def test_a_trial_lacks_what_does_not_exist(tmp_path: Path) -> None:
    sweep = conditional(tmp_path, first=[{"optimizer": "adam"}, {"optimizer": "sgd", "head": {"momentum": 0.5}}])
    runs = work(sweep, finished, count=4)
    assert runs[0].config.keys() == {"optimizer", "lr"}
    assert runs[1].config["head"] == {"momentum": 0.5}
    trials = sweep.storage.optuna.get_all_trials(sweep.study_id)
    assert [trial.params.keys() for trial in trials[:2]] == [{"optimizer", "lr"}, {"optimizer", "lr", "head.momentum"}]
    other = Sweep.load(sweep.id, storage=sweep.storage.url)
    assert [run.values for run in other.runs] == [run.values for run in runs]
    frame = dataframe(other.runs, other.config)
    assert frame["config.head.momentum"].isna().tolist() == ["head" not in run.config for run in runs]


def test_a_retry_keeps_what_exists(tmp_path: Path) -> None:
    sweep = conditional(tmp_path, first=[{"optimizer": "adam"}], max_retries=1)
    with working(sweep) as (claimer, reporter, _):
        run = claim(claimer)
        assert reporter.finish(run, Outcome("failed", "an error"))
        again = claim(claimer)
    assert (again.id, again.attempt, again.values) == (run.id, 2, run.values)
    assert again.values.keys() == {"optimizer", "lr"}


def test_bayes_learns_from_prior_runs_with_and_without_the_parameter(tmp_path: Path) -> None:
    before = conditional(tmp_path, first=[{"optimizer": "adam"}, {"optimizer": "sgd"}])
    work(before, finished, count=4)
    sweep = conditional(tmp_path, "bayes")
    assert sweep.add_prior_runs(before.id) == (4, 0)
    priors = [run for run in sweep.runs if run.prior]
    assert [run.values for run in priors] == [run.values for run in before.runs]
    assert len(work(sweep, finished, count=4)) == 4


def test_the_refined_sweep_keeps_the_conditions(tmp_path: Path) -> None:
    sweep = conditional(tmp_path, first=[{"optimizer": "adam"}], constraints=["loss >= 1"])
    work(sweep, finished)
    found = refine(sweep.runs, sweep.config)
    assert found.config["lightsweep"]["when"] == WHEN
    assert "first" not in found.config["lightsweep"]
    assert found.config["parameters"]["optimizer"] == PARAMETERS["optimizer"]
    assert any("left out: 1 run that breaks a constraint" in note for note in found.notes)
