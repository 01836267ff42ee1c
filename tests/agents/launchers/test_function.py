"""A function in a process of its own for each run: what that process gets, and what is left of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox, wait_until

SWEEP: dict[str, Any] = {"program": None, "parameters": {"x": {"values": [1]}}}
WORK = """
    import os, subprocess, sys, time
    from pathlib import Path
    import lightsweep

    def report():
        def read(path):
            return Path(path).read_text(errors="replace")
        with lightsweep.init() as run:
            child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True)
            Path("seen").write_text(f"{dict(os.environ)} {read('/proc/self/environ')} {child.stdout}")
            run.log({"loss": 1.0})

    def leave_a_worker():
        with lightsweep.init() as run:
            source = "import os, time; open('worker', 'w').write(str(os.getpid())); time.sleep(180)"
            subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.DEVNULL, start_new_session=True)
            while not (Path("worker").exists() and Path("worker").read_text()):
                time.sleep(0.02)
            run.log({"loss": 1.0})

    def never_call_init():
        Path("worker").write_text(str(os.getpid()))
        time.sleep(180)

    if __name__ == "__main__":
        lightsweep.agent(sys.argv[1], function=globals()[sys.argv[2]], isolate=True, count=1)
        print("after:", os.environ.get("LIGHTSWEEP_STORAGE"))
    """


def alive(pid: int) -> bool:
    """True if a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(sandbox: Sandbox, function: str) -> subprocess.Popen[str]:
    """An agent that calls the function for one run."""
    sweep_id = sandbox.sweep(**SWEEP)
    return subprocess.Popen(
        [sys.executable, str(sandbox.write("work.py", WORK)), sweep_id, function],
        cwd=sandbox.directory,
        env={**sandbox.environment, "LIGHTSWEEP_STORAGE": f"{sandbox.storage}?timeout=77"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_storage_is_kept_from_it(sandbox: Sandbox) -> None:
    with start(sandbox, "report") as agent:
        out, _ = agent.communicate()
    assert "run 0001 finished" in out
    seen = (sandbox.directory / "seen").read_text()
    assert "LIGHTSWEEP_TOKEN" in seen
    assert "LIGHTSWEEP_STORAGE" not in seen
    assert "timeout=77" not in seen
    assert f"after: {sandbox.storage}?timeout=77" in out


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="such processes are found by /proc")
def test_what_it_leaves_behind_is_gone_with_it(sandbox: Sandbox) -> None:
    with start(sandbox, "leave_a_worker") as agent:
        out, _ = agent.communicate()
    assert "run 0001 finished" in out
    assert not alive(int((sandbox.directory / "worker").read_text()))


def test_it_ends_with_an_agent_that_is_killed(sandbox: Sandbox) -> None:
    worker = sandbox.directory / "worker"
    with start(sandbox, "never_call_init") as agent:
        wait_until(lambda: worker.exists() and worker.read_text(), "the function to be called")
        agent.kill()
        wait_until(lambda: not alive(int(worker.read_text())), "the function's process to end")
