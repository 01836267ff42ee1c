"""A space that the user's function defines by run: stored in natural units, read back exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from controller_helpers import claim, finished, work
from plain import plain_study

from lightsweep.controller import Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.runs import VALUES, RunEntry, nested
from lightsweep.errors import InputError
from lightsweep.storage import Storage

SOURCE = """
def define(trial):
    if trial.suggest_categorical("kind", ["deep", None]) == "deep":
        for layer in range(trial.suggest_int("model.layers", 1, 2)):
            trial.suggest_int(f"model.width{layer}", 8, 64, log=True)
    trial.suggest_float("lr", 1e-5, 0.1, log=True)
"""


def config(tmp_path: Path, source: str = SOURCE, **keys: Any) -> Path:
    """A sweep file with the function beside it; ``epochs`` is a constant of the config."""
    (tmp_path / "f.py").write_text(source)
    path = tmp_path / "sweep.yaml"
    lines = [
        "method: custom",
        "program: train.py",
        "metric: {name: loss}",
        "parameters: {train: {parameters: {epochs: {value: [3, null]}}}}",
        "scheduler: {engine: optuna, source: f.py, search_space: define}",
        *(f"{key}: {value}" for key, value in keys.items()),
    ]
    path.write_text("\n".join(lines))
    return path


def test_values_are_stored_in_natural_units_and_read_back_exactly(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Sweep.create(config(tmp_path, run_cap=12), storage=storage)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the function is found beside the sweep file
    runs = work(Sweep.load(made.id, storage=storage), finished)
    assert len(runs) == 12
    seen = made.runs
    assert [run.values for run in seen] == [run.values for run in runs]
    assert [run.config for run in seen] == [run.config for run in runs]
    assert {run.values["kind"] for run in seen} == {"deep", None}
    with plain_study(storage.url, made.id) as study:
        trials = study.trials
    for run, trial in zip(seen, trials, strict=True):
        searched = {name: value for name, value in run.values.items() if name != "train.epochs"}
        assert {name: value for name, value in trial.params.items() if name != "train.epochs"} == searched
        assert run.config["train"] == {"epochs": [3, None]}
        assert run.config["lr"] == run.values["lr"]
        model = run.config.get("model", {})
        assert set(model) == {name.partition(".")[2] for name in searched if name.startswith("model.")}
    assert made.state.reason == "run_cap 12"


def test_a_lost_run_is_started_again_with_its_values(storage: Storage, tmp_path: Path) -> None:
    made = Sweep.create(config(tmp_path), storage=storage)
    run = claim(RunClaimer(made, "dead"))
    storage.optuna.set_trial_state_values(run.trial_id, optuna.trial.TrialState.FAIL)
    again = claim(RunClaimer(Sweep.load(made.id, storage=storage), "next"))
    assert (again.id, again.attempt, again.values, again.config) == (run.id, 2, run.values, run.config)
    params = [trial.params for trial in storage.optuna.get_all_trials(made.study_id)]
    assert params[0] == params[1] != {}
    made.refresh()
    assert made.known_runs()[0].values == run.values


def test_a_distribution_that_changes_from_run_to_run(storage: Storage, tmp_path: Path) -> None:
    source = "N = iter(range(99))\ndef define(trial):\n    trial.suggest_categorical('c', ['a', str(next(N))])\n"
    made = Sweep.create(config(tmp_path, source, run_cap=3), storage=storage)
    runs = work(made, finished)
    # Optuna keeps one set of choices for each name; the values are known all the same.
    assert [run.values for run in made.runs] == [run.values for run in runs]
    assert all("c" in run.values for run in runs)


def test_names_that_collide_are_refused_and_the_run_given_back(storage: Storage, tmp_path: Path) -> None:
    source = "def define(trial):\n    trial.suggest_int('a', 1, 2)\n    trial.suggest_int('a.b', 1, 2)\n"
    made = Sweep.create(config(tmp_path, source), storage=storage)
    with pytest.raises(InputError, match=r"search_space: 'a' cannot be a parameter and also the group"):
        RunClaimer(made, "a").next_run()
    made.refresh()
    (entry,) = made.book.entries.values()
    assert isinstance(entry, RunEntry)
    assert entry.waiting
    assert made.runs[0].state == "killed"


def test_dots_nest_and_odd_names_stay(storage: Storage, tmp_path: Path) -> None:
    made = Sweep.create(config(tmp_path), storage=storage)
    values = {"train.epochs": 1, "a.b.c": 2, "a.d": 3, "..": 4, "e.": 5}
    assert nested(values, made.config) == {"train": {"epochs": 1}, "a": {"b": {"c": 2}, "d": 3}, "..": 4, "e.": 5}
    assert nested({"train.epochs": 1}, made.config) == {"train": {"epochs": 1}}
    assert VALUES == "lightsweep:values"
