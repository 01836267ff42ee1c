"""Real sweeps of tiny scripts, through the command line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep
from lightsweep.cli import main

GOOD = """
    import lightsweep
    with lightsweep.init() as run:
        run.log({"loss": run.config.x})
"""
Capture = pytest.CaptureFixture[str]


def agent(sandbox: Sandbox, script: str, *options: str, **config: Any) -> tuple[int, Sweep]:
    """Exit code of an agent that worked on the script, and the sweep."""
    sweep_id = sandbox.sweep(script, **config)
    code = main(["agent", sweep_id, *options])
    return code, Sweep.load(sweep_id, storage=sandbox.storage)


def log_of(sandbox: Sandbox, sweep: Sweep, run: str = "0001") -> bytes:
    return (sandbox.directory / "lightsweep_runs" / sweep.id / run / "output.log").read_bytes()


def test_run_creates_and_works(sandbox: Sandbox, capsys: Capture) -> None:
    sandbox.write("train.py", GOOD)
    sandbox.write(
        "sweep.yaml",
        """
        program: train.py
        name: tiny
        method: grid
        metric: {name: loss}
        parameters:
          x: {values: [3, 1, 2]}
        """,
    )
    assert main(["run", "sweep.yaml"]) == 0
    out, err = capsys.readouterr()
    sweep_id, *lines = out.splitlines()
    assert lines[0] == "run 0001 started: x=3"
    assert lines[1] == "lightsweep: runs start warm"
    assert re.fullmatch(r"run 0001 finished: 3, 1 iteration, [\d.]+ s \(new best\)", lines[2])
    assert lines[-4:] == [
        f"agent of sweep {sweep_id} ended: the sweep is finished (all 3 points of the grid)",
        "best loss 1 (run 0002)",
        "  x: 1",
        f"use it: lightsweep best {sweep_id} --format args   (or yaml, json)",
    ]
    assert "created a grid sweep over 1 parameter, 3 points" in err
    assert f"more agents: lightsweep agent {sweep_id}\n" in err
    assert [run.state for run in sandbox.runs(sweep_id)] == ["finished"] * 3


def test_how_runs_end(sandbox: Sandbox) -> None:
    code, sweep = agent(
        sandbox,
        """
        import os, sys
        import lightsweep
        print("hello")
        with lightsweep.init() as run:
            run.log({"loss": {1: 1, 2: 9, 3: 0, 4: 0, 5: 0}[run.config.x]})
            if run.config.x == 3:
                raise ValueError("three is bad")
            if run.config.x == 4:
                os.kill(os.getpid(), 11)
        print("after", run.config.x)
        """,
        parameters={"x": {"values": [1, 2, 3, 4, 5]}},
        early_terminate={"type": "hyperband", "min_iter": 1},
    )
    assert code == 0
    runs = sweep.runs
    assert [run.state for run in runs] == ["finished", "pruned", "failed", "failed", "finished"]
    assert runs[1].reason.startswith("stopped at band 1: 9")
    assert runs[2].reason == "exit code 1: ValueError: three is bad (train.py:8)"
    assert runs[3].reason.startswith("ended by SIGSEGV")
    assert log_of(sandbox, sweep, "0002") == b"hello\nafter 2\n"
    assert b"Traceback" in log_of(sandbox, sweep, "0003")


def test_a_sweep_that_stops_by_the_expected_end(sandbox: Sandbox, capsys: Capture) -> None:
    code, sweep = agent(
        sandbox,
        """
        import lightsweep
        with lightsweep.init() as run:
            for epoch in range(1, 9):
                run.log({"loss": run.config.x + 1 / epoch})
        """,
        parameters={"x": {"values": [0, 1, 30, 40]}},
        lightsweep={"stopping": {"type": "expected", "min_iter": 2}},
    )
    assert code == 0
    *_, bad = sweep.runs
    assert sweep.runs[0].state == "finished"
    assert bad.state == "pruned"
    assert 2 <= bad.iterations < 8
    chance = r"chance of \S+ % to beat 0\.1250"
    reason = rf"stopped at band {bad.iterations}: best so far 40\.\S+, {chance} \(expected to end from .+\)"
    assert re.fullmatch(reason, bad.reason)
    said = capsys.readouterr().out
    assert re.search(rf"run 0004 stopped at {bad.iterations}: 40\.\S+ \({chance}\)", said)
    assert "of 32 iterations saved" in said
    assert main(["show", sweep.id, "4"]) == 0
    assert bad.reason in capsys.readouterr().out


def test_count_and_jobs_and_where_output_goes(sandbox: Sandbox, capsys: Capture) -> None:
    script = """
        import sys, time, lightsweep
        from pathlib import Path
        with lightsweep.init() as run:
            Path(f"here-{run.sweep_id}-{run.number}").touch()
            deadline = time.monotonic() + 20
            while (count := len(list(Path().glob(f"here-{run.sweep_id}-*")))) < run.config.x:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            run.log({"loss": count})
        sys.stdout.buffer.write(b"\\xff\\xfe binary \\x00\\x1b[31m")
    """
    code, sweep = agent(sandbox, script, "--count", "1")
    assert (code, len(sweep.runs)) == (0, 1)
    assert log_of(sandbox, sweep) == b"\xff\xfe binary \x00\x1b[31m"
    assert "binary" in capsys.readouterr().out
    side_by_side = {"x": {"value": 2}, "y": {"values": [1, 2, 3]}}
    code, sweep = agent(sandbox, script, "--count", "2", "--jobs", "2", parameters=side_by_side)
    assert (code, [run.best for run in sweep.runs]) == (0, [2.0, 2.0])
    assert log_of(sandbox, sweep) == b"\xff\xfe binary \x00\x1b[31m"
    assert "binary" not in capsys.readouterr().out


def test_a_crash_before_init_gives_its_last_line(sandbox: Sandbox, capsys: Capture) -> None:
    code, sweep = agent(sandbox, "import no_such_module_at_all")
    assert code == 1
    assert [run.state for run in sweep.runs] == ["failed"] * 3
    assert sweep.runs[0].reason == "exit code 1: ModuleNotFoundError: No module named 'no_such_module_at_all'"
    assert "giving up: 3 runs failed within the first 60 s; last: exit code 1" in capsys.readouterr().out
    code, sweep = agent(sandbox, "raise SystemExit(3)", "--max-consecutive-failed-runs", "1")
    assert (code, len(sweep.runs)) == (1, 1)
    assert "(max_consecutive_failed_runs: 1)" in capsys.readouterr().out


def test_any_value_arrives_as_it_is(sandbox: Sandbox) -> None:
    values = ["a b", 'say "hi"', "it's", "line\nbreak", "$(touch hacked)", "${x}", "`id`", "--x=1", "*", "größe", ""]
    code, sweep = agent(
        sandbox,
        """
        import argparse, lightsweep
        parser = argparse.ArgumentParser()
        parser.add_argument("--text")
        text = parser.parse_args().text
        with lightsweep.init() as run:
            run.log({"loss": int(text == run.config.text)})
        """,
        parameters={"text": {"values": values}},
    )
    assert code == 0
    assert [run.config["text"] for run in sweep.runs] == values
    assert [run.best for run in sweep.runs] == [1.0] * len(values)
    assert not (sandbox.directory / "hacked").exists()


def test_a_huge_grid_starts_at_once(sandbox: Sandbox, capsys: Capture) -> None:
    parameters = {f"x{number}": {"values": list(range(10))} for number in range(9)}
    code, sweep = agent(
        sandbox,
        'import lightsweep\nwith lightsweep.init() as run:\n    run.log({"loss": run.config.x8})',
        "--count",
        "2",
        parameters=parameters,
    )
    assert code == 0
    assert [run.config["x8"] for run in sweep.runs] == [0, 1]
    sandbox.write("huge.json", json.dumps({"method": "grid", "parameters": parameters, "program": "train.py"}))
    assert main(["check", "huge.json"]) == 0
    out = capsys.readouterr().out
    assert "1,000,000,000" in out or "1000000000" in out


def test_the_program_is_found_beside_the_sweep_file(sandbox: Sandbox) -> None:
    (sandbox.directory / "deep").mkdir()
    sandbox.write("deep/train.py", GOOD)
    keys = "{program: train.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1]}}}"
    sandbox.write("deep/sweep.yaml", keys)
    assert main(["check", "deep/sweep.yaml"]) == 0
    assert main(["run", "deep/sweep.yaml"]) == 0


def test_a_failed_run_is_tried_again_under_its_id(sandbox: Sandbox) -> None:
    code, sweep = agent(
        sandbox,
        """
        import time, lightsweep
        with lightsweep.init() as run:
            run.log({"loss": 1})
            time.sleep(0.5)  # meanwhile another slot finds that there is nothing more to start
            print("attempt", run.resumed, run.iterations)
            if not run.resumed:
                raise ValueError
        """,
        "--jobs",
        "2",
        parameters={"x": {"value": 1}},
        lightsweep={"max_retries": 1},
    )
    assert code == 0
    (run,) = sweep.runs
    assert (run.id, run.state, run.attempt, run.iterations) == ("0001", "finished", 2, 1)
    assert log_of(sandbox, sweep).startswith(b"attempt False 1\n")
    assert log_of(sandbox, sweep).endswith(b"attempt True 1\n")
