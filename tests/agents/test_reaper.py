"""The runs and the reaper of an agent that is killed, and of one that ends normally."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sandboxes import wait_until

from lightsweep.agents import reaper as reaper_module
from lightsweep.agents.launchers.process import RunProcess
from lightsweep.agents.reaper import GRACE_SECONDS, MARK, Reaper, marked
from lightsweep.client import processes

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(180)"
OUTSIDE = (
    "import subprocess, sys\n"
    "source = 'import time; print(1, flush=True); time.sleep(180)'\n"
    "subprocess.Popen([sys.executable, '-c', source], start_new_session=True)"
)
AGENT = """
import os, sys, time
from pathlib import Path
from lightsweep.agents import reaper as reaper_module
from lightsweep.agents.launchers.process import RunProcess
from lightsweep.agents.reaper import Reaper
token, *sources = sys.argv[1:]
reaper = Reaper(0.3, 0.3)
environment = {**os.environ, "LIGHTSWEEP_TOKEN": token}
for number, source in enumerate(sources):
    process = RunProcess([sys.executable, "-c", source], environment, Path(f"{number}.log"))
    reaper.add(process.pid, process.token)
    print(process.pid, flush=True)
print(reaper._process.pid, flush=True)
time.sleep(180)
"""


def alive(pid: int) -> bool:
    """True if a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def agent(directory: Path, *sources: str, program: str = AGENT) -> tuple[subprocess.Popen[str], list[int]]:
    """An agent with runs that have begun; their processes, and the reaper's."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, secrets.token_hex(32), *sources],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(len(sources) + 1)]
    for number in range(len(sources)):
        wait_until((directory / f"{number}.log").read_text, "the run to begin")
    return process, pids


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    made = Reaper(0.3, 0.3)
    yield made
    made.close()


def pid_of(reaper: Reaper) -> int:
    assert reaper._process is not None
    return reaper._process.pid


def test_the_runs_of_a_killed_agent_end_though_they_never_called_init(tmp_path: Path) -> None:
    process, pids = agent(tmp_path, "import time; print('up', flush=True); time.sleep(180)", DEAF)
    with process:
        assert all(map(alive, pids))
        process.kill()
        wait_until(lambda: not any(map(alive, pids)), "the runs and the reaper to end")


def test_so_does_what_left_the_group_of_a_run(tmp_path: Path) -> None:
    source = OUTSIDE + "\nimport time; time.sleep(180)"
    process, (run, reaper) = agent(tmp_path, source)
    with process:
        (token,) = process.args[3:4]  # type: ignore[index]
        assert len(marked({str(token)})) == 2
        process.kill()
        wait_until(lambda: not alive(reaper), "the reaper to end")
    assert not alive(run)
    assert marked({str(token)}) == []


def test_it_gives_a_script_that_notices_by_itself_the_time_to_say_so() -> None:
    assert GRACE_SECONDS > processes.GRACE_SECONDS + 1


def test_it_starts_with_the_first_run_and_ends_with_the_agent(reaper: Reaper, tmp_path: Path) -> None:
    assert reaper._process is None
    run = RunProcess([sys.executable, "-c", "pass"], dict(os.environ), tmp_path / "output.log")
    reaper.add(run.pid, run.token)
    pid = pid_of(reaper)
    run.wait()
    reaper.remove(run.pid)
    assert alive(pid)
    reaper.close()
    assert not Path(f"/proc/{pid}").exists()  # nor is a zombie left
    reaper.add(run.pid, run.token)
    reaper.remove(run.pid)
    with pytest.raises(OSError, match="late"), reaper.starting("token"):
        raise OSError("late")
    reaper.close()
    assert pid_of(reaper) == pid


def test_a_run_in_whose_start_the_agent_was_killed_ends_too(tmp_path: Path) -> None:
    told = AGENT.replace(
        "    process = RunProcess(", "    (start := reaper.starting(token)).__enter__()\n    process = RunProcess("
    )
    process, pids = agent(tmp_path, DEAF, program=told.replace("reaper.add(process.pid, process.token)", "pass"))
    with process:
        process.kill()
        wait_until(lambda: not any(map(alive, pids)), "the run and the reaper to end")


def test_a_run_that_did_not_start_is_forgotten(reaper: Reaper) -> None:
    token = secrets.token_hex(32)
    with pytest.raises(OSError, match="no such program"), reaper.starting(token):
        raise OSError("no such program")
    with subprocess.Popen(["sleep", "180"], env={MARK: token}, start_new_session=True) as other:
        wait_until(lambda: marked({token}), "its token")
        reaper.close()
        wait_until(lambda: not alive(pid_of(reaper)), "the reaper to end")
        assert other.poll() is None
        other.kill()


def test_what_was_removed_is_left_alone(reaper: Reaper, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "180"], start_new_session=True) as other:
        reaper.add(other.pid, "")
        reaper.remove(other.pid)
        reaper.close()
        assert not Path(f"/proc/{pid_of(reaper)}").exists()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_it_outlives_what_a_scheduler_sends_to_every_process(tmp_path: Path, number: signal.Signals) -> None:
    process, pids = agent(tmp_path, DEAF)
    with process:
        *_, reaper = pids
        wait_until(lambda: _ignores(reaper, number), "the reaper to be up")
        os.kill(reaper, number)
        process.kill()
        wait_until(lambda: not any(map(alive, pids)), "the run to end")


def test_a_signal_while_it_imports_psutil_does_not_end_it(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    command = [sys.executable, reaper_module.__file__, "0", "0"]
    ended = subprocess.run(command, input="", env={"PYTHONPATH": str(tmp_path)}, text=True, check=False)
    assert ended.returncode == 0


def test_a_line_that_the_agent_was_killed_in_does_not_count() -> None:
    with (
        subprocess.Popen(["sleep", "180"], start_new_session=True) as first,
        subprocess.Popen(["sleep", "180"], start_new_session=True) as second,
    ):
        told = f"{first.pid}: {second.pid}:\n{first.pid}:"
        subprocess.run([sys.executable, reaper_module.__file__, "0", "0"], input=told, text=True, check=True)
        assert not alive(first.pid)
        survived = alive(second.pid)
        second.kill()
    assert not survived


def _ignores(pid: int, number: int) -> bool:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def test_one_that_was_killed_is_started_again_with_all_that_runs(reaper: Reaper) -> None:
    with (
        subprocess.Popen(["sleep", "180"], start_new_session=True) as first,
        subprocess.Popen(["sleep", "180"], start_new_session=True) as second,
    ):
        reaper.add(first.pid, "")
        before = pid_of(reaper)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: not alive(before), "the reaper to end")
        reaper.add(second.pid, "")
        assert pid_of(reaper) != before
        reaper.close()
        assert [run.wait(60) for run in (first, second)] == [-signal.SIGTERM] * 2
        wait_until(lambda: not alive(pid_of(reaper)), "the second one to end")


def links(pid: int) -> set[Path]:
    """What the open files of a process are; one may be closed meanwhile."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(path.readlink())
    return found


def test_neither_its_environment_nor_its_pipe_leads_to_a_run(
    reaper: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(MARK, "outer")
        patch.setenv("LIGHTSWEEP_STORAGE", "postgresql://me:secret@nowhere/db")
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        run = RunProcess(["sleep", "180"], environment, tmp_path / "output.log")
        reaper.add(run.pid, run.token)
    wait_until(lambda: Path(f"/proc/{pid_of(reaper)}/environ").read_bytes(), "the reaper to be up")
    assert b"LIGHTSWEEP" not in Path(f"/proc/{pid_of(reaper)}/environ").read_bytes()
    later = RunProcess(["sleep", "180"], environment, tmp_path / "output.log")
    pipe = Path(f"/proc/{pid_of(reaper)}/fd/0").readlink()
    assert pipe not in links(later.pid)
    for process in (run, later):
        process.kill()
        process.wait()
    reaper.remove(run.pid)
