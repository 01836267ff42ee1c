"""A run whose agent, another process, dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandboxes import wait_until

from scripted import ScriptedHandler

AGENT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from scripted import ScriptedHandler
from lightsweep.channel.server import ChannelServer
server = ChannelServer()
print(json.dumps(server.register("0007", ScriptedHandler())), flush=True)
time.sleep(60)
"""


# The script has to end without help, after any time on a busy machine.
PATIENT = "from lightsweep.client import processes\nprocesses.GRACE_SECONDS = 60\n"


@pytest.fixture
def agent() -> Iterator[subprocess.Popen[str]]:
    """An agent process that can be killed; its first line is the environment of the run."""
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, str(Path(__file__).parents[1])], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.variables = json.loads(process.stdout.readline())
        yield process
        process.kill()
        shutil.rmtree(Path(process.variables["LIGHTSWEEP_CHANNEL"]).parent, ignore_errors=True)


def start(source: str, variables: dict[str, str], *, session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=session,
    )


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(errors: str) -> None:
    assert errors.startswith("lightsweep: the agent that serves run '0007' is gone")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("logs", [False, True])
def test_what_the_script_has_started_is_ended_with_it(agent, logs):
    with start(
        f"""
        import subprocess, time, lightsweep
        from lightsweep.client import processes
        processes.GRACE_SECONDS = processes.TERM_SECONDS = 0.2
        run = lightsweep.init()
        print(subprocess.Popen(["sleep", "300"]).pid, flush=True)
        while True:
            time.sleep(0.05)
            if {logs}:
                run.log({{"val_loss": 1.0}})
        """,
        agent.variables,
        session=True,
    ) as run:
        child = int(run.stdout.readline())
        assert lives(child)
        agent.kill()
        run.wait(timeout=30)
        wait_until(lambda: not lives(child), "the child to end", 10)


def test_a_run_that_ends_in_good_order_leaves_its_group_alone(server):
    with start(
        """
        import time, lightsweep
        from lightsweep.client import processes
        processes.GRACE_SECONDS = processes.TERM_SECONDS = 0.1
        with lightsweep.init() as run:
            run.log({"val_loss": 1.0})
        print("over", flush=True)
        time.sleep(1)
        print("still here", flush=True)
        """,
        server.register("0007", ScriptedHandler()),
        session=True,
    ) as run:
        out, errors = run.communicate(timeout=120)
    assert out.splitlines() == ["over", "still here"]
    assert run.returncode == 0, errors


def test_a_script_that_does_not_log_is_ended_with_one_line(agent):
    with start(
        """
        import time, lightsweep
        lightsweep.init()
        print("ready", flush=True)
        time.sleep(60)
        """,
        agent.variables,
    ) as run:
        assert run.stdout.readline() == "ready\n"
        agent.kill()
        _, errors = run.communicate(timeout=120)
    assert errors == (
        "lightsweep: the agent is gone; ending this run, another agent retries it; more: lightsweep help gone\n"
    )
    assert run.returncode == -signal.SIGTERM


def test_a_script_that_ignores_sigterm_is_ended_too(agent):
    with start(
        """
        import signal, time, lightsweep
        from lightsweep.client import processes
        processes.GRACE_SECONDS = processes.TERM_SECONDS = 0.1
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lightsweep.init()
        print("ready", flush=True)
        time.sleep(60)
        """,
        agent.variables,
    ) as run:
        assert run.stdout.readline() == "ready\n"
        agent.kill()
        run.communicate(timeout=120)
    assert run.returncode == -signal.SIGKILL


@pytest.mark.parametrize("block", ["with lightsweep.init() as run:", "run = lightsweep.init()\nif True:"])
def test_a_script_that_logs_ends_by_the_error_with_one_line(agent, block):
    with start(
        f"import time, lightsweep\n{PATIENT}{block}\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        run.log({'val_loss': 1})\n"
        "        time.sleep(0.01)\n",
        agent.variables,
    ) as run:
        assert run.stdout.readline() == "ready\n"
        agent.kill()
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 1
    assert_gone(errors)


def test_so_does_one_whose_agent_was_gone_before_init(agent):
    agent.kill()
    agent.wait()
    with start("import lightsweep\nlightsweep.init()\n", agent.variables) as run:
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 1
    assert_gone(errors)


def test_a_run_that_was_finished_outlives_its_release(server):
    with start(
        """
        import threading, lightsweep
        with lightsweep.init():
            print("ready", flush=True)
            input()
        print([thread.name for thread in threading.enumerate()], flush=True)
        input()
        """,
        server.register("0007", ScriptedHandler()),
    ) as run:
        assert run.stdout.readline() == "ready\n"
        run.stdin.write("\n")
        run.stdin.flush()
        assert run.stdout.readline() == "['MainThread']\n"
        server.unregister("0007")
        run.communicate("\n", timeout=120)
    assert run.returncode == 0
