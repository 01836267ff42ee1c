"""The state of a run from the end of its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightsweep.agents.active_run import ActiveRun, merge_config
from lightsweep.agents.exit_status import classify_exit
from lightsweep.agents.launchers import ExitStatus
from lightsweep.controller import ClaimedRun, Outcome
from lightsweep.schema import SweepConfig

PARAMETERS = {"x": {"values": [1, 2]}}


def config(**keys: Any) -> SweepConfig:
    return SweepConfig.load(
        {"method": "grid", "metric": {"name": "val_loss"}, "program": "t.py", "parameters": PARAMETERS, **keys}
    )


CONFIG = config()


def live(**metrics: float) -> ClaimedRun:
    run = ClaimedRun(id="0001", ticket=0, attempt=1, trial_id=1, values={"x": 1}, config={"x": 1})
    run.note(metrics)
    return run


def end(
    run: ClaimedRun, config: SweepConfig = CONFIG, exit_code: int = 0, last_line: str = "", **given: Any
) -> Outcome:
    nothing: Any = None
    active = ActiveRun(run, nothing, nothing, Path(), {}, 0.0, **{"connected": True, **given})
    return classify_exit(config, active, ExitStatus(exit_code, last_line))


def test_finished() -> None:
    outcome = end(live(val_loss=1.0), said={"state": "finished", "error": None, "unread": ["x"]})
    assert outcome == Outcome("finished", "", ["x"])


@pytest.mark.parametrize("code", [0, 1, 3, -15, -9])
def test_a_stopped_run_is_pruned_whatever_its_exit_code(code: int) -> None:
    run = live(val_loss=1.0)
    run.pruned, run.stop_reason = True, "band 3: worse"
    assert end(run, exit_code=code) == Outcome("pruned", "band 3: worse", [])


def test_a_run_that_the_agent_ended_is_killed() -> None:
    outcome = end(live(val_loss=1.0), exit_code=-15, killed="the sweep was cancelled", said={"state": "failed"})
    assert outcome == Outcome("killed", "the sweep was cancelled", [])


@pytest.mark.parametrize(
    ("code", "said", "last_line", "reason"),
    [
        (1, {}, "ValueError: no data", "exit code 1: ValueError: no data"),
        (1, {"state": "failed", "error": "ValueError: bad (t.py:3)"}, "x", "exit code 1: ValueError: bad (t.py:3)"),
        (7, {}, "", "exit code 7"),
        (-11, {}, "", "ended by SIGSEGV"),
        (-6, {}, "", "ended by SIGABRT"),
        (-250, {}, "", "ended by signal 250"),
        (0, {"state": "failed", "error": "exit code 3"}, "", "exit code 3"),
        (0, {"state": "failed"}, "", "it said that it failed, though its exit code was 0"),
    ],
)
def test_failed(code: int, said: dict[str, Any], last_line: str, reason: str) -> None:
    outcome = end(live(val_loss=1.0), exit_code=code, said=said, last_line=last_line)
    assert outcome == Outcome("failed", reason, [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (75, "preempted (exit code 75)"),
        (-9, "ended from outside by SIGKILL, which is what the system sends when memory runs out"),
        (-15, "ended from outside by SIGTERM"),
        (-10, "ended from outside by SIGUSR1"),
        (143, "ended from outside by SIGTERM"),
    ],
)
def test_a_run_that_was_ended_from_outside_is_started_again(code: int, reason: str) -> None:
    assert end(live(val_loss=1.0), exit_code=code) == Outcome("lost", reason, [])


FINISHED = {"state": "finished", "error": None, "unread": ["x"]}


@pytest.mark.parametrize("code", [-9, -15, -11, 137, 143])
def test_a_signal_after_the_end_takes_nothing_from_a_run_that_finished(code: int) -> None:
    assert end(live(val_loss=1.0), exit_code=code, said=FINISHED) == Outcome("finished", "", ["x"])


@pytest.mark.parametrize(("code", "state"), [(1, "failed"), (139, "failed"), (75, "lost")])
def test_an_exit_code_of_its_own_counts_after_the_end_too(code: int, state: str) -> None:
    assert end(live(val_loss=1.0), exit_code=code, said=FINISHED).state == state


def test_one_that_said_that_it_finished_without_its_metric_has_not() -> None:
    assert end(live(epoch=1.0), exit_code=-9, said=FINISHED).state == "lost"


@pytest.mark.parametrize(
    ("before", "code", "state"), [(True, -15, "finished"), (True, 1, "killed"), (False, 0, "killed")]
)
def test_what_the_agent_ended_had_finished_if_it_said_so_before(before: bool, code: int, state: str) -> None:
    outcome = end(live(val_loss=1.0), exit_code=code, said=FINISHED, killed="ended by Ctrl-C", finished=before)
    assert outcome.state == state


def test_a_metric_that_was_never_logged_names_those_that_were() -> None:
    outcome = end(live(val_los=1.0, epoch=3))
    assert outcome.state == "failed"
    assert outcome.reason == (
        "it ended without logging the metric 'val_loss'; it logged 'epoch', 'val_los'; did you mean 'val_los'?"
    )


def test_a_run_that_logged_nothing() -> None:
    assert end(live()).reason == (
        "it ended without logging the metric 'val_loss': call run.log({'val_loss': value}); "
        "more: lightsweep help logging"
    )


@pytest.mark.parametrize("how", ["text ('0.5')", "a tensor of 4 elements"])
def test_a_metric_that_was_logged_but_is_no_number(how: str) -> None:
    said = {"state": "finished", "no_numbers": {"image": "an Image", "val_loss": how}}
    reason = f"it ended without a number for the metric 'val_loss'; it logged 'val_loss' as {how}: log one number"
    for run in (live(), live(epoch=1.0)):
        assert end(run, said=said) == Outcome("failed", reason, [])
    assert end(live(val_loss=1.0), said=said).state == "finished"
    assert "call run.log(" in end(live(), said={"no_numbers": None}).reason


def test_a_script_that_never_called_init() -> None:
    outcome = end(live(), connected=False)
    assert outcome.state == "failed"
    assert "without a call of lightsweep.init()" in outcome.reason
    assert "'val_loss'" in outcome.reason


def test_each_of_several_metrics_has_to_be_logged() -> None:
    several = config(method="random", metrics=[{"name": "a"}, {"name": "b"}], metric=None)
    assert "'b'" in end(live(a=1.0), config=several).reason
    assert end(live(a=1.0, b=2.0), config=several).state == "finished"


@pytest.mark.parametrize("connected", [True, False])
def test_without_a_metric_the_exit_code_decides(connected: bool) -> None:
    none = config(metric=None)
    assert end(live(), config=none, connected=connected).state == "finished"
    assert end(live(), config=none, connected=connected, exit_code=2).state == "failed"


def test_the_values_of_the_sweep_lie_over_the_defaults_at_every_depth() -> None:
    defaults = {"a": 1, "model": {"width": 8, "depth": 2}, "opt": "adam", "flat": {"k": 1}}
    values = {"model": {"width": 64}, "opt": {"name": "sgd"}, "flat": 3, "new": None}
    merged = {"a": 1, "model": {"width": 64, "depth": 2}, "opt": {"name": "sgd"}, "flat": 3, "new": None}
    assert merge_config(defaults, values) == merged
    assert defaults["model"] == {"width": 8, "depth": 2}
