"""A storage that users have from commit 887819d: it opens, its sweeps go on, and it reports.

``old/make.py`` made it at that commit, with every kind of sweep, each left in the middle of something.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

import lightsweep
from lightsweep import Sweep
from lightsweep.cli import main

OLD = Path(__file__).parent / "old"
EXPECTED: dict[str, Any] = json.loads((OLD / "887819d.json").read_text())


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a copy in the working directory, with the function of the define-by-run sweep beside it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(OLD / "887819d.db", tmp_path / "lightsweep.db")
    shutil.copy(OLD / "space.py", tmp_path)
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", f"sqlite:///{tmp_path}/lightsweep.db")
    return f"sqlite:///{tmp_path}/lightsweep.db"


def shown(sweep: Sweep) -> list[dict[str, Any]]:
    """The runs as JSON holds them."""
    runs = [dataclasses.asdict(run) for run in sweep.runs]
    found: list[dict[str, Any]] = json.loads(json.dumps(runs, default=str))
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each field that the old version showed is as it was; NaN equals NaN."""
    for name, value in expected.items():
        if not (isinstance(value, float) and math.isnan(value)):
            assert found[name] == value, (found["id"], name)


def train() -> None:
    with lightsweep.init() as run:
        config = run.config
        if "a" in config:
            run.log({"loss": config.a + len(config.b)})
            return
        start = abs(math.log10(config["lr"]) + 3)
        for iteration in range(4):
            run.log({"loss": start + 1 / (iteration + 1), "other": iteration, "accuracy": 1 / (1 + start)})


def go_on(name: str) -> Sweep:
    """Let an agent finish a sweep; what was there before and had ended is unchanged."""
    lightsweep.agent(name, function=train)
    sweep = Sweep.load(name)
    assert sweep.state.name == "finished"
    after = {run["id"]: run for run in shown(sweep)}
    for before in EXPECTED[name]["runs"]:
        if before["state"] != "running" and not before["waiting"]:
            same(after[before["id"]], before)
    return sweep


def test_every_sweep_is_read_as_it_was(url: str) -> None:
    sweeps = {sweep.id: sweep for sweep in Sweep.all()}
    assert list(sweeps) == list(EXPECTED)  # without the study of another program
    for name, expected in EXPECTED.items():
        sweep = sweeps[name]
        best = sweep.best_run
        assert (sweep.state.name, best and best.id) == (expected["state"], expected["best"])
        assert len(sweep.runs) == len(expected["runs"])
        for found, before in zip(shown(sweep), expected["runs"], strict=True):
            same(found, before)


def test_a_search_goes_on_with_its_lost_killed_and_retried_runs(url: str) -> None:
    before = {run["id"]: run for run in EXPECTED["bayes"]["runs"]}
    assert {before["0003"]["state"], before["0010"]["state"], before["0011"]["state"]} == {"killed", "running"}
    sweep = go_on("bayes")
    after = {run.id: run for run in sweep.runs}
    assert sorted(after) == [f"{number:04}" for number in range(1, 15)]  # run_cap 14
    for run in ("0003", "0010", "0011"):
        assert after[run].state in {"finished", "pruned"}
        assert after[run].values == before[run]["values"]
        assert after[run].attempt == 2
        assert list(after[run].history[: before[run]["iterations"]]) == before[run]["history"]
    assert before["0010"]["history"] == [0.5]
    assert after["0005"].state == "killed"  # by its user, which is final


def test_a_grid_goes_on_after_its_update_and_pause(url: str) -> None:
    Sweep.load("grid").resume()
    sweep = go_on("grid")
    points = Counter((run.values["a"], run.values["b"]) for run in sweep.runs)
    assert points == Counter({(a, b): 1 for a in (1, 2, 3, 4) for b in ("x", "yy")})


def test_a_grid_can_be_updated_again(url: str) -> None:
    sweep = Sweep.load("grid")
    assert sweep.state.name == "paused"
    raw = sweep.config.raw
    sweep.update({**raw, "parameters": {**raw["parameters"], "b": {"values": ["x", "yy", "zzz"]}}})
    sweep.resume()
    assert len(go_on("grid").runs) == 12


def test_stages_go_on_where_they_were(url: str) -> None:
    runs = go_on("stages").runs
    assert Counter(run.stage for run in runs) == {"rate": 3, "shape": 11, "stage 3": 2}
    rate = min((run for run in runs if run.stage == "rate"), key=lambda run: run.best or 0.0)
    assert {run.values["lr"] for run in runs if run.stage != "rate"} == {rate.values["lr"]}
    seen = [(run.values["model.width"], run.values["model.depth"]) for run in runs if run.stage == "shape"]
    assert len({*seen, (8, 2)}) == len(seen) + 1 == 12  # the runs of the first stage had one of the points


def test_prior_runs_stay_prior(url: str) -> None:
    runs = go_on("prior").runs
    assert Counter(run.prior for run in runs) == {True: 7, False: 5}


@pytest.mark.parametrize(("name", "count"), [("byrun", 5), ("objectives", 4), ("new", 2)])
def test_the_others_go_on(url: str, name: str, count: int) -> None:
    sweep = go_on(name)
    assert [run.id for run in sweep.runs] == [f"{number:04}" for number in range(1, count + 1)]
    if name == "byrun":
        assert all(run.values["train.epochs"] == [3, None] and "kind" in run.values for run in sweep.runs)


def test_a_finished_sweep_goes_on_with_a_greater_cap(url: str) -> None:
    sweep = Sweep.load("random")
    sweep.update({**sweep.config.raw, "run_cap": 8})
    assert len(go_on("random").runs) == 8


def test_new_sweeps_learn_from_old_runs_and_live_beside_them(url: str) -> None:
    raw = Sweep.load("bayes").config.raw
    made = Sweep.create({**raw, "run_cap": 1}, prior_runs=["bayes", "stages/0002"])
    lightsweep.agent(made.id, function=train)
    assert Counter(run.prior for run in made.runs)[False] == 1
    assert Counter(run.prior for run in made.runs)[True] >= 9


def test_optuna_reads_it(url: str) -> None:
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="random", storage=storage)
    assert study.best_trial.number == 0
    storage.engine.dispose()


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EXPECTED)
def test_every_sweep_reports(url: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runs = EXPECTED[name]["runs"]
    assert name in call(capsys, "ls")
    status = call(capsys, "status", name)
    assert name in status
    for exported in (call(capsys, "status", name, "--json"), call(capsys, "export", name, "--format", "json")):
        document = json.loads(exported)
        assert (document["id"], document["state"]) == (name, EXPECTED[name]["state"])
        assert [run["id"] for run in document["runs"]] == [run["id"] for run in runs]
        assert [run["config"] for run in document["runs"]] == [run["config"] for run in runs]
    rows = list(csv.DictReader(io.StringIO(call(capsys, "export", name))))
    assert [row["id"] for row in rows] == [run["id"] for run in runs]
    assert [row["best"] for row in rows] == ["" if run["best"] is None else str(run["best"]) for run in runs]
    if runs:
        (best,) = [run for run in runs if run["id"] == EXPECTED[name]["best"]]
        assert yaml.safe_load(call(capsys, "best", name)) == best["config"]
    page = tmp_path / "page.html"
    call(capsys, "report", name, "--output", str(page))
    assert all(run["id"] in page.read_text() for run in runs if not run["prior"])
