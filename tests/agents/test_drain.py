"""The end of a job, and the time before it in which an agent begins no runs."""

from __future__ import annotations

import threading
import time
from datetime import datetime

import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import InputError
from lightsweep.agents.displays.base import Display
from lightsweep.agents.drain import DRAINED, Drain, duration, extended_end, job_end
from lightsweep.agents.launchers.process import CommandLauncher
from lightsweep.agents.worker import Agent
from lightsweep.controller import Sweep

LOCAL = datetime(2026, 11, 28, 3, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("600", 600), ("0.5h", 1800), ("1d", 86_400)]
)
def test_a_duration(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10 min", "-5m", "m"])
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


@pytest.mark.parametrize("text", ["soon", "nan", "-1"])
def test_a_wrong_end_of_the_user_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a time; give seconds since 1970, such as that of `date \+%s`"):
        job_end({"LIGHTSWEEP_JOB_END": text})


def test_no_run_begins_from_the_drain_on() -> None:
    drain = Drain("10m", LOCAL)
    assert drain.reason(LOCAL - 600.5) == ""
    assert drain.reason(LOCAL - 600) == "no run begins within 10m of the end of its job at 03:00:00 (--drain)"
    assert drain.reason(LOCAL + 5) == drain.reason(LOCAL - 1) == drain.reason(LOCAL - 600)
    assert drain.remark() == ""
    assert Drain("10m", None).reason(LOCAL) == ""
    assert Drain("10m", None).remark().startswith("--drain 10m has no effect")


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


class _Notes(Display):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


WAITING = """
    import os, time, lightsweep
    with lightsweep.init() as run:
        open(f"begun-{run.number}", "w").close()
        while not os.path.exists(f"go-{run.number}"):
            time.sleep(0.05)
        run.log({"loss": 1.0})
    """


def test_a_running_run_goes_on(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox.directory)
    sweep = Sweep.load(sandbox.sweep(WAITING), storage=sandbox.storage)
    display = _Notes()
    late = threading.Event()

    class Late(Drain):
        def reason(self, now: float) -> str:
            return "no run begins so late" if late.is_set() else ""

    agent = Agent(sweep, CommandLauncher(sweep), display=display, jobs=2, drain=Late("1s", None))
    work = threading.Thread(target=agent.run_slots, args=(threading.Thread.join,))
    work.start()
    wait_until(lambda: len(list(sandbox.directory.glob("begun-*"))) == 2, "two runs to begin")
    late.set()
    (sandbox.directory / "go-0001").touch()
    wait_until(lambda: display.notes, "the agent to say why it begins no run")
    assert display.notes == ["no run begins so late; 1 running run goes on"]
    (sandbox.directory / "go-0002").touch()
    work.join(60)
    assert (agent.left, agent.exit_code) == ("no run begins so late", DRAINED)
    assert [run.state for run in sweep.runs] == ["finished", "finished"]
