"""A sweep as plain Optuna and its dashboard see it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna_dashboard
import pytest
from controller_helpers import config, work
from optuna.trial import TrialState
from plain import plain_study

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Reporter
from lightsweep.storage import Storage

PARAMETERS = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "model": {"parameters": {"hidden": {"values": [64, 128]}}},
    "kind": {"values": ["a", None, [1, 2]]},
}


def played(storage: Storage, script: Sequence[tuple[str, list[dict[str, float]]]], **keys: Any) -> Sweep:
    """A sweep whose runs log and end as the script says."""
    sweep = Sweep.create(config(PARAMETERS, run_cap=len(script), **keys), storage=storage)
    lines = iter(script)

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        state, logged = next(lines)
        for numbers in logged:
            reporter.report(run, numbers)
        return Outcome(state, f"because {state}")

    work(sweep, train)
    return sweep


def losses(*values: float) -> list[dict[str, float]]:
    return [{"loss": value} for value in values]


@pytest.mark.parametrize(("goal", "best", "bad"), [("minimize", 1.0, math.inf), ("maximize", 3.0, -math.inf)])
def test_plain_optuna_opens_a_sweep(storage: Storage, goal: str, best: float, bad: float) -> None:
    script = [
        ("finished", losses(2.0, 1.0, math.nan, 3.0)),
        ("pruned", losses(5.0, math.inf)),
        ("failed", losses(0.5)),
        ("finished", losses(math.nan)),
        ("killed", []),
    ]
    sweep = played(storage, script, metric={"name": "loss", "goal": goal})
    with plain_study(storage.url, sweep.id) as study:
        states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE, TrialState.FAIL]
        assert [trial.state for trial in study.trials] == states
        assert [trial.value for trial in study.trials] == [best, 5.0, None, bad, None]
        assert (study.direction.name.lower(), study.best_trial.number) == (goal, 0)
        assert {step: repr(value) for step, value in study.trials[0].intermediate_values.items()} == {
            1: "2.0",
            2: "1.0",
            3: "nan",
            4: "3.0",
        }
        for trial, run in zip(study.trials, sweep.runs, strict=True):
            assert set(trial.params) == {"lr", "model.hidden", "kind"}
            assert trial.params["lr"] == run.values["lr"]
            assert 1e-5 <= trial.params["lr"] <= 0.1
            assert trial.params["model.hidden"] == run.config["model"]["hidden"]
            assert json.loads(trial.params["kind"]) == run.values["kind"]
            assert run.reason == f"because {run.state}"
        study.trials_dataframe(attrs=("number", "value", "params", "state"))


def test_several_metrics(storage: Storage) -> None:
    metrics = [{"name": "loss"}, {"name": "acc", "goal": "maximize"}]
    script = [
        ("finished", [{"loss": 2.0, "acc": 0.5}, {"loss": 3.0}, {"acc": 0.25}]),
        ("finished", [{"loss": 1.0, "acc": math.nan}]),
    ]
    parameters = {"metric": None, "metrics": metrics, "method": "random"}
    sweep = played(storage, script, **parameters)
    with plain_study(storage.url, sweep.id) as study:
        assert [trial.values for trial in study.trials] == [[3.0, 0.25], [math.inf, -math.inf]]
        assert [trial.number for trial in study.best_trials] == [0]


def test_a_sweep_without_a_metric(storage: Storage) -> None:
    sweep = played(storage, [("finished", [{"any": 2.0}]), ("failed", [])], metric=None)
    with plain_study(storage.url, sweep.id) as study:
        assert [trial.value for trial in study.trials] == [0.0, None]
        assert [run.best for run in sweep.runs] == [None, None]
        assert sweep.best_run is None


def test_the_dashboard_reads_a_sweep(storage: Storage) -> None:
    sweep = played(storage, [("finished", losses(2.0, 1.0)), ("pruned", losses(5.0, math.nan)), ("failed", [])])
    application = optuna_dashboard.wsgi(storage.optuna)

    def get(path: str) -> Any:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ.update(PATH_INFO=path)
        status: list[str] = []
        body = b"".join(application(environ, lambda code, _headers, _error=None: status.append(code)))
        assert status == ["200 OK"]
        return json.loads(body)

    assert [study["study_name"] for study in get("/api/studies")["study_summaries"]] == [sweep.id]
    trials = get(f"/api/studies/{sweep.study_id}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned", "Fail"]
    assert {parameter["name"] for parameter in trials[0]["params"]} == {"lr", "model.hidden", "kind"}
