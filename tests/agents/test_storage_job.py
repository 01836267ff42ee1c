"""A storage as a job: found if it runs, else submitted, and waited for, with an engine that is scripted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sandboxes import SLOW_KILL

from lightsweep.agents import storage_job
from lightsweep.agents.engines import AgentJob, JobState
from lightsweep.agents.engines.local import LocalEngine
from lightsweep.agents.engines.slurm import SlurmEngine, storage_script
from lightsweep.agents.storage_job import start_storage, storage_command, storage_plan
from lightsweep.cli.main import main
from lightsweep.errors import LightsweepError, StorageError, UsageError
from lightsweep.storage.url import default_url, write_url


class Scripted:
    """An engine whose job goes through states, one for each look; at the end of them it is gone."""

    def __init__(self, jobs: Sequence[AgentJob], ready: str = "") -> None:
        self._jobs = list(jobs)
        self._ready = ready
        self.submitted: list[Sequence[str]] = []

    def submit_storage(self, directory: Path, command: Sequence[str]) -> str:
        (directory / "job-7.out").write_text("no room\n")
        self.submitted.append(command)
        return "7"

    def storage_job(self, directory: Path) -> AgentJob | None:
        if not self.submitted and self._ready != "runs":
            return None
        if len(self._jobs) == 1 and self._ready:
            write_url(directory / "url", os.environ["TEST_URL"])
        return self._jobs.pop(0) if self._jobs else None


class Opened:
    """A storage that is open, if the URL is that of the test."""

    def __init__(self, url: str) -> None:
        if url != os.environ["TEST_URL"]:
            raise StorageError("another program")

    def close(self) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory, and a port that answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(storage_job, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(storage_job, "check_access", lambda *_: None)  # pytest's directory is closed to other users
    monkeypatch.setattr(storage_job, "open_storage", Opened)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    monkeypatch.setenv("LIGHTSWEEP_STORAGE_FILE", "set, so that it is restored")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("TEST_URL", f"postgresql://lightsweep:secret@127.0.0.1:{server.getsockname()[1]}/sweeps")
        yield tmp_path


QUEUED = AgentJob("7", JobState.QUEUED, reason="Priority")
RUNNING = AgentJob("7", JobState.RUNNING, node="n3")


def test_it_is_submitted_and_waited_for_and_is_the_default_then(place: Path) -> None:
    engine = Scripted([QUEUED, QUEUED, RUNNING, RUNNING], "later")
    told: list[str] = []
    start_storage(engine, "far", told.append)  # type: ignore[arg-type]
    assert told == [
        "submitted the storage as job 7 on far; Ctrl-C ends this wait, not the job",
        "waiting for the storage: job 7 is queued (Priority)",
        "waiting for the storage: job 7 is running on n3",
        "the storage is ready",
    ]
    assert default_url() == os.environ["TEST_URL"]
    assert engine.submitted == [storage_command(place / "lightsweep_storage")]
    assert "secret" not in " ".join(engine.submitted[0])


def test_one_that_answers_is_used_as_it_is(place: Path) -> None:
    (place / "lightsweep_storage").mkdir()
    write_url(place / "lightsweep_storage" / "url", os.environ["TEST_URL"])
    engine = Scripted([])
    start_storage(engine, "far", pytest.fail)  # type: ignore[arg-type]
    assert engine.submitted == []
    assert default_url() == os.environ["TEST_URL"]


def test_another_program_on_its_port_is_not_taken_for_it(place: Path) -> None:
    (place / "lightsweep_storage").mkdir()
    write_url(place / "lightsweep_storage" / "url", os.environ["TEST_URL"].replace("secret", "old"))
    engine = Scripted([QUEUED, RUNNING], "later")
    start_storage(engine, "far", [].append)  # type: ignore[arg-type]
    assert len(engine.submitted) == 1
    assert default_url() == os.environ["TEST_URL"]


def test_a_job_from_before_is_waited_for(place: Path) -> None:
    """The same command goes on after Ctrl-C."""
    (place / "lightsweep_storage").mkdir()
    engine = Scripted([QUEUED, RUNNING], "runs")
    told: list[str] = []
    start_storage(engine, "far", told.append)  # type: ignore[arg-type]
    assert engine.submitted == []
    assert told[0] == "waiting for the storage: job 7 is queued (Priority)"


def test_a_job_that_fails_is_told_with_its_last_words(place: Path) -> None:
    with pytest.raises(LightsweepError, match=r"(?s)^job 7 of the storage has ended before it was ready.*\nno room$"):
        start_storage(Scripted([QUEUED]), "far", [].append)  # type: ignore[arg-type]


def test_not_every_engine_runs_one(place: Path) -> None:
    assert SlurmEngine("abc").runs_storage
    with pytest.raises(UsageError, match=r"--with-storage: local runs no storage as a job\n.*lightsweep storage serve"):
        storage_plan(LocalEngine("abc"), "local")
    assert not (place / "lightsweep_storage").exists()


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ((), []),
        (("--partition=gpu", "--gres=gpu:1", "--time=1:00"), ["--partition=gpu"]),
        (("-p", "gpu", "-A", "my project"), ["--partition=gpu", '"--account=my project"']),
        (("-pgpu", "--account", "p", "--qos=low"), ["--partition=gpu", "--account=p", "--qos=low"]),
    ],
)
def test_its_job_on_slurm_is_where_the_agents_are(options: tuple[str, ...], taken: list[str]) -> None:
    script = storage_script(Path("/data/my sweeps/lightsweep_storage"), ["python", "a b"], options)
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    directives = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert directives[1] == '"--chdir=/data/my sweeps"'
    assert directives[directives.index("--signal=B:USR1@60") + 1 :] == taken
    assert "unset LIGHTSWEEP_STORAGE LIGHTSWEEP_STORAGE_FILE" in lines
    assert "    python 'a b' &" in lines


SWEEP = "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1]}}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "local"], "--with-storage: local runs no storage as a job"),
        (["--on", "slurm", "--storage", "x.db"], "--with-storage starts a storage, so leave out --storage"),
        ([], "--with-storage: name the engine that runs the storage, such as --on slurm"),
        (["--on", "slurm", "--nodes-per-run", "2", "--jobs-per-agent", "2"], "leave out --jobs-per-agent"),
        (["--on", "slurm", "--gpus-per-run", "0.5"], "--gpus-per-run 0.5: on Slurm, a run can only have whole GPUs"),
        (["--on", "slurm", "--", "--array=0-9"], "the option '--array=0-9' is set by lightsweep"),
    ],
)
def test_launch_refuses_before_anything_is_made(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (place / "sweep.yaml").write_text(SWEEP)
    (place / "train.py").touch()
    assert main(["launch", "sweep.yaml", "--with-storage", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["sweep.yaml", "train.py"]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a job script as Slurm does, with commands of Slurm that note how they are called."""
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho scontrol "$@"\n')
    (tmp_path / "squeue").write_text(f"#!/bin/sh\ncat {tmp_path}/queue; : > {tmp_path}/queue\n")
    for name in ("scontrol", "squeue"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "queue").touch()
    started: list[subprocess.Popen[str]] = []

    def run(server: str, **variables: str) -> subprocess.Popen[str]:
        script = storage_script(tmp_path / "storage", ["bash", "-c", server], ())
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", **variables}
        started.append(subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


SERVER = "trap 'builtin kill $!; echo stopped; exit 0' TERM; echo ready; sleep 60 & wait"


@pytest.mark.parametrize(
    ("sent", "last"),
    [
        (signal.SIGTERM, ["stopped"]),  # by scancel, even if agents are in the queue
        (
            signal.SIGUSR1,
            ["stopped", "lightsweep: the time of this job is nearly over; it is queued again", "scontrol requeue 7"],
        ),
    ],
)
def test_its_job_ends_the_server_and_is_queued_again_at_the_time_limit(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path, sent: int, last: list[str]
) -> None:
    (tmp_path / "queue").write_text("lightsweep-abc\n")
    process = job(SERVER)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(sent)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output.splitlines()) == (0, last)


def test_the_code_of_a_server_that_ends_while_the_shell_handles_the_signal_counts(
    job: Callable[..., subprocess.Popen[str]],
) -> None:
    process = job(SERVER, **SLOW_KILL)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "stopped\n"
    assert process.returncode == 0


def test_its_server_starts_again_while_agents_are_in_the_queue(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "queue").write_text("another-job\nlightsweep-abc\n")
    process = job("echo idle")
    assert process.communicate(timeout=20)[0] == "idle\nidle\n"
    assert process.returncode == 0
    (tmp_path / "queue").write_text("lightsweep-abc\n")
    process = job("echo failed; exit 3")
    assert process.communicate(timeout=20)[0] == "failed\n"
    assert process.returncode == 3


@pytest.mark.parametrize(("sent", "again"), [("TERM", False), ("USR1", True)])
def test_its_server_does_not_start_again_if_the_job_is_told_to_end_while_it_looks_at_the_queue(
    job: Callable[..., subprocess.Popen[str]], tmp_path: Path, sent: str, again: bool
) -> None:
    (tmp_path / "squeue").write_text(f"#!/bin/sh\nkill -{sent} $PPID\necho lightsweep-abc\n")
    output, _ = job("echo idle").communicate(timeout=20)
    assert output.count("idle") == 1
    assert ("scontrol requeue 7" in output) == again
