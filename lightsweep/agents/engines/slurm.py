"""Run agents as an array of Slurm jobs, by the commands that every Slurm has: sbatch, squeue, scontrol and scancel."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from lightsweep.agents.active_run import RUNS
from lightsweep.agents.drain import DRAINED
from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch, LostAnswerError
from lightsweep.errors import UsageError
from lightsweep.storage.url import URL_VARIABLE, VARIABLES
from lightsweep.text import number

_COMMAND_SECONDS = 60.0
_KILL_WAIT_SECONDS = 30  # Slurm's default
_SHARE_FOR_RUNS = 0.6
"""The share of KillWait that runs have to end; the agent records their ends in the rest."""

_WARNING_SECONDS = 60
"""Slurm warns so long before a job's time limit; it may do so up to a minute earlier."""

_LEAST_SECONDS = 10
"""A job that was warned sooner is not queued again: it would go on so for ever, and do nothing."""

_LEAST_DRAINED_SECONDS = 30
"""The same for a job whose agent has left by its drain, which takes the time of a start."""

_REFUSED = {
    ("--array", "-a"): "is set by lightsweep: the number of agents is --agents",
    ("--job-name", "-J"): "is set by lightsweep: status finds the agents by it",
    ("--wrap",): "is set by lightsweep: the job runs an agent",
    ("--parsable",): "is set by lightsweep: its output is read",
    ("--clusters", "-M"): "names another cluster, whose agents status would not find\n"
    "launch on a login node of that cluster",
}
"""Options of sbatch that a launch may not have, by their names."""

_UNREAD = {"SBATCH_ARRAY_INX", "SBATCH_JOB_NAME", "SBATCH_CLUSTERS"}
"""Variables that sbatch would take before the options of the job script."""

_REMEDIES = {
    "invalid partition": "list the partitions of this cluster: sinfo --summarize",
    "invalid job array": "an array holds fewer agents here, see MaxArraySize in `scontrol show config`; launch twice",
    "node configuration is not available": "no node has that much; list cores, MB and GPUs: sinfo -o '%P %c %m %G'",
    "unable to contact slurm controller": "the cluster's controller does not answer; try again later",
}
"""What to do about words of Slurm's."""

# The fields of squeue that tell of an agent, each with its width: it cuts what is longer.
_FIELDS = {"JobArrayID": 40, "State": 20, "NodeList": 200, "RestartCnt": 10, "Reason": 80, "STDOUT": 1000}
_STATES = {
    "PENDING": JobState.QUEUED,
    "CONFIGURING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "SUSPENDED": JobState.PREEMPTED,
    "PREEMPTED": JobState.PREEMPTED,
    "REQUEUED": JobState.PREEMPTED,
    "REQUEUE_FED": JobState.PREEMPTED,
    "REQUEUE_HOLD": JobState.PREEMPTED,
    "SPECIAL_EXIT": JobState.PREEMPTED,
}

# The id of one job of an array is also that of the whole array, and a requeue by it would end all of its agents.
# Slurm ends a job by SIGTERM to all of its processes, and by SIGKILL after KillWait. The shell has to outlive the
# agent, so it traps SIGTERM. USR1 is for the shell alone; bash acts on a signal while it waits, not in a command.
_BODY = """\
warned=
ended=
agent=
trap 'warned=yes; kill -USR1 "$agent" 2>/dev/null' USR1
trap 'ended=yes; kill -TERM "$agent" 2>/dev/null' TERM
{command} &
agent=$!
if [ -n "$warned" ]; then kill -USR1 "$agent"; fi
while kill -0 "$agent" 2>/dev/null; do
    wait "$agent"  # until it ends or a signal comes
done
wait "$agent"  # bash still knows its code
code=$?
if [ -n "$warned" ] && [ "$code" -eq $((128 + $(kill -l USR1))) ]; then
    least={least}
    short="Slurm warned of the time limit at the start of this job"
    or="a later warning, such as --signal=B:USR1@30"
elif [ -z "$ended" ] && [ "$code" -eq {drained} ]; then
    least={least_drained}
    short="--drain leaves no time for runs in this job"
    or="a shorter --drain"
else
    exit "$code"
fi
if [ "$SECONDS" -lt "$least" ]; then
    echo "lightsweep: $short, which is not queued again"
    echo "give it more time, such as --time=1:00:00, or $or"
    exit "$code"
fi
echo "lightsweep: the time of this job is nearly over; it is queued again"
scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" && exit 0
echo "lightsweep: Slurm did not queue the job again; the other agents go on with the sweep"
exit "$code"
"""

# Options of sbatch that say where and for whom a job runs; the others are for the agents, such as GPUs.
_PLACE = {"account": "A", "partition": "p", "qos": "q", "reservation": ""}

# The shell has to outlive the server. At the time limit the job is queued again, and agents follow it to another node.
# A server without a connection is needed all the same while agents wait in the queue.
_STORAGE_BODY = """\
again=
ended=
trap 'again=yes; kill -TERM "$!" 2>/dev/null' USR1
trap 'ended=yes; kill -TERM "$!" 2>/dev/null' TERM
while :; do
    {command} &
    server=$!
    [ -z "$again$ended" ] || kill -TERM "$server" 2>/dev/null
    while kill -0 "$server" 2>/dev/null; do
        wait "$server"  # until it ends or a signal comes
    done
    wait "$server"  # bash still knows its code
    code=$?
    [ "$code" -eq 0 ] && [ -z "$again$ended" ] || break
    squeue --noheader --user="$(id -un)" --format=%j | grep -q '^lightsweep-' || break
    [ -z "$again$ended" ] || break  # told to end meanwhile
done
if [ -n "$again" ]; then
    echo "lightsweep: the time of this job is nearly over; it is queued again"
    scontrol requeue "$SLURM_JOB_ID" && exit 0
fi
exit "$code"
"""


class SlurmEngine(Engine):
    """Submits agents as one array of jobs, which is queued again after a preemption and at the time limit."""

    runs_storage: ClassVar[bool] = True

    def plan(self, launch: Launch) -> str:
        """Return the job script. If this machine has sbatch, Slurm checks the script, and submits nothing.

        Raises:
            UsageError: A part of a GPU, an option that is set here, or one that Slurm refuses.
        """
        script = self.script(launch, self.kill_wait())
        with suppress(_NotInstalledError):  # the script can be read here, and submitted elsewhere
            self._call(["sbatch", "--test-only"], script)
        return script

    def submit(self, launch: Launch) -> list[str]:
        """Submit the array; raises as :meth:`plan`, and if Slurm is not installed here."""
        answer = self._call(["sbatch", "--parsable"], self.script(launch, self.kill_wait()))
        array = answer.strip().partition(";")[0]  # of several clusters the name follows
        return [f"{array}_{task}" for task in range(launch.agents)]

    def jobs(self) -> list[AgentJob]:
        """Return the agents in the queue, of all users."""
        return self._queued(f"lightsweep-{self.sweep_id}")

    def stop(self, job: str) -> None:
        """Cancel an agent's job: Slurm sends SIGTERM, and SIGKILL after KillWait."""
        try:
            self._call(["scancel", job])
        except UsageError as error:
            if not re.search(r"Invalid job id|already complet", str(error)):
                raise

    def plan_storage(self, directory: Path, command: Sequence[str]) -> str:
        """Return the job script of a storage."""
        return storage_script(directory, command, self.options)

    def submit_storage(self, directory: Path, command: Sequence[str]) -> str:
        """Submit the job of a storage; raises as :meth:`plan`, and if Slurm is not installed here."""
        answer = self._call(["sbatch", "--parsable"], self.plan_storage(directory, command))
        return answer.strip().partition(";")[0]

    def storage_job(self, directory: Path) -> AgentJob | None:
        """Return the job of a storage, if it runs or waits to run."""
        return next(iter(self._queued(storage_name(directory))), None)

    def kill_wait(self) -> int:
        """Return the seconds between SIGTERM and SIGKILL of this cluster; Slurm's default if it cannot be asked."""
        try:
            answer = self._call(["scontrol", "show", "config"])
        except UsageError:
            return _KILL_WAIT_SECONDS
        found = re.search(r"^KillWait\s*=\s*(\d+)", answer, re.MULTILINE)
        return int(found[1]) if found else _KILL_WAIT_SECONDS

    def script(self, launch: Launch, kill_wait: int) -> str:
        """Return the job script for a cluster with this KillWait in seconds; raises as :meth:`plan`."""
        _check(launch)
        output = f"{launch.directory / RUNS / self.sweep_id}".replace("%", "%%") + "/slurm-%A_%a.out"
        directives = [
            f"--job-name=lightsweep-{self.sweep_id}",
            f"--array=0-{launch.agents - 1}",
            f"--chdir={launch.directory}",
            f"--output={output}",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR1@{_WARNING_SECONDS}",
            *_resources(launch),
        ]
        header = [f"#SBATCH {_directive(text)}" for text in directives]
        if launch.options:  # on one line, as `-p gpu` is two words; of an option that is given twice the last counts
            header.append(f"#SBATCH {' '.join(map(_directive, launch.options))}")
        # What sbatch finds in the environment goes into the job's, where the URL of another storage would count first.
        unset = [f"unset {URL_VARIABLE}"] if launch.storage_file else []
        exports = [f"export {name}={shlex.quote(value)}" for name, value in launch.environment().items()]
        body = _BODY.format(
            command=shlex.join(_agent(launch, kill_wait)),
            least=_LEAST_SECONDS,
            drained=DRAINED,
            least_drained=_LEAST_DRAINED_SECONDS,
        )
        return "\n".join(["#!/bin/bash", *header, "", *unset, *exports, body])

    def _queued(self, name: str) -> list[AgentJob]:
        fields = ",".join(f"{field}:{width}" for field, width in _FIELDS.items())
        answer = self._call(["squeue", "--noheader", "--array", f"--name={name}", f"--Format={fields}"])
        return list(map(agent_job, answer.splitlines()))

    def _call(self, command: list[str], given: str = "") -> str:
        """Return the output of a command of Slurm's, without the storage's URL in its environment."""
        try:
            done = subprocess.run(
                command,
                input=given,
                env={
                    name: value for name, value in os.environ.items() if name not in VARIABLES and name not in _UNREAD
                },
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise _NotInstalledError(
                f"slurm: this machine has no command {command[0]!r}; use a login node of the cluster"
            ) from None
        except subprocess.TimeoutExpired:
            raise LostAnswerError(f"slurm: {command[0]} did not end within {_COMMAND_SECONDS:g} s") from None
        except OSError as error:
            raise UsageError(f"slurm: {command[0]} failed: {error}") from None
        if done.returncode:
            said = re.sub(rf"(?m)^({command[0]}: )?(error: )?(allocation failure: )?", "", done.stderr.strip())
            remedy = next((f"\n{words}" for part, words in _REMEDIES.items() if part in said.lower()), "")
            raise UsageError(f"slurm: {command[0]} refuses: {'; '.join(said.splitlines()) or done.returncode}{remedy}")
        return done.stdout


class _NotInstalledError(UsageError):
    """This machine lacks a command of Slurm's."""


def agent_job(line: str) -> AgentJob:
    """Return the agent of a line of squeue with the fields of ``_FIELDS``."""
    cells: list[str] = []
    for width in _FIELDS.values():
        cells.append(line[:width].strip())
        line = line[width:]
    job, word, node, restarts, reason, output = cells
    state = _STATES.get(word, JobState.ENDING)
    if state == JobState.QUEUED and restarts not in ("", "0"):
        state = JobState.PREEMPTED
    array, _, task = job.partition("_")
    for pattern, value in (("%A", array), ("%a", task), ("%%", "%")):
        output = output.replace(pattern, value)
    return AgentJob(job, state, node, output, "" if reason in ("None", "(null)") else reason)


def _agent(launch: Launch, kill_wait: int) -> list[str]:
    """Return the command of an agent that ends its runs within KillWait."""
    limit = ("--term-timeout", number(max(1.0, _SHARE_FOR_RUNS * kill_wait)))
    return replace(launch, agent_options=(*limit, *launch.agent_options)).command()


def _resources(launch: Launch) -> Iterator[str]:
    """Yield the options of sbatch for the resources of an agent."""
    yield f"--nodes={launch.nodes_per_run}"
    yield "--ntasks-per-node=1"
    if launch.cpus_per_run:
        yield f"--cpus-per-task={math.ceil(launch.cpus_per_run * launch.jobs_per_agent / launch.nodes_per_run)}"
    if launch.gpus_per_run:
        yield f"--gres=gpu:{int(launch.gpus_per_run) * launch.jobs_per_agent // launch.nodes_per_run}"  # of each node


def _check(launch: Launch) -> None:
    if launch.gpus_per_run % 1:
        raise UsageError(
            f"slurm: --gpus-per-run {launch.gpus_per_run:g}: on Slurm, a run can only have whole GPUs\n"
            "to let runs share one, leave it out and write: --jobs-per-agent 2 ... -- --gres=gpu:1"
        )
    if launch.gpus_per_run % launch.nodes_per_run:
        raise UsageError(
            f"slurm: {launch.gpus_per_run:g} GPUs of a run cannot be divided among {launch.nodes_per_run} nodes"
        )
    for option in launch.options:
        for names, why in _REFUSED.items():
            if option.partition("=")[0] in names or (len(names) > 1 and option.startswith(names[1])):
                raise UsageError(f"slurm: the option {option!r} {why}")
        if "\n" in option:
            raise UsageError(f"slurm: the option {option!r} has a line break, which a job script cannot hold")


# --- the job of a storage


def storage_name(directory: Path) -> str:
    """Return the name of the job whose server has its files in ``directory``."""
    return f"storage-of-lightsweep-{hashlib.sha256(str(directory).encode()).hexdigest()[:8]}"


def storage_script(directory: Path, command: Sequence[str], options: Sequence[str]) -> str:
    """Return the job script of a server.

    Args:
        directory: Where the server has its files.
        command: Starts the server.
        options: The options of sbatch for agents; the server takes its account and partition from them.
    """
    directives = [
        f"--job-name={storage_name(directory)}",
        f"--chdir={directory.parent}",
        f"--output={str(directory).replace('%', '%%')}/job-%j.out",
        "--open-mode=append",
        "--requeue",
        "--ntasks=1",
        "--cpus-per-task=1",
        f"--signal=B:USR1@{_WARNING_SECONDS}",
        *_places(options),
    ]
    header = ["#!/bin/bash", *(f"#SBATCH {_directive(each)}" for each in directives), ""]
    return "\n".join([*header, f"unset {' '.join(VARIABLES)}", _STORAGE_BODY.format(command=shlex.join(command))])


def _directive(text: str) -> str:
    """Return an option as sbatch reads it in a script."""
    if re.fullmatch(r"[\w./:=,%@+~\[\]-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _places(options: Sequence[str]) -> list[str]:
    """Return the options that say where a job runs, each with its value."""
    found = []
    for option, after in zip_longest(options, options[1:], fillvalue=""):
        for name, letter in _PLACE.items():
            if option.startswith(f"--{name}="):
                found.append(option)
            elif option == f"--{name}" or (letter and option == f"-{letter}"):
                found.append(f"--{name}={after}")
            elif letter and option.startswith(f"-{letter}"):
                found.append(f"--{name}={option[2:]}")
    return found
