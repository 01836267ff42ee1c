"""The end of a job, and the time before it in which an agent begins no runs."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import InputError
from lightsweep.agents import Agent, Display
from lightsweep.agents.drain import DRAINED, Drain, duration, extended_end, job_end
from lightsweep.agents.launchers import ExitStatus, Job
from lightsweep.channel.messages import Handler
from lightsweep.controller import ClaimedRun, Sweep

LOCAL = datetime(2026, 11, 28, 3, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("600", 600), ("0.5h", 1800), ("1d", 86_400), ("0", 0)],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "10 min", "10x", "-5m", "m", "1h-5m"])
def test_no_duration(text: str) -> None:
    with pytest.raises(InputError, match=r"^--drain must be a duration with d, h, m or s, such as 90s, 10m or 1h30m"):
        duration(text)


@pytest.mark.parametrize(
    ("environ", "shown", "end"),
    [
        ({}, "", None),
        ({"SLURM_JOB_END_TIME": "1795831944"}, "never asked", 1795831944),
        ({"SLURM_JOB_END_TIME": "1795831944", "LIGHTSWEEP_JOB_END": "1795831000.5"}, "never asked", 1795831000.5),
        ({"SLURM_JOB_ID": "7"}, "   StartTime=1795831644 EndTime=1795831944 Deadline=N/A", 1795831944),
        ({"SLURM_JOB_ID": "7"}, "   StartTime=2026-11-28T02:07:24 EndTime=2026-11-28T03:00:00 Deadline=N/A", LOCAL),
        ({"SLURM_JOB_ID": "7"}, "   StartTime=2026-11-28T02:07:24 EndTime=Unknown Deadline=N/A", None),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "0"}, "EndTime=1795831944", 1795831944),
        ({"SLURM_JOB_ID": "7"}, "slurm_load_jobs error: Invalid job id specified", None),
    ],
)
def test_the_end_of_a_job(environ: dict[str, str], shown: str, end: float | None) -> None:
    asked: list[str] = []

    def ask(job: str) -> str:
        asked.append(job)
        return shown

    assert job_end(environ, ask) == end
    assert asked == ([] if shown in ("", "never asked") else ["7"])


def test_without_scontrol_the_end_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert job_end({"SLURM_JOB_ID": "7"}) is None


@pytest.mark.parametrize("text", ["soon", "nan", "-1", "inf"])
def test_a_wrong_end_of_the_user_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a time; give seconds since 1970, such as that of `date \+%s`"):
        job_end({"LIGHTSWEEP_JOB_END": text})


def test_no_run_begins_from_the_drain_on() -> None:
    drain = Drain("10m", LOCAL)
    assert drain.reason(LOCAL - 600.5) == ""
    assert drain.reason(LOCAL - 600) == "no run begins within 10m of the end of its job at 03:00:00 (--drain)"
    assert drain.reason(LOCAL + 5) == drain.reason(LOCAL - 1) == drain.reason(LOCAL - 600)
    assert drain.remark() == ""


def test_a_time_limit_that_was_extended_is_read_when_the_drain_begins() -> None:
    ends = [LOCAL + 900, LOCAL + 900, None]
    drain = Drain("10m", LOCAL, lambda: ends.pop(0))
    assert drain.reason(LOCAL - 601) == ""
    assert len(ends) == 3, "Slurm is asked only if a run could not begin otherwise"
    assert drain.reason(LOCAL - 500) == drain.reason(LOCAL + 200) == ""
    assert len(ends) == 2
    assert "at 03:15:00" in drain.reason(LOCAL + 400)
    assert drain.reason(LOCAL + 400), "Slurm does not answer"


def test_the_end_by_now_is_that_of_the_job_itself() -> None:
    asked: list[str] = []

    def ask(job: str) -> str:
        asked.append(job)
        return "EndTime=1795831944"

    array = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}
    assert extended_end(array, ask) == extended_end({"SLURM_JOB_ID": "7"}, ask) == 1795831944
    assert asked == ["7_2", "7"], "of an array, Slurm shows all jobs under the id of the first one"
    assert extended_end({**array, "LIGHTSWEEP_JOB_END": "1795831000"}, ask) is extended_end({}, ask) is None


def test_without_an_end_it_has_no_effect_and_says_so() -> None:
    drain = Drain("10m", None)
    assert drain.reason(LOCAL) == ""
    assert drain.remark().startswith("--drain 10m has no effect")


def test_an_agent_ends_with_its_reason_and_leaves_the_rest(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep("import lightsweep\nlightsweep.init().log({'loss': 1.0})\n")
    sandbox.environment["LIGHTSWEEP_JOB_END"] = str(time.time() + 500)
    ended = sandbox.call("agent", sweep_id, "--drain", "10m")
    assert ended.returncode == 85, ended.stderr
    assert f"agent of sweep {sweep_id} ended: no run begins within 10m of the end of its job at " in ended.stdout
    assert ended.stdout.count("--drain") == 1
    assert sandbox.runs(sweep_id) == []
    sandbox.environment["LIGHTSWEEP_JOB_END"] = str(time.time() + 5000)
    assert sandbox.call("agent", sweep_id, "--drain", "10m").returncode == 0
    assert len(sandbox.runs(sweep_id)) == 3
    sandbox.environment["LIGHTSWEEP_JOB_END"] = str(time.time() + 500)
    ended = sandbox.call("agent", sweep_id, "--drain", "10m")
    assert "no run begins within 10m" in ended.stdout
    assert ended.returncode == 0, "nothing is left, so it need not be started again"


def test_a_wrong_duration_is_an_error_before_any_run(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep()
    ended = sandbox.call("agent", sweep_id, "--drain", "ten minutes")
    assert (ended.returncode, ended.stderr.count("--drain must be a duration")) == (2, 1)


class _Job:
    """A run that ends when it is let go."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.go = threading.Event()

    def wait(self) -> ExitStatus:
        assert self.go.wait(60)
        self._handler.log({"metrics": {"loss": 1.0}})
        return ExitStatus(0)

    def terminate(self, grace: float) -> None:
        raise AssertionError("nothing ends a running run")

    def kill(self) -> None:
        raise AssertionError("nothing ends a running run")

    def signal(self, number: int) -> None:
        raise AssertionError("no signal was sent")


class _Jobs:
    """A launcher of such runs."""

    def __init__(self) -> None:
        self.begun: list[_Job] = []

    def check(self) -> None: ...

    def start(self, run: ClaimedRun, handler: Handler, *_: object) -> Job:
        self.begun.append(_Job(handler))
        return self.begun[-1]

    def hurry(self) -> None: ...

    def close(self) -> None: ...


class _Notes(Display):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_running_run_goes_on(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep()
    launcher, display = _Jobs(), _Notes()
    late = threading.Event()

    class Late(Drain):
        def reason(self, now: float) -> str:
            return "no run begins so late" if late.is_set() else ""

    agent = Agent(
        Sweep.load(sweep_id, storage=sandbox.storage), launcher, display=display, jobs=2, drain=Late("1s", None)
    )
    work = threading.Thread(target=agent.run_slots, args=(threading.Thread.join,))
    work.start()
    wait_until(lambda: len(launcher.begun) == 2, "two runs to begin")
    late.set()
    launcher.begun[0].go.set()
    wait_until(lambda: display.notes, "the agent to say why it begins no run")
    assert display.notes == ["no run begins so late; 1 running run goes on"]
    launcher.begun[1].go.set()
    work.join(60)
    assert (agent.left, agent.exit_code, len(launcher.begun)) == ("no run begins so late", DRAINED, 2)
    assert [str(run.state) for run in sandbox.runs(sweep_id)] == ["finished", "finished"]
