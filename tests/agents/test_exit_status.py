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


FINISHED = {"said": {"state": "finished", "error": None, "unread": ["x"]}}
BAD = {"said": {"state": "failed", "error": "ValueError: bad (t.py:3)"}, "last_line": "x"}


@pytest.mark.parametrize(
    ("code", "given", "reason"),
    [
        (1, {"last_line": "ValueError: no data"}, "exit code 1: ValueError: no data"),
        (1, BAD, "exit code 1: ValueError: bad (t.py:3)"),
        (7, {}, "exit code 7"),
        (-11, {}, "ended by SIGSEGV"),
        (-250, {}, "ended by signal 250"),
        (0, {"said": {"state": "failed", "error": "exit code 3"}}, "exit code 3"),
        (0, {"said": {"state": "failed"}}, "it said that it failed, though its exit code was 0"),
    ],
)
def test_failed(code: int, given: dict[str, Any], reason: str) -> None:
    assert end(live(val_loss=1.0), exit_code=code, **given) == Outcome("failed", reason, [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (75, "preempted (exit code 75)"),
        (-9, "ended from outside by SIGKILL, which is what the system sends when memory runs out"),
        (-15, "ended from outside by SIGTERM"),
        (143, "ended from outside by SIGTERM"),
    ],
)
def test_a_run_that_was_ended_from_outside_is_started_again(code: int, reason: str) -> None:
    assert end(live(val_loss=1.0), exit_code=code) == Outcome("lost", reason, [])


@pytest.mark.parametrize(("code", "state"), [(0, "finished"), (-9, "finished"), (143, "finished"), (1, "failed")])
def test_a_signal_after_the_end_takes_nothing_from_a_run_that_finished(code: int, state: str) -> None:
    assert end(live(val_loss=1.0), exit_code=code, **FINISHED).state == state
    assert end(live(epoch=1.0), exit_code=-9, **FINISHED).state == "lost", "it said so without its metric"


def test_a_stopped_run_is_pruned_whatever_its_exit_code() -> None:
    run = live(val_loss=1.0)
    run.pruned, run.stop_reason = True, "band 3: worse"
    for code in (0, 1, -15):
        assert end(run, exit_code=code) == Outcome("pruned", "band 3: worse", [])


@pytest.mark.parametrize(
    ("before", "code", "state"), [(True, -15, "finished"), (True, 1, "killed"), (False, 0, "killed")]
)
def test_what_the_agent_ended_is_killed_unless_it_had_finished_before(before: bool, code: int, state: str) -> None:
    outcome = end(live(val_loss=1.0), exit_code=code, killed="ended by Ctrl-C", finished=before, **FINISHED)
    assert outcome.state == state


@pytest.mark.parametrize(
    ("logged", "words"),
    [
        ({"val_los": 1.0, "epoch": 3}, "; it logged 'epoch', 'val_los'; did you mean 'val_los'?"),
        ({}, ": call run.log({'val_loss': value}); more: lightsweep help logging"),
    ],
)
def test_a_metric_that_was_never_logged_names_those_that_were(logged: dict[str, float], words: str) -> None:
    reason = f"it ended without logging the metric 'val_loss'{words}"
    assert end(live(**logged)) == Outcome("failed", reason, [])


def test_each_of_several_metrics_has_to_be_logged_and_without_any_the_exit_code_decides() -> None:
    several = config(method="random", metrics=[{"name": "a"}, {"name": "b"}], metric=None)
    assert "'b'" in end(live(a=1.0), config=several).reason
    assert end(live(a=1.0, b=2.0), config=several).state == "finished"
    none = config(metric=None)
    assert end(live(), config=none, connected=False).state == "finished"
    assert end(live(), config=none, exit_code=2).state == "failed"


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


def test_the_values_of_the_sweep_lie_over_the_defaults_at_every_depth() -> None:
    defaults = {"a": 1, "model": {"width": 8, "depth": 2}, "opt": "adam", "flat": {"k": 1}}
    values = {"model": {"width": 64}, "opt": {"name": "sgd"}, "flat": 3, "new": None}
    merged = {"a": 1, "model": {"width": 64, "depth": 2}, "opt": {"name": "sgd"}, "flat": 3, "new": None}
    assert merge_config(defaults, values) == merged
    assert defaults["model"] == {"width": 8, "depth": 2}
