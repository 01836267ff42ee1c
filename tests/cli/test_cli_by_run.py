"""A sweep whose space the user's function defines: every command knows its parameters."""

from __future__ import annotations

import csv
import io

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep
from lightsweep.cli import main

SWEEP = """
    method: custom
    program: train.py
    run_cap: 4
    metric: {name: loss}
    parameters: {epochs: {value: 3}}
    scheduler: {engine: optuna, source: space.py, search_space: define}
    lightsweep: {seed: 2}
"""
SPACE = """
    def define(trial):
        trial.suggest_float("lr", 0.1, 0.2)
        if trial.suggest_categorical("kind", ["deep", "flat"]) == "deep":
            trial.suggest_int("model.layers", 1, 8)
"""
SCRIPT = """
    import argparse
    import lightsweep
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=1)
    args, _ = parser.parse_known_args()
    with lightsweep.init() as run:
        run.config.update(vars(args))
        for epoch in range(run.config.epochs):
            run.log({"loss": run.config.lr / (1 + epoch)})
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def define_by_run(sandbox: Sandbox) -> Sandbox:
    for name, text in (("sweep.yaml", SWEEP), ("space.py", SPACE), ("train.py", SCRIPT)):
        sandbox.write(name, text)
    return sandbox


def said(capsys: Capture, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def test_check_shows_commands_and_a_smoke_run_judges_what_is_read(define_by_run: Sandbox, capsys: Capture) -> None:
    out = said(capsys, "check", "sweep.yaml")
    commands = [line.split() for line in out.split("sample commands:\n")[1].partition("\n\n")[0].splitlines()]
    assert "check executed the Python file space.py" in out
    assert len(commands) == 3
    assert all(
        {"--epochs=3", "--kind"} <= {item.partition("=")[0] if "kind" in item else item for item in each}
        for each in commands
    )
    report = " ".join(said(capsys, "check", "sweep.yaml", "--smoke", code=1).split())
    assert "kind=" in report.split("smoke run")[1]
    assert "it never read 'kind'" in report
    assert "it read 'lr'" in report


def test_status_and_export_show_the_parameters_and_what_no_run_read(define_by_run: Sandbox, capsys: Capture) -> None:
    sweep_id = said(capsys, "sweep", "sweep.yaml").strip()
    assert "custom over the parameters that define() in space.py defines, minimize loss" in said(
        capsys, "status", sweep_id
    )
    lines = said(capsys, "agent", sweep_id).splitlines()
    started = [line for line in lines if line.startswith("run ") and " started: " in line]
    assert len(started) == 4
    assert all("kind=" in line and "lr=" in line and "epochs" not in line for line in started)
    sweep = Sweep.load(sweep_id, storage=define_by_run.storage)
    assert [run.state for run in sweep.runs] == [
        "finished"
    ] * 4  # `config.update(vars(args))` let the sweep's values be
    names = {name for run in sweep.runs for name in run.values} - {"epochs"}
    assert names >= {"lr", "kind"}
    text = said(capsys, "status", sweep_id)
    assert f"custom over {len(names)} parameters, minimize loss" in text
    assert "best loss " in text
    assert "kind=" in next(line for line in text.splitlines() if line.startswith("best loss "))
    assert "no run reads 'kind', 'model.layers', although the sweep varies them" in text
    table = list(csv.DictReader(io.StringIO(said(capsys, "export", sweep_id))))
    assert [column for column in table[0] if column.startswith("config.")] == [
        f"config.{name}" for name in ["epochs", *sorted(names)]
    ]
    assert [row["config.kind"] for row in table] == [run.values["kind"] for run in sweep.runs]
    assert [row["config.model.layers"] for row in table] == [
        str(run.values.get("model.layers", "")) for run in sweep.runs
    ]
    assert "kind" in sweep._repr_html_()
