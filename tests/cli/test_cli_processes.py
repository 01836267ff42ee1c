"""Agents that are ended by Ctrl-C, a scheduler, or another command."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from process_scripts import SLOW, STUBBORN, alive, end, pid_of, states
from sandboxes import PATIENCE_SECONDS, Lateness, Sandbox, wait_until

from lightsweep import Sweep


def test_the_first_ctrl_c_waits(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.follow("agent", sweep_id)
    pid_of(sandbox, "0001")
    agent.interrupt("waiting for the running run to end; press Ctrl-C again to end it now")
    sandbox.write("go", "")
    code, out = agent.end()
    assert code == 130
    assert f"agent of sweep {sweep_id} ended: interrupted by Ctrl-C" in out
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
    assert f"run 0001 lost: the agent was told to end ({number.name}); an agent will retry it" in out
    assert not alive(pid)
    sandbox.write("go", "")
    code, _ = end(sandbox.start("agent", sweep_id))
    assert code == 0
    (run,) = sandbox.runs(sweep_id)
    assert (run.id, run.state, run.attempt, run.iterations) == ("0001", "finished", 2, 2)


def test_cancel_ends_what_runs(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(SLOW)
    agent = sandbox.start("agent", sweep_id, "--jobs", "2")
    pids = [pid_of(sandbox, run) for run in ("0001", "0002")]
    assert sandbox.ask("sweep", "--cancel", sweep_id).returncode == 0
    with Lateness() as late:
        began = time.monotonic()
        wait_until(lambda: not any(map(alive, pids)), "the runs to end")
        assert time.monotonic() - began < 5 + late.seconds
    code, out = end(agent)
    assert code == 0
    assert f"agent of sweep {sweep_id} ended: the sweep was cancelled" in out
    assert states(sandbox, sweep_id) == [("killed", "the sweep was cancelled")] * 2


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


@pytest.mark.slow
def test_a_terminal_without_the_characters_of_a_text_shows_escapes(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(
        """
        import os, sys
        import lightsweep
        bar = "Verlust: 100%|███| 3/3 [00:01<00:00, größe=…]"
        with lightsweep.init() as run:
            os.write(2, f"\\r{bar}".encode())  # as tqdm, whatever encoding Python has
            run.log({"loss": 1.0})
        """,
        name="größe …",
        parameters={"größe": {"values": ["…", "ü"]}},
    )
    sandbox.environment |= {"PYTHONIOENCODING": "ascii"}
    done = sandbox.call("agent", sweep_id)
    assert done.returncode == 0, done.stderr
    assert r"run 0001 started: gr\xf6\xdfe=\u2026" in done.stdout
    assert r"Verlust: 100%|\u2588\u2588\u2588| 3/3 [00:01<00:00, gr\xf6\xdfe=\u2026]" in done.stdout
    assert "\nrun 0001 finished: 1, 1 iteration, " in done.stdout
    assert [run.state for run in sandbox.runs(sweep_id)] == ["finished"] * 2
    for command in (["status", sweep_id], ["ls"], ["best", sweep_id], ["export", sweep_id], ["importance", sweep_id]):
        shown = sandbox.call(*command)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.isascii()
    assert r"gr\xf6\xdfe \u2026" in sandbox.call("ls").stdout


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
    wait_until(lambda: re.search(r"0001 +1 +▄ +1 ", text()), "the row of the run")
    os.write(ours, b"\x03")
    wait_until(lambda: "waiting for the running run to end" in text(), "the answer to Ctrl-C")
    sandbox.write("go", "")
    assert agent.wait(PATIENCE_SECONDS) == 130
    reader.join()
    os.close(ours)
    assert f"sweep {sweep_id}: running; 1 running" in text()
    assert "0001 finished: 0.5, 2 iterations" in text()
    assert "best loss 0.5 (run 0001)" in text()


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
        Path(f"pid-{run.number}-{int(run.resumed)}").write_text(str(os.getpid()))
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
