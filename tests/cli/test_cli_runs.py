"""Real sweeps of tiny scripts, through the command line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
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


def test_a_stopped_script_without_a_block_ends_in_one_line(sandbox: Sandbox) -> None:
    code, sweep = agent(
        sandbox,
        """
        import lightsweep
        lightsweep.init()
        lightsweep.log({"loss": lightsweep.config.x})
        """,
        early_terminate={"type": "hyperband", "min_iter": 1},
    )
    assert code == 0
    assert [run.state for run in sweep.runs] == ["finished", "pruned", "pruned"]
    assert log_of(sandbox, sweep, "0002").count(b"\n") == 1
    assert b"stopped early" in log_of(sandbox, sweep, "0002")


def test_output_goes_to_the_file_and_with_one_job_through(sandbox: Sandbox, capsys: Capture) -> None:
    script = """
        import sys, lightsweep
        with lightsweep.init() as run:
            run.log({"loss": 1})
        sys.stdout.buffer.write(b"\\xff\\xfe binary \\x00\\x1b[31m")
    """
    _, sweep = agent(sandbox, script, "--count", "1")
    assert log_of(sandbox, sweep) == b"\xff\xfe binary \x00\x1b[31m"
    assert "binary" in capsys.readouterr().out
    _, sweep = agent(sandbox, script, "--count", "1", "--jobs", "2")
    assert log_of(sandbox, sweep) == b"\xff\xfe binary \x00\x1b[31m"
    assert "binary" not in capsys.readouterr().out


def test_a_crash_before_init_gives_its_last_line(sandbox: Sandbox, capsys: Capture) -> None:
    code, sweep = agent(sandbox, "import no_such_module_at_all")
    assert code == 1
    assert [run.state for run in sweep.runs] == ["failed"] * 3
    assert sweep.runs[0].reason == "exit code 1: ModuleNotFoundError: No module named 'no_such_module_at_all'"
    assert "giving up: 3 runs failed within the first 60 s; last: exit code 1" in capsys.readouterr().out


def test_all_runs_failed_is_an_exit_code(sandbox: Sandbox) -> None:
    code, sweep = agent(sandbox, "raise SystemExit(3)", "--count", "2")
    assert code == 1
    assert [run.reason for run in sweep.runs] == ["exit code 3"] * 2


def test_failures_in_a_row(sandbox: Sandbox, capsys: Capture) -> None:
    code, sweep = agent(sandbox, "raise SystemExit(3)", "--max-consecutive-failed-runs", "1")
    assert code == 1
    assert len(sweep.runs) == 1
    assert "(max_consecutive_failed_runs: 1)" in capsys.readouterr().out


def test_a_script_that_never_calls_init(sandbox: Sandbox) -> None:
    _, sweep = agent(sandbox, "print('hello')", "--count", "1")
    assert sweep.runs[0].state == "failed"
    assert "without a call of lightsweep.init()" in sweep.runs[0].reason
    code, sweep = agent(sandbox, "print('hello')", metric=None)
    assert code == 0
    assert [run.state for run in sweep.runs] == ["finished"] * 3


def test_jobs_run_side_by_side(sandbox: Sandbox) -> None:
    code, sweep = agent(
        sandbox,
        """
        import time, lightsweep
        from pathlib import Path
        with lightsweep.init() as run:
            Path(f"here-{run.id}").touch()
            deadline = time.monotonic() + 20
            while len(list(Path().glob("here-*"))) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            run.log({"loss": len(list(Path().glob("here-*")))})
        """,
        "--jobs",
        "3",
        "--count",
        "3",
    )
    assert code == 0
    assert [run.best for run in sweep.runs] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_count_is_exact(sandbox: Sandbox, jobs: str) -> None:
    code, sweep = agent(sandbox, GOOD, "--count", "2", "--jobs", jobs)
    assert code == 0
    assert [run.state for run in sweep.runs] == ["finished"] * 2


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


def test_two_hundred_parameters(sandbox: Sandbox) -> None:
    names = [f"group{number % 3}.p{number}" for number in range(200)]
    code, sweep = agent(
        sandbox,
        """
        import sys, lightsweep
        with lightsweep.init() as run:
            same = all(f"--{name}={run.config[name]}" in sys.argv for name in run.config)
            run.log({"loss": same * len(run.config)})
        """,
        "--count",
        "2",
        method="random",
        parameters={name: {"min": 0.0, "max": 1.0} for name in names},
    )
    assert code == 0
    assert [run.best for run in sweep.runs] == [200.0, 200.0]


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
    sandbox.write(
        "deep/sweep.yaml", "{program: train.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1]}}}"
    )
    assert main(["run", "deep/sweep.yaml"]) == 0


def test_a_module_needs_no_file(sandbox: Sandbox) -> None:
    (sandbox.directory / "pkg").mkdir()
    sandbox.write("pkg/__init__.py", "")
    sandbox.write("pkg/work.py", GOOD)
    command = ["${interpreter}", "-m", "${program}", "${args}"]
    code, sweep = agent(sandbox, GOOD, program="pkg.work", command=command)
    assert code == 0
    assert [run.state for run in sweep.runs] == ["finished"] * 3


def test_runs_do_not_see_the_storage(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_id = sandbox.sweep(
        """
        import os, lightsweep
        with lightsweep.init() as run:
            run.log({"loss": int("LIGHTSWEEP_STORAGE" in os.environ)})
        """
    )
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", sandbox.storage)
    assert main(["agent", sweep_id, "--count", "1"]) == 0
    assert sandbox.runs(sweep_id)[0].best == 0.0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_failed_run_is_tried_again_under_its_id(sandbox: Sandbox, jobs: str) -> None:
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
        jobs,
        parameters={"x": {"value": 1}},
        lightsweep={"max_retries": 1},
    )
    assert code == 0
    (run,) = sweep.runs
    assert (run.id, run.state, run.attempt, run.iterations) == ("0001", "finished", 2, 1)
    assert log_of(sandbox, sweep).startswith(b"attempt False 1\n")
    assert log_of(sandbox, sweep).endswith(b"attempt True 1\n")


def test_a_daemon_is_gone_with_its_run(sandbox: Sandbox) -> None:
    code, _ = agent(
        sandbox,
        """
        import os, time, lightsweep
        with lightsweep.init() as run:
            run.log({"loss": 1})
        reading, writing = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                os.write(writing, b"!")
                time.sleep(60)
            os._exit(0)
        os.wait()
        os.read(reading, 1)
        """,
        "--count",
        "1",
    )
    assert code == 0
    text = next(sandbox.directory.glob("lightsweep_runs/*/0001/output.log")).read_text()
    state = Path(f"/proc/{int(text)}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_args_of_the_best_run_can_be_pasted_into_a_shell(sandbox: Sandbox, capsys: Capture) -> None:
    values = ["a b", "it's $(x)\n\"'"]
    script = 'import lightsweep\nwith lightsweep.init() as run:\n    run.log({"loss": -len(run.config.text)})'
    _, sweep = agent(sandbox, script, parameters={"text": {"values": values}, "flag": {"value": True}})
    capsys.readouterr()
    assert main(["best", sweep.id, "--format", "args"]) == 0
    out, err = capsys.readouterr()
    assert shlex.split(out) == ["--flag=True", f"--text={values[1]}"]
    assert err == "run 0002 (finished): loss -12\n"
