"""Agents as processes of their own: told to end, killed, many at once."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sandboxes import PATIENCE_SECONDS, Lateness, Sandbox, wait_until

from lightsweep import Sweep

SLOW = """
    import os, time
    from pathlib import Path
    import lightsweep
    with lightsweep.init() as run:
        Path(f"pid-{run.id}-{int(run.resumed)}").write_text(str(os.getpid()))
        run.log({"loss": run.config.x})
        deadline = time.monotonic() + 180
        while not Path("go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        run.log({"loss": run.config.x / 2})
"""
QUICK = """
    import lightsweep
    with lightsweep.init() as run:
        run.log({"loss": run.config.x})
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + textwrap.dedent(SLOW)


def alive(pid: int) -> bool:
    """Whether a process does anything; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_of(sandbox: Sandbox, run: str, resumed: int = 0) -> int:
    """The process of a run, once it has begun."""
    path = sandbox.directory / f"pid-{run}-{resumed}"
    wait_until(lambda: path.exists() and path.read_text(), f"run {run} to begin")
    return int(path.read_text())


def states(sandbox: Sandbox, sweep_id: str) -> list[tuple[str, str]]:
    return [(run.state, run.reason) for run in sandbox.runs(sweep_id)]


def end(agent: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    return agent.returncode, out


def test_the_first_ctrl_c_waits(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.follow("agent", sweep_id)
    pid_of(sandbox, "0001")
    agent.interrupt("waiting for the running run to end; press Ctrl-C again to end it now")
    sandbox.write("go", "")
    code, out = agent.end()
    assert code == 130
    assert f"left sweep {sweep_id}: interrupted by Ctrl-C" in out
    assert states(sandbox, sweep_id) == [("finished", "")]


def test_the_second_ctrl_c_ends_the_runs(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.follow("agent", sweep_id, "--jobs", "2")
    pids = [pid_of(sandbox, run) for run in ("0001", "0002")]
    agent.interrupt("waiting for 2 running runs to end")
    agent.interrupt("ending the running runs; press Ctrl-C again to kill them")
    code, _ = agent.end()
    assert code == 130
    assert states(sandbox, sweep_id) == [("killed", "ended by Ctrl-C")] * 2
    assert not any(map(alive, pids))


def test_the_third_ctrl_c_kills(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(STUBBORN)
    agent = sandbox.follow("agent", sweep_id)
    pid = pid_of(sandbox, "0001")
    agent.interrupt("press Ctrl-C again to end it now")
    agent.interrupt("press Ctrl-C again to kill them")
    agent.process.send_signal(signal.SIGINT)
    code, _ = agent.end()
    assert code == 130
    assert states(sandbox, sweep_id) == [("killed", "ended by Ctrl-C")]
    assert not alive(pid)


def test_one_that_ignores_sigterm_is_killed_after_term_timeout(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(STUBBORN)
    agent = sandbox.follow("agent", sweep_id, "--term-timeout", "0.5")
    pid = pid_of(sandbox, "0001")
    agent.interrupt("press Ctrl-C again to end it now")
    agent.interrupt("press Ctrl-C again to kill them")
    code, _ = agent.end()
    assert code == 130
    assert states(sandbox, sweep_id) == [("killed", "ended by Ctrl-C")]
    assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_gives_the_runs_back_and_another_agent_starts_them_again(
    sandbox: Sandbox, number: signal.Signals
) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}})
    agent = sandbox.start("agent", sweep_id)
    pid = pid_of(sandbox, "0001")
    agent.send_signal(number)
    code, out = end(agent)
    assert code == 128 + number
    assert f"run 0001 lost: best loss 1 in 1 iteration; the agent was told to end ({number.name})" in out
    assert not alive(pid)
    sandbox.write("go", "")
    code, _ = end(sandbox.start("agent", sweep_id))
    assert code == 0
    (run,) = sandbox.runs(sweep_id)
    assert (run.id, run.state, run.attempt, run.iterations) == ("0001", "finished", 2, 2)


@pytest.mark.parametrize("presses", [0, 2])
def test_what_ends_a_run_after_it_finished_takes_nothing_from_it(sandbox: Sandbox, presses: int) -> None:
    """A process that is killed on its way out, by the system or by Ctrl-C."""
    sweep_id = sandbox.sweep(
        """
        import os, sys, time
        from pathlib import Path
        import lightsweep
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})
        Path(f"pid-{run.id}-{int(run.resumed)}").write_text(str(os.getpid()))
        time.sleep(180)
        """,
        parameters={"x": {"values": [1]}},
    )
    agent = sandbox.follow("agent", sweep_id)
    pid = pid_of(sandbox, "0001")
    if presses:
        agent.interrupt("press Ctrl-C again to end it now")
        agent.process.send_signal(signal.SIGINT)
    else:
        os.kill(pid, signal.SIGKILL)
    agent.end()
    (run,) = sandbox.runs(sweep_id)
    assert (run.state, run.attempt, run.reason) == ("finished", 1, "")


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


def test_so_does_one_whose_script_has_not_called_init(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(
        """
        import os, time
        from pathlib import Path
        Path("pid-0001-0").write_text(str(os.getpid()))
        time.sleep(180)
        """,
        parameters={"x": {"values": [1]}},
    )
    agent = sandbox.start("agent", sweep_id)
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
        old = Path(f"pid-{run.id}-0")
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


def test_one_that_has_nothing_to_do_waits_for_a_dead_agents_run(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}}, lightsweep={"lease": 4})
    agent = sandbox.start("agent", sweep_id)
    pid = pid_of(sandbox, "0001")
    agent.kill()
    end(agent)
    other = sandbox.start("agent", sweep_id)  # at once: the dead one's last sign of life is fresh
    pid_of(sandbox, "0001", resumed=1)
    wait_until(lambda: not alive(pid), "the dead agent's process to end by itself")
    sandbox.write("go", "")
    code, out = end(other)
    assert code == 0
    assert "run 0001 started (attempt 2)\n" in out


def test_one_that_has_nothing_to_do_leaves_when_the_other_is_alive(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}}, lightsweep={"lease": 10})
    agent = sandbox.start("agent", sweep_id)
    pid_of(sandbox, "0001")
    staying = sandbox.start("agent", sweep_id, "--stay")
    code, out = end(sandbox.start("agent", sweep_id))
    assert code == 0
    assert "every run was handed out; some are still running" in out
    assert staying.poll() is None
    sandbox.write("go", "")
    for left in (agent, staying):
        code, out = end(left)
        assert (code, "the sweep is finished" in out) == (0, True)


def test_cancel_ends_what_runs(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.start("agent", sweep_id, "--jobs", "2")
    pids = [pid_of(sandbox, run) for run in ("0001", "0002")]
    assert sandbox.call("sweep", "--cancel", sweep_id).returncode == 0
    with Lateness() as late:
        began = time.monotonic()
        wait_until(lambda: not any(map(alive, pids)), "the runs to end")
        assert time.monotonic() - began < 5 + late.seconds
    code, out = end(agent)
    assert code == 0
    assert f"left sweep {sweep_id}: the sweep was cancelled" in out
    assert states(sandbox, sweep_id) == [("killed", "the sweep was cancelled")] * 2


def test_stop_lets_running_runs_finish(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.start("agent", sweep_id)
    pid_of(sandbox, "0001")
    Sweep.load(sweep_id, storage=sandbox.storage).stop()
    time.sleep(1.5)
    sandbox.write("go", "")
    code, out = end(agent)
    assert code == 0
    assert f"left sweep {sweep_id}: the sweep is stopped" in out
    assert states(sandbox, sweep_id) == [("finished", "")]


def test_pause_and_resume(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1, 2]}})
    agent = sandbox.start("agent", sweep_id)
    pid_of(sandbox, "0001")
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    sweep.pause()
    sandbox.write("go", "")
    wait_until(lambda: sweep.runs[0].state == "finished", "the run to finish")
    time.sleep(1.2)
    assert len(sweep.runs) == 1
    assert agent.poll() is None
    sweep.resume()
    assert end(agent)[0] == 0
    assert states(sandbox, sweep_id) == [("finished", "")] * 2


def test_ctrl_c_on_a_terminal_reaches_the_agent_only(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW, parameters={"x": {"values": [1]}})
    ours, theirs = pty.openpty()
    sandbox.environment |= {"TERM": "xterm-256color", "LINES": "24"}
    agent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, termios\n"
            "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
            "from lightsweep.cli import main\n"
            f"sys.exit(main(['agent', {sweep_id!r}]))",
        ],
        cwd=sandbox.directory,
        env=sandbox.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        with suppress(OSError):  # the other end has closed
            while chunk := os.read(ours, 65536):
                seen.extend(chunk)

    def text() -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode(errors="ignore"))

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: re.search(r"0001 +running +1 +1 +1 ", text()), "the row of the run")
    os.write(ours, b"\x03")
    wait_until(lambda: "waiting for the running run to end" in text(), "the answer to Ctrl-C")
    sandbox.write("go", "")
    assert agent.wait(PATIENCE_SECONDS) == 130
    reader.join()
    os.close(ours)
    assert f"sweep {sweep_id} running: 1 running of 1" in text()
    assert "run 0001 finished: best loss 0.5 in 2 iterations" in text()
    assert "best run 0001: loss 0.5" in text()


def test_the_reader_of_the_agents_lines_may_leave(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(QUICK)
    command = f"{sys.executable} -m lightsweep agent {sweep_id} | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=sandbox.directory,
        env=sandbox.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.stdout == "run 0001 started: x=1\n"
    assert done.stderr == ""
    assert states(sandbox, sweep_id) == [("finished", "")] * 3


def unread(sandbox: Sandbox, *arguments: str) -> int:
    """The exit code of a command whose output has lost its reader before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    command = sandbox.start(*arguments, stdout=writing, stderr=writing)
    os.close(writing)
    return command.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("script", "state", "code"), [(QUICK, "finished", 0), ("import sys; sys.exit(3)", "failed", 1)]
)
def test_a_sweep_that_nobody_reads_along_runs_to_its_end(sandbox: Sandbox, script: str, state: str, code: int) -> None:
    sandbox.write("train.py", script)
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"
    )
    assert unread(sandbox, "run", "sweep.yaml") == code
    (sweep,) = Sweep.all(storage=sandbox.storage)
    assert [run.state for run in sweep.runs] == [state] * 2


def test_a_command_that_nobody_reads_ends_as_if_it_were_read(sandbox: Sandbox) -> None:
    sandbox.write("train.py", "print('no channel')")
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"
    )
    sweep_id = sandbox.sweep()
    assert unread(sandbox, "check", "sweep.yaml", "--smoke") == 1
    assert unread(sandbox, "check", "sweep.yaml") == 0
    assert unread(sandbox, "status", sweep_id) == 0
    assert unread(sandbox, "status", "nosuchid") == 2
    assert unread(sandbox, "sweep", sweep_id, "--stop") == 0
    assert Sweep.load(sweep_id, storage=sandbox.storage).state.name == "stopped"


def work_together(sandbox: Sandbox, agents: int, **config: Any) -> list[Any]:
    sweep_id = sandbox.sweep(QUICK, **config)
    started = [sandbox.start("agent", sweep_id) for _ in range(agents)]
    for agent in started:
        out, _ = agent.communicate(timeout=200)
        assert agent.returncode == 0, out
    assert Sweep.load(sweep_id, storage=sandbox.storage).state.name == "finished"
    return sandbox.runs(sweep_id)


@pytest.mark.slow
def test_eight_agents_on_a_grid(sandbox: Sandbox) -> None:
    runs = work_together(sandbox, 8, parameters={"x": {"values": list(range(12))}, "y": {"values": list(range(5))}})
    assert [run.state for run in runs] == ["finished"] * 60
    assert len({(run.config["x"], run.config["y"]) for run in runs}) == 60
    assert len({run.agent for run in runs}) > 1


@pytest.mark.slow
def test_eight_agents_and_a_cap(sandbox: Sandbox) -> None:
    runs = work_together(sandbox, 8, method="random", run_cap=25, parameters={"x": {"min": 0.0, "max": 1.0}})
    assert [run.state for run in runs] == ["finished"] * 25
    assert [run.id for run in runs] == [f"{number:04d}" for number in range(1, 26)]
