"""The agent's side of reports that do not wait: the next band in each reply, late verdicts, the last report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox

from lightsweep.agents.active_run import ActiveRun
from lightsweep.agents.exit_status import classify_exit
from lightsweep.agents.launchers import ExitStatus
from lightsweep.channel.messages import LogRequest
from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.controller.changes import update_config
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer

RAW: dict[str, Any] = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "loss"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
    "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2},
}


@contextmanager
def active_runs(directory: Path, count: int, **changes: Any) -> Iterator[tuple[Sweep, list[ActiveRun]]]:
    """Claim runs of a new sweep as an agent does."""
    sweep = Sweep.create({**RAW, **changes}, storage=f"sqlite:///{directory}/sweeps.db")
    writer = Writer(sweep.storage)
    reporter = Reporter(sweep, writer)
    claimer = RunClaimer(sweep, "a")
    try:
        runs = [claimer.next_run() for _ in range(count)]
        yield (
            sweep,
            [ActiveRun(run, sweep, reporter, directory, {}, 1.0) for run in runs if isinstance(run, ClaimedRun)],
        )
    finally:
        reporter.close()
        writer.close()


def log(active: ActiveRun, value: float, **more: Any) -> int | None:
    message: Any = {"metrics": {"loss": value}, **more}
    return active.log(message).next_band


def test_each_answer_names_the_next_band(tmp_path: Path) -> None:
    with active_runs(tmp_path, 1) as (_, (run,)):
        assert run.start({}).next_band == 2
        assert [log(run, value) for value in (1.0, float("nan"), 1.0, 1.0, 1.0)] == [2, 2, 4, 4, 8]


def test_the_last_band_has_none_after_it_nor_has_a_sweep_without(tmp_path: Path) -> None:
    early = {"type": "hyperband", "max_iter": 4, "s": 1, "eta": 2}
    with active_runs(tmp_path, 1, early_terminate=early) as (_, (run,)):
        assert [log(run, 1.0) for _ in range(3)] == [2, None, None]
    (tmp_path / "other").mkdir()
    with active_runs(tmp_path / "other", 1, early_terminate=None) as (_, (run,)):
        assert run.start({}).next_band is None
        assert log(run, 1.0) is None


def test_an_update_changes_the_next_band(tmp_path: Path) -> None:
    with active_runs(tmp_path, 1) as (sweep, (run,)):
        assert log(run, 1.0) == 2
        update_config(sweep, {**RAW, "early_terminate": {"type": "hyperband", "min_iter": 7}})
        assert log(run, 1.0) == 7


def test_of_several_processes_that_report_each_waits(tmp_path: Path) -> None:
    with active_runs(tmp_path, 1) as (_, (run,)):
        assert log(run, 1.0) == 2
        assert log(run, 1.0, process=77) == 0
        assert log(run, 1.0) == 0


def test_a_verdict_that_came_too_late_counts_no_more(tmp_path: Path) -> None:
    with active_runs(tmp_path, 3) as (sweep, (run, *others)):
        for other in others:
            for value in (0.5, 0.1):
                log(other, value)
        log(run, 1.0)
        assert run.log({"metrics": {"loss": 1.0}}).verdict.stop
        assert run.run.pruned
        late = LogRequest(metrics={}, late=True)
        assert not run.log(late).verdict.stop
        run.finish({"state": "finished", "error": None, "unread": []})
        assert classify_exit(sweep.config, run, ExitStatus(0)).state == "finished"
        run.end("the sweep was cancelled", run.outcome)
        assert run.log(late).verdict.reason == "the sweep was cancelled"


@pytest.mark.parametrize(("code", "state"), [(0, "finished"), (-11, "failed"), (1, "failed"), (-15, "lost")])
@pytest.mark.parametrize("read", [True, False])
def test_a_process_that_ends_without_reading_a_verdict_was_not_stopped_by_it(
    tmp_path: Path, code: int, state: str, read: bool
) -> None:
    with active_runs(tmp_path, 3) as (sweep, (run, *others)):
        for other in others:
            for value in (0.5, 0.1):
                log(other, value)
        log(run, 1.0)
        assert run.log({"metrics": {"loss": 1.0}, "posted": True}).verdict.stop
        if read:
            log(run, 1.0)
        assert classify_exit(sweep.config, run, ExitStatus(code)).state == ("pruned" if read else state)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 11)"])
def test_the_last_report_is_kept_however_the_process_ends(sandbox: Sandbox, end: str) -> None:
    sweep = sandbox.sweep(
        f"""
        import os, sys, lightsweep
        run = lightsweep.init()
        for step in range(200):
            run.log({{"loss": 200.0 - step, **{{f"other{{n}}": n / 7 for n in range(100)}}}})
        {end}
        """,
        parameters={"x": {"values": [1]}},
    )
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    (run,) = sandbox.runs(sweep)
    assert (run.iterations, run.best) == (200, 1.0), done.stdout + done.stderr
    assert run.state == ("failed" if "kill" in end else "finished")
