"""Processes of runs: their start, their output, and their end."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sandboxes import wait_until

from lightsweep.agents.launchers.process import Follower, ProcessLauncher, RunProcess, last_line
from lightsweep.channel.messages import LogReply
from lightsweep.errors import CommandError
from scripted import ScriptedHandler

Start = Callable[[str], RunProcess]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def run(source: str) -> RunProcess:
        return RunProcess(
            [sys.executable, "-u", "-c", textwrap.dedent(source)], dict(os.environ), tmp_path / "deep" / "output.log"
        )

    return run


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "output.log"


def test_exit_code_and_output(start: Start, output: Path) -> None:
    process = start(
        """
        import sys
        sys.stdout.buffer.write(bytes(range(256)))
        sys.stdout.flush()
        print("bad", file=sys.stderr)
        sys.exit(3)
        """
    )
    assert process.wait().exit_code == 3
    assert output.read_bytes() == bytes(range(256)) + b"bad\n"


class Slow(ScriptedHandler):
    def log(self, message: Any) -> LogReply:
        threading.Event().wait(0.5)
        return super().log(message)


class Posting(ProcessLauncher):
    """Starts a script that ends without waiting for the answer to its last report."""

    def command(self, run: Any, directory: Path) -> list[str]:
        del run, directory
        source = """
            import os
            from lightsweep.channel.connection import Connection
            from lightsweep.channel.messages import Numbers
            Connection.from_environment().post(Numbers(loss=1.0))
            os._exit(0)
            """
        return [sys.executable, "-c", textwrap.dedent(source)]


def test_what_a_process_has_sent_before_its_end_is_taken_in(tmp_path: Path) -> None:
    launcher, handler, run = Posting(), Slow(), SimpleNamespace(id="0001")
    try:
        job: Any = launcher.start(run, handler, tmp_path, {}, None)  # type: ignore[arg-type]
        assert job.wait().exit_code == 0
        assert handler.logs == [{"metrics": {"loss": 1.0}, "posted": True}]
    finally:
        launcher.close()


def test_attempts_stand_one_after_the_other(start: Start, output: Path) -> None:
    for word in ("one", "two"):
        start(f"print({word!r})").wait()
    assert output.read_text() == "one\ntwo\n"


def test_it_gets_no_input_and_its_own_group(start: Start, output: Path) -> None:
    process = start("import os, sys; print(repr(sys.stdin.read()), os.getpgid(0))")
    process.wait()
    assert output.read_text().split() == ["''", str(process.pid)]
    assert process.pid != os.getpgid(0)


def test_a_signal_is_a_negative_code(start: Start) -> None:
    assert start("import os; os.kill(os.getpid(), 11)").wait().exit_code == -signal.SIGSEGV


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot start 'no-such-thing': No such file"):
        RunProcess(["no-such-thing"], {}, tmp_path / "output.log")


def test_one_that_ignores_sigterm_is_killed_after_the_grace(start: Start, output: Path) -> None:
    process = start("import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)")
    wait_until(lambda: output.read_text() == "up\n", "the script")
    process.terminate(0.2)
    process.terminate(60)
    assert process.wait().exit_code == -signal.SIGKILL


def test_a_shell_that_ends_at_once_does_not_shorten_the_grace_of_its_child(start: Start, output: Path) -> None:
    process = start(
        """
        import os, signal, time
        if os.fork() == 0:
            def save(*_):
                time.sleep(2.5); print("saved"); os._exit(0)
            signal.signal(signal.SIGTERM, save)
            print("up")
            time.sleep(60)
        time.sleep(60)
        """
    )
    wait_until(lambda: output.read_text() == "up\n", "the child")
    process.terminate(30)
    assert process.wait().exit_code == -signal.SIGTERM
    assert output.read_text() == "up\nsaved\n"


def test_a_stopped_one_can_be_ended(start: Start, output: Path) -> None:
    process = start("import os, time; print('up'); os.kill(os.getpid(), 19); time.sleep(60)")
    wait_until(lambda: output.read_text() == "up\n", "the script")
    process.terminate(30)
    assert process.wait().exit_code == -signal.SIGTERM


def test_signals_after_its_end_hit_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("pass")
    process.wait()

    def refuse(*_: object) -> None:
        raise AssertionError("a signal was sent")

    monkeypatch.setattr(os, "killpg", refuse)
    process.terminate(0)
    process.kill()
    process.signal(signal.SIGUSR1)
    assert "lightsweep-killer" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("lightsweep: if the script ends without init(id=run.id)\n", ""),
        ("ValueError: bad\nlightsweep: run 7 stopped early: band 3\n\n", "ValueError: bad"),
        ("1\nlightsweep: the agent that serves run '7' is gone\n", "lightsweep: the agent that serves run '7' is gone"),
        ("1\nlightsweep: ERROR no data\n", "lightsweep: ERROR no data"),
        ("\n \n", ""),
    ],
)
def test_the_last_line_is_no_remark_of_ours(tmp_path: Path, text: str, last: str) -> None:
    (tmp_path / "output.log").write_text(text)
    assert last_line(tmp_path / "output.log") == last


def test_output_is_passed_on_in_bounded_memory(tmp_path: Path) -> None:
    """The file grows faster than it can be shown, without a line break."""
    path = tmp_path / "output.log"
    size = 2**28
    with path.open("wb") as file:
        file.truncate(size)
    sizes: list[int] = []
    tracemalloc.start()
    try:
        Follower(path, lambda text: sizes.append(len(text)), size // 2).close()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sizes) == size // 2
    assert max(sizes) <= 2**16
    assert most < 2**22
