"""Killed agents and runs: no process is left, and another agent retries the runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from process_scripts import SLOW, alive, end, pid_of, states
from sandboxes import Sandbox, wait_until


def test_a_killed_agent_takes_its_runs_with_it_and_another_starts_them_again(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}}, lightsweep={"lease": 2})
    agent = sandbox.start("agent", sweep_id)
    pid = pid_of(sandbox, "0001")
    agent.kill()
    end(agent)
    wait_until(lambda: not alive(pid), "the training process to end by itself")
    other = sandbox.start("agent", sweep_id)
    pid_of(sandbox, "0001", resumed=1)
    sandbox.write("go", "")
    code, out = end(other)
    assert code == 0
    assert "run 0001 started (attempt 2)\n" in out
    (run,) = sandbox.runs(sweep_id)
    assert (run.id, run.state, run.attempt) == ("0001", "finished", 2)


PAUSE = """
import sys, time
from lightsweep.agents.reaper import Reaper
from lightsweep.cli import main
Reaper.add = lambda *_: time.sleep(180)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("options", [["-m", "lightsweep"], ["-c", PAUSE]], ids=["started", "in its start"])
def test_so_does_one_whose_script_has_not_called_init(sandbox: Sandbox, options: list[str]) -> None:
    sweep_id = sandbox.sweep(
        """
        import os, time
        from pathlib import Path
        Path("pid-0001-0").write_text(str(os.getpid()))
        time.sleep(180)
        """,
        parameters={"x": {"values": [1]}},
    )
    agent = sandbox.start("agent", sweep_id, "--cold", python=options)
    pid = pid_of(sandbox, "0001")
    agent.kill()
    end(agent)
    wait_until(lambda: not alive(pid), "the training process to end")


# As torchrun does: workers in sessions of their own, which a launcher that is killed leaves behind.
LAUNCHER = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    import lightsweep
    if len(sys.argv) > 2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        mine = Path(f"pid-{os.environ['LIGHTSWEEP_RUN']}-{sys.argv[2]}")
        mine.write_text(str(os.getpid()))
        time.sleep(180)
    with lightsweep.init() as run:
        old = Path(f"pid-{run.number}-0")
        if run.resumed:
            stat = Path("/proc", old.read_text(), "stat")
            run.log({"loss": 2.0 if stat.exists() and ") Z " not in stat.read_text() else 1.0})
            sys.exit()
        subprocess.Popen([sys.executable, __file__, "worker", "0"], start_new_session=True)
        while not old.exists() or not old.read_text():
            time.sleep(0.02)
        Path("launcher").write_text(str(os.getpid()))
        time.sleep(180)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="such processes are found by /proc")


def launched(sandbox: Sandbox) -> tuple[int, int]:
    """The process of the launcher of run 0001, and that of its worker."""
    path = sandbox.directory / "launcher"
    wait_until(lambda: path.exists() and path.read_text(), "the launcher")
    return int(path.read_text()), pid_of(sandbox, "0001")


@needs_proc
@pytest.mark.parametrize("how", ["cancel", "Ctrl-C"])
def test_workers_in_sessions_of_their_own_end_with_their_run(sandbox: Sandbox, how: str) -> None:
    sweep_id = sandbox.sweep(LAUNCHER)
    agent = sandbox.follow("agent", sweep_id, "--term-timeout", "0.5")
    pids = launched(sandbox)
    if how == "cancel":
        assert sandbox.call("sweep", "--cancel", sweep_id).returncode == 0
    else:
        agent.interrupt("press Ctrl-C again to end it now")
        agent.interrupt("press Ctrl-C again to kill them")
        agent.process.send_signal(signal.SIGINT)
    agent.end()
    assert not any(map(alive, pids))
    assert [state for state, _ in states(sandbox, sweep_id)] == ["killed"]


@needs_proc
def test_the_next_attempt_begins_once_the_workers_of_a_killed_launcher_are_gone(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(LAUNCHER, parameters={"x": {"values": [1]}})
    agent = sandbox.follow("agent", sweep_id)
    launcher, worker = launched(sandbox)
    os.kill(launcher, signal.SIGKILL)
    assert agent.end()[0] == 0
    assert not alive(worker)
    (run,) = sandbox.runs(sweep_id)
    assert (run.state, run.attempt, run.best) == ("finished", 2, 1.0)


def test_one_that_has_nothing_to_do_leaves_when_the_other_is_alive(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}}, lightsweep={"lease": 10})
    agent = sandbox.start("agent", sweep_id)
    pid_of(sandbox, "0001")
    staying = sandbox.start("agent", sweep_id, "--stay")
    code, out = end(sandbox.start("agent", sweep_id))
    assert code == 0
    assert "no further run starts; some are still running" in out
    assert staying.poll() is None
    sandbox.write("go", "")
    for left in (agent, staying):
        code, out = end(left)
        assert (code, "the sweep is finished" in out) == (0, True)
