"""A sweep with several metrics in ``best``, ``status``, ``runs``, ``apply``, ``lightsweep.Sweep`` and the report."""

from __future__ import annotations

import json
import re

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep.cli import main

Capture = pytest.CaptureFixture[str]

TRAIN = """
    import lightsweep
    with lightsweep.init() as run:
        x = run.config.x
        run.log({"loss": x, "accuracy": {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.95}[x]})
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, str]:
    """Four runs; all but the third are on the front."""
    sandbox = Sandbox(tmp_path_factory.mktemp("front"))
    metrics = [{"name": "loss"}, {"name": "accuracy", "goal": "maximize"}]
    sweep_id = sandbox.sweep(TRAIN, parameters={"x": {"values": [1, 2, 3, 4]}}, metric=None, metrics=metrics)
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    return sandbox, sweep_id


def test_best_shows_the_front_and_prints_one_run(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["best", sweep_id, "--storage", sandbox.storage, "--format", "args"]) == 0
    out, err = capsys.readouterr()
    assert out == "--x=1\n"
    assert "Pareto front: 3 of 4 runs" in err
    assert [line.split()[:3] for line in err.splitlines() if re.match(r"  \d{4} ", line)] == [
        ["0001", "1", "0.5"],
        ["0002", "2", "0.9"],
        ["0004", "4", "0.95"],
    ]
    assert f"run 0001 is the best by loss; another: lightsweep show {sweep_id} RUN, or --by METRIC" in err


def test_best_by_another_metric(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["best", sweep_id, "--storage", sandbox.storage, "--by", "accuracy", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["id"] == "0004"
    assert document["front"][1] == {"run": "0002", "values": {"loss": 2.0, "accuracy": 0.9}}
    assert main(["best", sweep_id, "--storage", sandbox.storage, "--by", "acuracy"]) == 2
    assert "the sweep does not improve 'acuracy'; did you mean 'accuracy'?" in capsys.readouterr().err


def test_status_and_runs(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["status", sweep_id, "--storage", sandbox.storage]) == 0
    out = capsys.readouterr().out
    assert "minimize loss, maximize accuracy" in out
    assert "\nPareto front: 3 of 4 runs\n" in out
    assert re.search(r"on the Pareto front:\nrun +loss +accuracy +parameters\n0001 +1 +0.5 +x=1\n", out)
    assert main(["status", sweep_id, "--storage", sandbox.storage, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["run"] for each in document["front"]] == ["0001", "0002", "0004"]
    assert document["metrics"][1] == {"name": "accuracy", "goal": "maximize"}
    assert main(["runs", sweep_id, "--storage", sandbox.storage]) == 0
    heading, first = capsys.readouterr().out.splitlines()[:2]
    assert heading.split() == ["run", "state", "loss", "accuracy", "iterations", "time", "x"]
    assert first.split()[2:4] == ["1", "0.5"]


def test_in_python(done: tuple[Sandbox, str]) -> None:
    sandbox, sweep_id = done
    sweep = lightsweep.Sweep.load(sweep_id, storage=sandbox.storage)
    assert [run.config["x"] for run in sweep.best_runs] == [1, 2, 4]
    assert "<tr><th>Pareto front</th><td>0001, 0002, 0004</td></tr>" in sweep._repr_html_()


def test_no_run_counts_yet(tmp_path_factory: pytest.TempPathFactory, capsys: Capture) -> None:
    sandbox = Sandbox(tmp_path_factory.mktemp("none"))
    metrics = [{"name": "loss"}, {"name": "accuracy", "goal": "maximize"}]
    sweep_id = sandbox.sweep(TRAIN, parameters={"x": {"values": [1]}}, metric=None, metrics=metrics)
    assert main(["best", sweep_id, "--storage", sandbox.storage]) == 1
    assert "no run has ended with a finite 'loss' and 'accuracy' yet" in capsys.readouterr().err
    assert main(["status", sweep_id, "--storage", sandbox.storage]) == 0
    assert "Pareto" not in capsys.readouterr().out
