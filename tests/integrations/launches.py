"""Trainings in real processes, launched as users launch them, with an agent whose answers are scripted."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightsweep.channel.server import ChannelServer
from scripted import ScriptedHandler

__all__ = ["LAUNCHERS", "SCRIPTS", "Launch", "processes_of", "torchrun"]

SCRIPTS = Path(__file__).parent / "scripts"
BIN = Path(sys.executable).parent
# On CPUs alone accelerate would want mpirun; with its launcher for GPUs the script keeps to CPUs by itself.
_ACCELERATE = [
    *(str(BIN / "accelerate"), "launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"),
    *("--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"),
]


def torchrun(script: str, *arguments: str) -> list[str]:
    """The command that starts a script of this directory on two processes."""
    begin = [str(BIN / "torchrun"), "--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    return [*begin, str(SCRIPTS / script), *arguments]


def _python(*arguments: str) -> list[str]:
    return [sys.executable, str(SCRIPTS / arguments[0]), *arguments[1:]]


LAUNCHERS: Mapping[str, list[str]] = {
    "lightning-ddp": _python("lightning_ranks.py", "ddp"),
    "lightning-spawn": _python("lightning_ranks.py", "ddp_spawn"),
    "lightning-fork": _python("lightning_ranks.py", "ddp_fork"),
    "lightning-single": _python("lightning_ranks.py", "auto", "1"),
    "transformers-torchrun": torchrun("transformers_ranks.py"),
    "transformers-accelerate": [*_ACCELERATE, str(SCRIPTS / "transformers_ranks.py")],
    "accelerate-torchrun": torchrun("accelerate_ranks.py"),
    "plain-torchrun": torchrun("plain_ranks.py"),
}
"""The command that starts each kind of training, on two processes unless it is called single."""


def processes_of(run_id: str) -> dict[int, str]:
    """The living processes that an agent, or a process of the run, has started for it, in whatever session."""
    mark = f"LIGHTSWEEP_RUN={run_id}".encode()
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end meanwhile
            zombie = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if mark in (path / "environ").read_bytes().split(b"\0") and not zombie:
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


class Launch:
    """One training with its channel; a context manager that leaves no process behind.

    ``answer`` has further keys of the agent's answer to ``start``, ``asks`` what the environment asks the script for.
    """

    def __init__(
        self,
        directory: Path,
        launcher: str,
        *,
        stop_at: int | None = None,
        run_id: str = "",
        answer: Mapping[str, Any] | None = None,
        handler_class: type[ScriptedHandler] = ScriptedHandler,
        **asks: str,
    ) -> None:
        self.directory = directory
        self.run_id = run_id or f"test-{secrets.token_hex(4)}"
        metric = "eval_score" if launcher.startswith("transformers") else "val_loss"
        self.metric = metric
        answer = {"metric": metric, "dir": str(directory), "id": self.run_id, **(answer or {})}
        self.handler = handler_class(stop_at=stop_at, **answer)
        self.server = ChannelServer()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")},
            **self.server.register(self.run_id, self.handler),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "CUDA_VISIBLE_DEVICES": "",
            **asks,
        }
        directory.mkdir(parents=True, exist_ok=True)
        self.output = directory / "output.log"
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                LAUNCHERS[launcher],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.close()
        for pid in processes_of(self.run_id):
            with suppress(ProcessLookupError):  # it may end meanwhile
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 240.0) -> int:
        """The exit code; fails where the training hangs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"hangs: {processes_of(self.run_id)}\n{self.text}") from None

    def all_gone(self, seconds: float) -> float:
        """Wait until no process of the run is left; how long it took."""
        begun = time.monotonic()
        while left := processes_of(self.run_id):
            assert time.monotonic() < begun + seconds, f"left after {seconds} s: {left}\n{self.text}"
            time.sleep(0.05)
        self.process.wait()
        return time.monotonic() - begun

    def until(self, logs: int, seconds: float = 180.0) -> None:
        """Wait for a number of reports."""
        deadline = time.monotonic() + seconds
        while len(self.handler.logs) < logs:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    @property
    def text(self) -> str:
        """The output."""
        return self.output.read_text(errors="replace")

    @property
    def reported(self) -> list[float]:
        """The values of the metric, as the agent got them."""
        return [log["metrics"][self.metric] for log in self.handler.logs if self.metric in log["metrics"]]

    def notes(self) -> list[list[str]]:
        """The steps of each rank, in order."""
        return [path.read_text().splitlines() for path in sorted(self.directory.glob("rank*.txt"))]
