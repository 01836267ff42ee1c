"""``first``, ``when`` and ``constraints`` of one sweep, with a real agent, as commands show them."""

from __future__ import annotations

import json

import pytest
from sandboxes import Sandbox

from lightsweep.cli import main

Capture = pytest.CaptureFixture[str]

TRAIN = """
    import argparse
    import lightsweep
    parser = argparse.ArgumentParser()
    parser.add_argument("--optimizer")
    parser.add_argument("--momentum", type=float)
    parser.add_argument("--width", type=int)
    args = parser.parse_args()
    with lightsweep.init() as run:
        assert (args.momentum is not None) == ("momentum" in run.config) == (args.optimizer == "sgd")
        run.log({"loss": 1 / args.width, "latency_ms": args.width / 10})
        run.summary["size_mb"] = args.width / 8
"""
PARAMETERS = {
    "optimizer": {"values": ["adam", "sgd"]},
    "momentum": {"values": [0.0, 0.9]},
    "width": {"values": [16, 256]},
}
BLOCK = {
    "first": [{"optimizer": "sgd", "momentum": 0.9, "width": 256}],
    "when": {"momentum": {"optimizer": "sgd"}},
    "constraints": ["latency_ms <= 20", "size_mb < 50"],
}

COMMAND = ["${interpreter}", "${program}"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, str]:
    """The six points of the grid; of them three have too large a width."""
    sandbox = Sandbox(tmp_path_factory.mktemp("conditional"))
    command = [*COMMAND, "${args}"]
    sweep_id = sandbox.sweep(TRAIN, method="grid", parameters=PARAMETERS, command=command, lightsweep=BLOCK)
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    return sandbox, sweep_id


def test_all_points_run_once_and_the_best_keeps_the_constraints(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["status", sweep_id, "--storage", sandbox.storage, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["state"] for run in runs] == ["finished"] * 6, runs
    assert runs[0]["config"] == BLOCK["first"][0]  # type: ignore[index]
    assert runs[0]["breaks"] == ["latency_ms <= 20: 25.6"]
    assert len({json.dumps(run["config"], sort_keys=True) for run in runs}) == 6
    assert main(["best", sweep_id, "--storage", sandbox.storage, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["width"] == 16


def test_status_and_runs_name_what_is_broken(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["status", sweep_id, "--storage", sandbox.storage]) == 0
    text = capsys.readouterr().out
    assert "3 runs break a constraint (latency_ms <= 20, size_mb < 50)" in text
    assert text.count("breaks latency_ms <= 20: 25.6") == 3
    assert main(["runs", sweep_id, "--storage", sandbox.storage]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[-4:] == ["breaks", "momentum", "optimizer", "width"]
    assert [("latency_ms <= 20: 25.6" in line, line.split()[-1]) for line in lines[:6]] == (
        [(False, "16")] * 3 + [(True, "256")] * 3
    )


def test_a_parameter_that_no_run_with_it_reads_is_named(sandbox: Sandbox, capsys: Capture) -> None:
    train = """
        import lightsweep
        with lightsweep.init() as run:
            run.log({"loss": len(run.config.optimizer)})
    """
    parameters = {name: PARAMETERS[name] for name in ("optimizer", "momentum")}
    block = {"when": BLOCK["when"]}
    sweep_id = sandbox.sweep(train, method="grid", parameters=parameters, command=COMMAND, lightsweep=block)
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    assert main(["status", sweep_id, "--storage", sandbox.storage]) == 0
    assert "no run reads 'momentum', although the sweep varies it\n" in capsys.readouterr().out


def test_an_export_leaves_absent_parameters_empty(done: tuple[Sandbox, str], capsys: Capture) -> None:
    sandbox, sweep_id = done
    assert main(["export", sweep_id, "--storage", sandbox.storage]) == 0
    heading, *rows = (line.split(",") for line in capsys.readouterr().out.splitlines())
    momentum, optimizer = (
        next(place for place, each in enumerate(heading) if name in each) for name in ("momentum", "optimizer")
    )
    assert {(row[optimizer], row[momentum]) for row in rows} == {("adam", ""), ("sgd", "0.0"), ("sgd", "0.9")}
