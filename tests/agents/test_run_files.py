"""Checkpoints of runs: those of the best are kept, and runs that write over each other's are told of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep.agents.run_files import BestCheckpoints, SharedFiles, is_checkpoint
from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer

SAVES = """
    import lightsweep
    with lightsweep.init() as run:
        for name in ("model.pt", "checkpoint-5/optimizer.pt", "checkpoint-5/trainer_state.json", "notes.txt",
                     "artifacts/kept.pt"):
            path = run.dir / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(run.config.x))
        run.log({"loss": run.config.x})
"""
PARAMETERS = {"x": {"values": [3, 1, 4, 2, 5]}}


def files(sandbox: Sandbox, sweep: str, run: str) -> set[str]:
    home = sandbox.directory / "lightsweep_runs" / sweep / run
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} - {
        "history.jsonl",
        "output.log",
        "run.json",
    }


@pytest.mark.parametrize("kept", [0, 2])
def test_the_best_runs_keep_their_checkpoints(sandbox: Sandbox, kept: int) -> None:
    sweep = sandbox.sweep(SAVES, parameters=PARAMETERS, lightsweep={"keep_checkpoints": kept})
    outside = sandbox.write("elsewhere.pt", "mine")
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    best = {"0002", "0004"} if kept else set()
    for number in range(1, 6):
        run = f"{number:04d}"
        always = {"notes.txt", "artifacts/kept.pt"}
        assert files(sandbox, sweep, run) == (
            always | {"model.pt", "checkpoint-5/optimizer.pt", "checkpoint-5/trainer_state.json"}
            if run in best
            else always
        )
        assert (f"removed the checkpoints of run {run}, which is not among the best" in done.stdout) == (
            run not in best
        )
    assert outside.exists()


def test_all_runs_keep_them_by_default(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SAVES, parameters=PARAMETERS)
    assert sandbox.call("agent", sweep, "--storage", sandbox.storage).returncode == 0
    assert all("model.pt" in files(sandbox, sweep, f"{number:04d}") for number in range(1, 6))


SHARES = """
    import os, lightsweep
    with lightsweep.init() as run:
        os.makedirs("out", exist_ok=True)
        open("out/model.safetensors", "w").write(str(run.config.x))
        run.log({"loss": run.config.x})
"""


def test_runs_that_write_over_each_other_are_told_of_at_the_second(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SHARES)
    done = sandbox.call("agent", sweep, "--count", "2", "--storage", sandbox.storage)
    assert "runs 0001 and 0002 have both written out/model.safetensors" in done.stdout
    assert "--output_dir=${run_dir}" in done.stdout


def test_an_agent_of_one_run_tells_of_what_was_there_before(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(SHARES)
    first = sandbox.call("agent", sweep, "--count", "1", "--storage", sandbox.storage)
    second = sandbox.call("agent", sweep, "--count", "1", "--storage", sandbox.storage)
    assert "overwr" not in first.stdout
    assert "run 0002 has overwritten out/model.safetensors, which was there before" in second.stdout


def test_a_run_that_fails_beside_checkpoints_of_an_earlier_one_is_told_of_output_dir(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(
        """
        import os, lightsweep
        with lightsweep.init() as run:
            if os.path.isdir("out/checkpoint-9"):
                raise SystemExit("nothing is left to train")
            os.makedirs("out/checkpoint-9")
            open("out/checkpoint-9/model.pt", "w").close()
            run.log({"loss": run.config.x})
        """
    )
    sandbox.call("agent", sweep, "--count", "2", "--storage", sandbox.storage)
    first, second = sandbox.runs(sweep)
    assert first.state == "finished"
    assert second.state == "failed"
    assert "nothing is left to train" in second.reason
    assert "out holds checkpoints of an earlier run: if the script resumes from its output_dir" in second.reason
    assert "--output_dir=${run_dir}" in second.reason


def test_a_file_that_only_one_run_writes_is_no_news(tmp_path: Path) -> None:
    (tmp_path / "old.pt").touch()
    shared = SharedFiles(tmp_path)
    for run in ("0001", "0002"):
        began = time.time_ns()
        (tmp_path / f"{run}.pt").touch()
        own = tmp_path / "lightsweep_runs" / "s" / run
        own.mkdir(parents=True)
        (tmp_path / "lightsweep_runs" / "model.pt").write_text(run)
        (tmp_path / "table.csv").write_text(run)
        assert shared.look(run, began) == ""
    time.sleep(0.05)
    os.utime(tmp_path / "0001.pt")
    assert shared.look("0003", time.time_ns() - 10**9).startswith("runs 0001 and 0003 have both written 0001.pt")
    assert shared.look("0004", 0) == ""  # once


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/model.PT", True), ("checkpoint-12/config.json", True), ("checkpoints/config.json", False), ("a.txt", False)],
)
def test_checkpoints_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_checkpoint(Path("checkpoint-1", name), Path("checkpoint-1")) == expected


def test_with_repeats_the_best_run_is_of_the_best_group(tmp_path: Path) -> None:
    """Of the two groups the one with the lucky run is not the best."""
    raw = {
        "method": "grid",
        "program": "train.py",
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": [1, 2]}},
        "lightsweep": {"repeats": 2, "keep_checkpoints": 1},
    }
    sweep, losses = Sweep.create(raw, storage=f"sqlite:///{tmp_path}/a.db"), iter([0.40, 0.60, 0.44, 0.46])
    checkpoints, writer = BestCheckpoints(sweep, tmp_path), Writer(sweep.storage)
    claimer, reporter = RunClaimer(sweep, "a"), Reporter(sweep, writer)
    kept = []
    while isinstance(run := claimer.next_run(), ClaimedRun):
        (tmp_path / run.id).mkdir()
        (tmp_path / run.id / "model.pt").touch()
        reporter.report(run, {"loss": next(losses)})
        assert reporter.finish(run, Outcome(RunState.FINISHED))
        checkpoints.clear()
        kept.append([path.parent.name for path in sorted(tmp_path.glob("*/model.pt"))])
    reporter.close()
    writer.close()
    assert kept == [["0001"], ["0001"], ["0001", "0003"], ["0003"]]
    best = sweep.best_run
    assert best is not None
    assert best.id == "0003"
