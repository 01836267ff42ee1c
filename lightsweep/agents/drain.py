"""The time before the end of an agent's job in which it begins no runs."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lightsweep.errors import InputError
from lightsweep.schema.launching import seconds

__all__ = ["DRAINED", "Drain", "duration", "job_end", "slurm_job"]

DRAINED = 85
"""The exit code of an agent that left work since its job ends soon: it is to be started again in another job.

It is the number of ``ERESTART`` on Linux, and has no meaning in sysexits.h, in shells, or elsewhere in lightsweep.
"""

JOB_END = "LIGHTSWEEP_JOB_END"
"""The variable by which an engine or a user gives the end of the agent's job, as Unix time."""

_SLURM_END = "SLURM_JOB_END_TIME"
_SCONTROL_SECONDS = 20.0


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``10m``, ``1h30m`` or ``600``.

    Raises:
        InputError: It is not a duration.
    """
    try:
        return seconds(text)
    except ValueError as error:
        raise InputError(f"--drain {error}") from None


def job_end(environ: Mapping[str, str] = os.environ, ask: Callable[[str], str] | None = None) -> float | None:
    """Return when the job of this process ends, as Unix time; ``None`` if it is in no job, or in one without an end.

    ``LIGHTSWEEP_JOB_END`` counts before what Slurm says, in its variable or by ``scontrol``.

    Args:
        environ: The environment.
        ask: Returns what ``scontrol show job`` prints about a job; empty if it fails.

    Raises:
        InputError: ``LIGHTSWEEP_JOB_END`` is not a time.
    """
    for name in (JOB_END, _SLURM_END):
        if text := environ.get(name, "").strip():
            try:
                end = float(text)
            except ValueError:
                end = math.nan
            if math.isfinite(end) and end > 0:
                return end
            if name == JOB_END:
                raise InputError(f"{name}={text!r} is not a time; give seconds since 1970, such as that of `date +%s`")
    job = slurm_job(environ)
    return _end_time((ask or _scontrol)(job)) if job else None


def slurm_job(environ: Mapping[str, str]) -> str:
    """Return the id of this process's job; empty outside of Slurm. The first job of an array has the array's own id."""
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environ.get("SLURM_JOB_ID", "")


def _end_time(shown: str) -> float | None:
    """Return the field EndTime of a job: Unix time or local time; ``None`` for others, such as Unknown."""
    found = re.search(r"\bEndTime=(\S+)", shown)
    if found is None:
        return None
    text = found[1]
    try:
        return float(text) if text.isdecimal() else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _scontrol(job: str) -> str:
    try:
        found = subprocess.run(
            ["scontrol", "show", "job", job],
            env={**os.environ, "SLURM_TIME_FORMAT": "%s"},  # as Unix time
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SCONTROL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout


def extended_end(environ: Mapping[str, str] = os.environ, ask: Callable[[str], str] | None = None) -> float | None:
    """Return when the Slurm job of this process ends by now: ``scontrol update`` may have changed its time limit.

    Returns:
        Unix time; ``None`` if it is in no job of Slurm, if Slurm does not tell, or if the user has given the end.
    """
    job = slurm_job(environ)
    return _end_time((ask or _scontrol)(job)) if job and not environ.get(JOB_END, "").strip() else None


@dataclass
class Drain:
    """The last part of a job, in which its agent begins no runs.

    Attributes:
        text: Its length as the user wrote it.
        end: The end of the job as Unix time; ``None`` if unknown, so that it has no effect.
        ask: Returns the end of the job by now when the drain begins; ``None`` if it is not known better.
    """

    text: str
    end: float | None
    ask: Callable[[], float | None] = extended_end

    def reason(self, now: float) -> str:
        """Return why no run begins at the Unix time ``now``; empty if one may begin.

        At exactly the drain's length before the end none begins.
        """
        if self.end is None or now < self.end - duration(self.text):
            return ""
        self.end = self.ask() or self.end
        if now < self.end - duration(self.text):
            return ""
        end = datetime.fromtimestamp(self.end).strftime("%H:%M:%S")
        return f"no run begins within {self.text} of the end of its job at {end} (--drain)"

    def remark(self) -> str:
        """Return what to tell the user when the agent starts; empty if the end of the job is known."""
        if self.end is not None:
            return ""
        return (
            f"--drain {self.text} has no effect: no scheduler says when this agent's job ends; "
            f"give its end as {JOB_END}, in seconds since 1970"
        )
