"""The Slurm engine without a Slurm: its job script, run by bash, and commands that are written down here.

tests/clusters/test_slurm_cluster.py has the real ones.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sandboxes import SLOW_KILL, wait_until

from lightsweep.agents.engines import JobState, Launch, LostAnswerError, slurm
from lightsweep.agents.engines.slurm import SlurmEngine, agent_job
from lightsweep.errors import UsageError

LAUNCH = Launch("abc", 3, Path("/data/my sweeps"), variables={"LIGHTSWEEP_STORAGE": "postgresql://db/sweeps"})

Commands = Callable[..., Path]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Make commands of Slurm's from shell scripts, and no others; each notes its arguments and input in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(**scripts: str) -> Path:
        for name, script in scripts.items():
            log = tmp_path / f"{name}.log"
            (folder / name).write_text(f'#!/bin/bash\necho "$@" >> {log}\nenv >> {log}.env\n{script}\n')
            (folder / name).chmod(0o755)
        return tmp_path

    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("sbatch", "squeue", "scontrol", "scancel"):  # also where Slurm is installed
        make(**{name: "echo 'this test has none' >&2; exit 1"})
    return make


def lines(script: str) -> list[str]:
    return script.splitlines()


def test_the_script_says_what_the_agents_need(commands: Commands) -> None:
    script = SlurmEngine("abc").script(
        replace(LAUNCH, cpus_per_run=1.5, jobs_per_agent=3, options=("-p", "gpu", "--comment=two words")), 30
    )
    assert lines(script)[:13] == [
        "#!/bin/bash",
        "#SBATCH --job-name=lightsweep-abc",
        "#SBATCH --array=0-2",
        '#SBATCH "--chdir=/data/my sweeps"',
        '#SBATCH "--output=/data/my sweeps/lightsweep_runs/abc/slurm-%A_%a.out"',
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@60",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=5",
        '#SBATCH -p gpu "--comment=two words"',
        "",
    ]
    assert "export LIGHTSWEEP_STORAGE=postgresql://db/sweeps" in lines(script)
    assert "-m lightsweep agent abc --jobs 3 --term-timeout 18 &" in script


def test_gpus_are_divided_among_the_runs_of_an_agent() -> None:
    engine = SlurmEngine("abc")
    one = engine.script(replace(LAUNCH, gpus_per_run=2), 30)
    assert "#SBATCH --gres=gpu:2" in lines(one)
    assert "--gpus" not in one
    several = engine.script(replace(LAUNCH, gpus_per_run=2, jobs_per_agent=4), 30)
    assert "#SBATCH --gres=gpu:8" in lines(several)
    assert " --gpus all --gpus-per-run 2" in several
    assert "--jobs" not in several, "the agent refuses it beside --gpus"
    nodes = engine.script(replace(LAUNCH, gpus_per_run=4, nodes_per_run=2), 30)
    assert {"#SBATCH --nodes=2", "#SBATCH --gres=gpu:2"} < set(lines(nodes))


def test_the_time_of_runs_to_end_follows_from_kill_wait(commands: Commands) -> None:
    engine = SlurmEngine("abc")
    commands(scontrol="echo 'KillWait                = 50 sec'", sbatch="")
    assert "--term-timeout 30 " in engine.plan(LAUNCH)
    commands(scontrol="exit 1")
    assert "--term-timeout 18 " in engine.plan(LAUNCH)
    own = engine.plan(replace(LAUNCH, agent_options=("--term-timeout", "5")))
    assert "--term-timeout 18 --term-timeout 5 &" in own, "the last one counts"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gpus_per_run": 0.5}, r"--gpus-per-run 0\.5: on Slurm, a run can only have whole GPUs"),
        ({"gpus_per_run": 3, "nodes_per_run": 2}, "3 GPUs of a run cannot be divided among 2 nodes"),
        ({"options": ("--array=0-9",)}, "'--array=0-9' is set by lightsweep: the number of agents is --agents"),
        ({"options": ("--time=1", "-Jmine")}, "'-Jmine' is set by lightsweep: status finds the agents by it"),
        ({"options": ("--clusters=far",)}, "'--clusters=far' names another cluster, whose agents status would not"),
        ({"options": ("-Mfar",)}, r"'-Mfar' names another cluster.*\nlaunch on a login node of that"),
        ({"options": ("--comment=a\n#SBATCH -x",)}, "has a line break"),
    ],
)
def test_what_slurm_cannot_do_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SlurmEngine("abc").script(replace(LAUNCH, **change), 30)  # type: ignore[arg-type]


def test_variables_of_sbatch_do_not_change_what_lightsweep_sets(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SBATCH_ARRAY_INX", "SBATCH_JOB_NAME", "SBATCH_CLUSTERS", "SBATCH_PARTITION"):
        monkeypatch.setenv(name, "mine")
    home = commands(sbatch="cat > /dev/null; echo 12", scontrol="")
    SlurmEngine("abc").submit(LAUNCH)
    given = (home / "sbatch.log.env").read_text()
    assert re.findall("SBATCH_[A-Z_]+", given) == ["SBATCH_PARTITION"]


def test_a_submission_without_an_answer_may_have_been_made(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands(sbatch="exec sleep 5", scontrol="")
    monkeypatch.setattr(slurm, "_COMMAND_SECONDS", 0.5)
    with pytest.raises(LostAnswerError, match=r"^slurm: sbatch did not end within 0\.5 s$"):
        SlurmEngine("abc").submit(LAUNCH)


def test_no_command_gets_the_url_of_the_storage(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", "postgresql://me:s3cret@db/sweeps")
    home = commands(sbatch="cat > /dev/null; echo '12;cluster'", scontrol="", squeue="", scancel="")
    engine = SlurmEngine("abc")
    assert engine.submit(replace(LAUNCH, variables={}, storage_file=Path("/data/url"))) == ["12_0", "12_1", "12_2"]
    assert engine.jobs() == []
    engine.stop("12_0")
    for name in ("sbatch", "scontrol", "squeue", "scancel"):
        assert "PATH=" in (home / f"{name}.log.env").read_text()
        assert "s3cret" not in (home / f"{name}.log.env").read_text()


def test_the_words_of_slurm_are_told(commands: Commands) -> None:
    engine = SlurmEngine("abc")
    commands(sbatch="echo 'sbatch: error: invalid partition specified: gp' >&2; exit 1")
    with pytest.raises(
        UsageError, match=r"^slurm: sbatch refuses: invalid partition specified: gp\nlist the partitions of"
    ):
        engine.plan(LAUNCH)
    with pytest.raises(UsageError, match=r"^slurm: squeue refuses: this test has none$"):
        engine.jobs()
    commands(scancel="echo 'scancel: error: Kill job error on job id 12_0: Invalid job id specified' >&2; exit 1")
    engine.stop("12_0")
    commands(scancel="echo 'scancel: error: Access/permission denied' >&2; exit 1")
    with pytest.raises(UsageError, match="permission denied"):
        engine.stop("12_0")


def test_a_machine_without_slurm_can_plan_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = SlurmEngine("abc")
    assert "#SBATCH --array=0-2" in engine.plan(LAUNCH)
    for call in (lambda: engine.submit(LAUNCH), engine.jobs):
        with pytest.raises(UsageError, match=r"this machine has no command 's(batch|queue)'; use a login node"):
            call()


def squeue_line(job: str, state: str, node: str, restarts: str, reason: str, output: str) -> str:
    cells = ((job, 40), (state, 20), (node, 200), (restarts, 10), (reason, 80), (output, 1000))
    return "".join(text.ljust(width) for text, width in cells)


@pytest.mark.parametrize(
    ("state", "restarts", "seen"),
    [
        ("PENDING", "0", JobState.QUEUED),
        ("PENDING", "1", JobState.PREEMPTED),
        ("RUNNING", "2", JobState.RUNNING),
        ("COMPLETING", "0", JobState.ENDING),
        ("SUSPENDED", "0", JobState.PREEMPTED),
    ],
)
def test_a_line_of_squeue(state: str, restarts: str, seen: JobState) -> None:
    job = agent_job(squeue_line("12_3", state, "n1", restarts, "None", "/data/a b/slurm-%A_%a.out"))
    assert (job.id, job.state, job.node, job.reason) == ("12_3", seen, "n1", "")
    assert job.output == "/data/a b/slurm-12_3.out"
    assert agent_job(squeue_line("12_3", state, "", restarts, "Resources", "x")).reason == "Resources"


# --- the job script, run by bash

ARRAY = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2"}
AGENT = """
import os, signal, sys, time
def leave(number, frame):
    print("agent got", signal.Signals(number).name, flush=True)
    time.sleep(0.3)
    sys.exit(int(os.environ.get("CODE", 128 + number)))
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGUSR1, leave)
print("agent began", flush=True)
if not os.environ.get("QUICK"):
    time.sleep(60)
elif os.environ["QUICK"] != "1":
    sys.exit(int(os.environ["QUICK"]))
"""


@pytest.mark.parametrize(
    ("number", "variables", "code", "queued_again"),
    [
        (signal.SIGUSR1, {"SECONDS": "11"}, 0, True),
        (signal.SIGUSR1, {"SECONDS": "0"}, 138, False),  # its time limit is too short
        (signal.SIGUSR1, {"SECONDS": "11", "CODE": "0"}, 0, False),  # it had ended by itself
        (signal.SIGUSR1, {"SECONDS": "11", "CODE": "0", **SLOW_KILL}, 0, False),
        (signal.SIGTERM, {}, 143, False),
        (None, {"QUICK": "1"}, 0, False),
        (None, {"QUICK": "85", "SECONDS": "31"}, 0, True),  # drained, with points left
        (None, {"QUICK": "85", "SECONDS": "0"}, 85, False),  # its drain is longer than its time limit
        (signal.SIGTERM, {"SECONDS": "31", "CODE": "85"}, 85, False),  # cancelled at that moment
        (signal.SIGUSR1, {"SECONDS": "31", "CODE": "85"}, 0, True),
    ],
)
def test_the_script_waits_for_the_agent_and_is_queued_again_at_its_time_limit(
    commands: Commands,
    tmp_path: Path,
    number: signal.Signals | None,
    variables: dict[str, str],
    code: int,
    queued_again: bool,
) -> None:
    commands(scontrol="")
    (tmp_path / "agent.py").write_text(AGENT)
    script = SlurmEngine("abc").script(LAUNCH, 30)
    command = next(line for line in lines(script) if line.endswith(" &"))
    path = tmp_path / "job.sh"
    path.write_text(script.replace(command, f"python3 {tmp_path}/agent.py &"))
    output = tmp_path / "output"
    with output.open("w") as opened:
        job = subprocess.Popen(
            ["bash", str(path)],
            env={**os.environ, **variables, "SLURM_JOB_ID": "77", **ARRAY},
            stdout=opened,
            stderr=subprocess.STDOUT,
        )
        wait_until(lambda: "agent began" in output.read_text(), "the agent")
        if number is not None:
            job.send_signal(number)
        assert job.wait(30) == code
    if number is not None:
        assert f"agent got {number.name}" in output.read_text()
    asked = (tmp_path / "scontrol.log").read_text() if (tmp_path / "scontrol.log").exists() else ""
    assert asked == ("requeue 77_2\n" if queued_again else "")
    assert ("the time of this job is nearly over; it is queued again" in output.read_text()) == queued_again
