"""`lightsweep.agent(function=...)`: runs in this process."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep import LightsweepError, RunPruned, Sweep

HYPERBAND = {"type": "hyperband", "min_iter": 1}


def create(sandbox: Sandbox, **keys: Any) -> Sweep:
    return Sweep.create(
        {
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {"x": {"values": [1, 2, 3, 4, 5]}},
            **keys,
        },
        storage=sandbox.storage,
    )


def states(sweep: Sweep) -> list[str]:
    return [run.state for run in sweep.runs]


def test_a_function_is_called_for_each_run(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(sandbox)
    seen = []

    def train() -> None:
        with lightsweep.init(config={"epochs": 2, "x": 0}) as run:
            assert lightsweep.run is run
            assert run.dir == sandbox.directory / "lightsweep_runs" / sweep.id / run.number
            seen.append(dict(run.config))
            lightsweep.log({"loss": run.config.x, "epoch": 1})

    lightsweep.agent(sweep.id, function=train, count=3, storage=sandbox.storage)
    assert seen == [{"epochs": 2, "x": x} for x in (1, 2, 3)]
    assert states(sweep) == ["finished"] * 3
    out = capsys.readouterr().out
    assert "run 0001 started: x=1\nrun 0001 finished: 1, 1 iteration, " in out
    assert f"agent of sweep {sweep.id} ended: count 3 reached" in out
    assert "best loss 1 (run 0001)\n  x: 1\n" in out
    lightsweep.agent(sweep, train)
    assert states(sweep) == ["finished"] * 5
    assert "the sweep is finished (all 5 points of the grid)" in capsys.readouterr().out


def test_an_exception_fails_its_run_and_the_next_goes_on(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(sandbox)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 1.0})
            if run.config.x == 2:
                raise ValueError("two is bad")

    lightsweep.agent(sweep, function=train)
    assert states(sweep) == ["finished", "failed", "finished", "finished", "finished"]
    assert sweep.runs[1].reason.startswith("exit code 1: ValueError: two is bad (test_api.py:")
    captured = capsys.readouterr()
    assert "Traceback (most recent call last)" in captured.err
    assert "run 0002 failed: exit code 1: ValueError: two is bad" in captured.out


def test_an_exception_before_init(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(sandbox)

    def train() -> None:
        raise ValueError("no data")

    lightsweep.agent(sweep, function=train)
    assert states(sweep) == ["failed"] * 3
    assert sweep.runs[0].reason == "exit code 1: ValueError: no data"
    assert "giving up: 3 runs failed within the first 60 s" in capsys.readouterr().out


def test_a_stopped_run_leaves_the_function(sandbox: Sandbox) -> None:
    sweep = create(sandbox, early_terminate=HYPERBAND)
    after = []

    def train() -> None:
        lightsweep.init()
        lightsweep.log({"loss": lightsweep.config.x})
        after.append(True)

    lightsweep.agent(sweep, function=train, count=2)
    assert states(sweep) == ["finished", "pruned"]
    assert "band 1" in sweep.runs[1].reason
    assert len(after) == 1


def test_a_verdict_that_a_user_catches_counts_all_the_same(sandbox: Sandbox) -> None:
    sweep = create(sandbox, early_terminate=HYPERBAND)

    def train() -> None:
        run = lightsweep.init()
        try:
            run.log({"loss": run.config.x})
        except RunPruned:
            run.finish()

    lightsweep.agent(sweep, function=train, count=2)
    assert states(sweep) == ["finished", "pruned"]


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [(None, "finished", ""), (0, "finished", ""), (4, "failed", "exit code 4"), ("no data", "failed", "no data")],
)
def test_sys_exit_ends_the_run_only(sandbox: Sandbox, code: object, state: str, reason: str) -> None:
    sweep = create(sandbox)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})
            sys.exit(code)  # type: ignore[arg-type]

    lightsweep.agent(sweep, function=train, count=2)
    assert states(sweep) == [state] * 2
    assert reason in sweep.runs[0].reason


def test_ctrl_c_ends_the_run_and_the_agent(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(sandbox)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 1.0})
            raise KeyboardInterrupt

    lightsweep.agent(sweep, function=train)
    assert [(run.state, run.reason) for run in sweep.runs] == [("killed", "interrupted")]
    assert f"agent of sweep {sweep.id} ended: interrupted" in capsys.readouterr().out


def test_a_metric_that_was_logged_as_text_is_told(sandbox: Sandbox) -> None:
    sweep = create(sandbox)
    (metric,) = (metric.name for metric in sweep.config.metrics)

    def train() -> None:
        lightsweep.init().log({metric: "0.5"})

    lightsweep.agent(sweep, function=train, count=1)
    assert sweep.runs[0].state == "failed"
    assert f"it logged {metric!r} as text ('0.5'): log one number" in sweep.runs[0].reason


def test_parameters_that_no_run_reads_are_told(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(sandbox, parameters={"x": {"values": [1, 2]}, "y": {"values": [1, 2]}, "z": {"value": 3}})

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})

    lightsweep.agent(sweep, function=train, count=1)
    assert sweep.runs[0].unread == ("y",)
    out = capsys.readouterr().out
    assert out.count("warning: run 0001 never read 'y', although the sweep varies it") == 1
    assert "no run reads 'y', although the sweep varies it" in out


def test_a_cancelled_sweep_ends_the_function_at_its_next_report(sandbox: Sandbox) -> None:
    sweep = create(sandbox, lightsweep={"lease": 0.2})
    other = Sweep.load(sweep.id, storage=sandbox.storage)

    def train() -> None:
        with lightsweep.init() as run:
            other.cancel()
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                run.log({"loss": 1.0})
                time.sleep(0.001)

    lightsweep.agent(sweep, function=train)
    assert [(run.state, run.reason) for run in sweep.runs] == [("killed", "the sweep was cancelled")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"function": "train"}, "function must be callable"),
        ({"function": print, "jobs": 2}, "jobs=2 is not possible"),
        ({}, "does not say what to run"),
        ({"count": 0}, "count must be 1 or more, not 0"),
        ({"function": print, "max_consecutive_failed_runs": 0}, "max_consecutive_failed_runs must be 1 or more"),
    ],
)
def test_calls_that_cannot_mean_anything(sandbox: Sandbox, arguments: dict[str, Any], words: str) -> None:
    sweep = create(sandbox)
    with pytest.raises(LightsweepError, match=words):
        lightsweep.agent(sweep, **arguments)
    assert sweep.runs == []
