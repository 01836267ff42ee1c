"""Start scripts warm and cold, and compare."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from lightsweep.agents.launchers.process import RunProcess, Started, run_environment, start_command
from lightsweep.agents.reaper import MARK, Reaper
from lightsweep.agents.warm.templates import Templates

TOKEN = f"{os.getpid():x}".rjust(64, "a")
"""What marks the runs of this process: a run's end kills all that has its token, also of another process of pytest."""


class Starter:
    """Starts scripts of a directory, warm and cold.

    Attributes:
        remarks: What was said about how runs start.
        options: Options of the interpreter.
        variables: More variables of the runs.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.remarks: list[str] = []
        self.options: list[str] = []
        self.variables: dict[str, str] = {}
        self.reaper = Reaper()
        self.templates = Templates(self.reaper, self.remarks.append)

    def write(self, name: str, source: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def install(self, name: str, source: str) -> Path:
        """Make an installed module."""
        self.variables["PYTHONPATH"] = str(self.directory / "site-packages")
        return self.write(f"site-packages/{name}.py", source)

    def start(self, words: list[str], warm: bool, token: str = TOKEN) -> RunProcess:
        """Start ``python WORDS``."""
        output = self.directory / f"{'warm' if warm else 'cold'}.log"
        output.unlink(missing_ok=True)

        def fork(command: object, environment: object, sink: object) -> Started:
            found = self.templates.start(command, environment, sink)  # type: ignore[arg-type]
            assert found is not None, self.remarks
            return found

        environment = {**run_environment(), **self.variables, MARK: token}
        command = ["/usr/bin/env", sys.executable, *self.options, *words]
        return RunProcess(command, environment, output, starting=fork if warm else start_command)

    def run(self, words: list[str], warm: bool) -> tuple[int, str]:
        """Return exit code and output."""
        status = self.start(words, warm).wait()
        return status.exit_code, (self.directory / f"{'warm' if warm else 'cold'}.log").read_text()

    def both(self, source: str, *arguments: str, name: str = "train.py") -> tuple[int, str]:
        """Run a script cold and twice warm, and return what all of them gave."""
        self.write(name, source)
        cold = self.run([name, *arguments], False)
        for _ in range(2):
            warm = self.run([name, *arguments], True)
            assert warm == cold, f"warm: {warm[0]}\n{warm[1]}\ncold: {cold[0]}\n{cold[1]}"
        assert self.remarks[-1].startswith("runs start warm")
        return cold

    def reason(self, *command: str) -> str:
        """Return why a command starts cold, and check that it does."""
        environment = {**run_environment(), **self.variables, MARK: "ab" * 32}
        with (self.directory / "none.log").open("wb") as sink:
            assert self.templates.start(command, environment, sink) is None
        assert (self.directory / "none.log").read_bytes() == b""
        return self.remarks[-1].removeprefix("runs start cold: ")

    def close(self) -> None:
        self.templates.close()
        self.reaper.close()
