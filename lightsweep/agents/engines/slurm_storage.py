"""The job of a storage on Slurm: its name and its script."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from lightsweep.storage.url import VARIABLES

# Options of sbatch that say where and for whom a job runs; the others are for the agents, such as GPUs.
_PLACE = {"account": "A", "partition": "p", "qos": "q", "reservation": ""}
_WARNING_SECONDS = 60

# The shell has to outlive the server. At the time limit the job is queued again, and agents follow it to another node.
# A server without a connection is needed all the same while agents wait in the queue.
_BODY = """\
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
    header = ["#!/bin/bash", *(f"#SBATCH {directive(each)}" for each in directives), ""]
    return "\n".join([*header, f"unset {' '.join(VARIABLES)}", _BODY.format(command=shlex.join(command))])


def directive(text: str) -> str:
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
