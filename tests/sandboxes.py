"""A directory with a sweep file and a training script, and the command line of lightsweep in it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

__all__ = ["Followed", "Lateness", "Sandbox", "powerless", "wait_until"]

PATIENCE_SECONDS = 180.0
"""For what takes a few seconds on a quiet machine."""


def wait_until(true: Callable[[], object], what: str, seconds: float = 60.0, *, strict: bool = True) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            assert not strict, f"waited {seconds} s for {what}"
            return
        time.sleep(0.02)


class Lateness:
    """The lateness of a busy machine in seconds, summed over a thread that sleeps briefly again and again.

    A promise within some seconds holds only if the machine has the time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._doze)

    def _doze(self) -> None:
        while not self._over.is_set():
            due = time.monotonic() + 0.02
            self._over.wait(0.02)
            self.seconds += max(0.0, time.monotonic() - due)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def powerless(directory: Path) -> Iterator[None]:
    """Without the right to write to the directory and its files: root becomes nobody, others take it away."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    directory.chmod(0o555)
    try:
        yield
    finally:
        directory.chmod(0o755)


class Followed:
    """A command whose lines are read while it runs, so that a test can wait for them."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, words: str) -> None:
        """Wait for these words in the output."""
        wait_until(lambda: words in self.said or self.process.poll() is not None, words)
        assert words in self.said

    def interrupt(self, answer: str) -> None:
        """Press Ctrl-C, and wait for the answer: two that come together count as one."""
        self.process.send_signal(signal.SIGINT)
        self.until(answer)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the whole output."""
        return self.process.wait(PATIENCE_SECONDS), self.said


class Sandbox:
    """A directory with a sweep file and a script, and the command line of lightsweep in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")},
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
        }
        self._started: list[subprocess.Popen[str]] = []

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        return path

    def sweep(self, script: str | None = None, **config: Any) -> str:
        """Write ``train.py`` and create a sweep of it; return its id. Without a config it is a grid of three points."""
        from lightsweep import Sweep

        if script is not None:
            self.write("train.py", script)
        raw = {
            "program": "train.py",
            "method": "grid",
            "metric": {"name": "loss"},
            "parameters": {"x": {"values": [1, 2, 3]}},
            **config,
        }
        return Sweep.create(raw, storage=self.storage).id

    @property
    def storage(self) -> str:
        return f"sqlite:///{self.directory}/lightsweep.db"

    def runs(self, sweep_id: str) -> list[Any]:
        from lightsweep import Sweep

        return Sweep.load(sweep_id, storage=self.storage).runs

    def start(
        self, *arguments: str, python: Sequence[str] = ("-m", "lightsweep"), **options: Any
    ) -> subprocess.Popen[str]:
        """Start a command as a process; ``python``: what Python runs."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        process = subprocess.Popen(
            [sys.executable, *python, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            text=True,
            **options,
        )
        self._started.append(process)
        return process

    def follow(self, *arguments: str) -> Followed:
        """Start a command as a process, and read its lines while it runs."""
        log = self.directory / f"said-{len(self._started)}.log"
        with log.open("wb") as sink:
            return Followed(self.start(*arguments, stdout=sink), log)

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, where one that only shows or changes something takes no second to start."""
        from lightsweep.cli import main

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with patch.dict(os.environ, self.environment, clear=True), redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        said = [stream.detach().getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(["lightsweep", *arguments], code, *said)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process, and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "lightsweep", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def status(self, sweep_id: str) -> dict[str, Any]:
        done = self.call("status", sweep_id, "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


SLOW_KILL = {"BASH_FUNC_kill%%": '() { builtin kill "$@"; local code=$?; sleep 0.6; return $code; }'}
"""The variable with which bash takes 0.6 s for each ``kill``, so that what it kills ends before the next line."""
