"""Retry, update, prior runs and GPUs on the command line."""

from __future__ import annotations

import json

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep
from lightsweep.cli import main

LOG = """
import sys
import lightsweep
with lightsweep.init() as run:
    run.log({"loss": run.config.x})
    if (run.dir / "ok").exists() or run.config.x != 2:
        pass
    else:
        (run.dir / "ok").touch()
        sys.exit(3)
"""

VISIBLE = """
import os
import time
import lightsweep
with lightsweep.init() as run:
    (run.dir / "gpu").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    run.log({"loss": run.config.x})
    time.sleep(0.5)
"""

Capture = pytest.CaptureFixture[str]


def test_a_failed_run_is_started_again(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep(LOG)
    assert main(["agent", sweep_id]) == 0
    assert [run.state for run in sandbox.runs(sweep_id)] == ["finished", "failed", "finished"]
    assert main(["retry", sweep_id]) == 2
    assert main(["retry", sweep_id, "0001"]) == 2
    assert "run 0001 is finished; only failed and killed runs can be retried" in capsys.readouterr().err
    assert main(["retry", sweep_id, "--failed"]) == 0
    assert "waiting for an agent: 0002" in capsys.readouterr().out
    assert main(["agent", sweep_id]) == 0
    runs = sandbox.runs(sweep_id)
    assert [(run.state, run.iterations) for run in runs] == [("finished", 1)] * 3
    assert main(["retry", sweep_id, "--failed"]) == 0
    assert "nothing to retry" in capsys.readouterr().out


def test_points_without_a_result_are_told_and_started_again(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep(LOG)
    assert main(["agent", sweep_id]) == 0
    remedy = f"retry them with: lightsweep retry {sweep_id} --failed"
    told = {"1 point has no result (1 failed)", f"{remedy}   (more: lightsweep help failures)"}
    assert told <= set(capsys.readouterr().out.splitlines())
    assert main(["status", sweep_id]) == 0
    assert {"1 point has no result (1 failed)", remedy} <= set(capsys.readouterr().out.splitlines())
    assert main(["agent", sweep_id]) == 0  # with nothing to begin it says so again
    assert told <= set(capsys.readouterr().out.splitlines())
    assert main(["retry", sweep_id, "--failed"]) == 0
    capsys.readouterr()
    assert main(["status", sweep_id]) == 0
    said = capsys.readouterr().out
    assert "1 waiting, 2 finished" in said
    assert "\n0002  waiting   " in said
    assert "no result" not in said
    assert main(["status", sweep_id, "--json"]) == 0
    assert [run["state"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["finished", "killed", "finished"]
    assert main(["agent", sweep_id]) == 0
    said = capsys.readouterr()
    assert "run 0002 started (attempt 2)" in said.out + said.err
    assert "no result" not in said.out


def test_a_grid_is_extended(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep("import lightsweep\nwith lightsweep.init() as run: run.log({'loss': run.config.x})")
    assert main(["agent", sweep_id]) == 0
    sandbox.write(
        "more.yaml",
        """
        program: train.py
        method: grid
        metric: {name: loss}
        parameters: {x: {values: [1, 2, 3, 7]}}
        """,
    )
    assert main(["sweep", "--update", "more.yaml", sweep_id]) == 0
    assert f"sweep {sweep_id} continues with more.yaml: running" in capsys.readouterr().err
    assert main(["agent", sweep_id]) == 0
    assert [run.values["x"] for run in sandbox.runs(sweep_id)] == [1, 2, 3, 7]
    assert main(["sweep", "--update", "more.yaml", "--stop", sweep_id]) == 2


def test_a_sweep_begins_from_another(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep("import lightsweep\nwith lightsweep.init() as run: run.log({'loss': run.config.x})")
    assert main(["agent", sweep_id]) == 0
    sandbox.write(
        "next.yaml",
        """
        program: train.py
        method: bayes
        run_cap: 1
        metric: {name: loss}
        parameters: {x: {min: 0, max: 9}}
        """,
    )
    capsys.readouterr()
    assert main(["sweep", "next.yaml", "--prior-run", sweep_id, "--prior-run", f"{sweep_id}/0002"]) == 0
    said = capsys.readouterr()
    made = Sweep.load(said.out.strip())
    assert "4 prior runs" in said.err
    assert [run.id for run in made.runs] == ["p0001", "p0002", "p0003", "p0004"]
    assert main(["status", made.id]) == 0
    assert "\nno runs yet of 1 + 4 prior runs" in capsys.readouterr().out
    assert main(["best", made.id]) == 1  # not a run of another sweep, with parameters that this one would add
    assert main(["apply", made.id, "--run", "p0001", "--", "true"]) == 2
    assert f"run p0001 is a prior run, from {sweep_id}/0001" in capsys.readouterr().err
    assert main(["ls"]) == 0
    assert "0/1 + 4 prior runs" in capsys.readouterr().out
    assert main(["export", made.id]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("p0001,True,finished,1.0,")
    count = len(Sweep.all())
    assert main(["sweep", "next.yaml", "--prior-run", "nosuch01"]) == 2
    capsys.readouterr()
    assert main(["sweep", sweep_id, "--stop", "--prior-run", "nosuch01"]) == 2
    hint = f"to a sweep that exists, call lightsweep.Sweep.load('{sweep_id}').add_prior_runs(...)"
    assert hint in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert len(Sweep.all()) == count


@pytest.mark.parametrize("command", ["check", "sweep"])
def test_a_grid_that_names_prior_runs_is_an_error(sandbox: Sandbox, capsys: Capture, command: str) -> None:
    sweep_id = sandbox.sweep("import lightsweep\nwith lightsweep.init() as run: run.log({'loss': run.config.x})")
    assert main(["agent", sweep_id]) == 0
    sandbox.write(
        "next.yaml",
        f"""
        program: train.py
        method: grid
        metric: {{name: loss}}
        parameters: {{x: {{values: [1, 2]}}}}
        lightsweep: {{prior_runs: [{sweep_id}]}}
        """,
    )
    capsys.readouterr()
    assert main([command, "next.yaml"]) == 2
    what = "method grid does not learn from runs, so prior runs have no effect"
    assert capsys.readouterr().err.splitlines() == [f"error: {what}; use method bayes, or leave them out"]
    assert len(Sweep.all()) == 1


@pytest.mark.slow
def test_each_slot_has_its_own_gpus(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(VISIBLE, parameters={"x": {"values": [1, 2, 3, 4]}})
    done = sandbox.call("agent", sweep_id, "--gpus", "4,5,6,7", "--gpus-per-run", "2")
    assert done.returncode == 0, done.stderr
    seen = [path.read_text() for path in sorted(sandbox.directory.glob(f"lightsweep_runs/{sweep_id}/*/gpu"))]
    assert sorted(set(seen)) == ["4,5", "6,7"]
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpus", "0,0"], "named twice"),
        (["--gpus", "0,1", "--jobs", "2"], "leave out --jobs"),
        (["--gpus-per-run", "2"], "--gpus-per-run needs --gpus"),
    ],
)
def test_gpus_that_cannot_be_given(sandbox: Sandbox, capsys: Capture, options: list[str], words: str) -> None:
    sweep_id = sandbox.sweep("")
    assert main(["agent", sweep_id, *options]) == 2
    assert words in capsys.readouterr().err
    assert sandbox.runs(sweep_id) == []
