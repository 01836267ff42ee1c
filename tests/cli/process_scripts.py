"""Scripts that agents run in processes of their own, and what tests ask of those."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

SLOW = """
    import os, time
    from pathlib import Path
    import lightsweep
    with lightsweep.init() as run:
        Path(f"pid-{run.number}-{int(run.resumed)}").write_text(str(os.getpid()))
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
    """True if a process runs; a zombie does not."""
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
