"""The settings of ``lightsweep launch``: a block of the sweep file, a file beside it, and options, merged."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Spot
from lightsweep.schema.yaml_file import read_file
from lightsweep.text import quoted

SETTINGS_FILE = "lightsweep.launch.yaml"
"""The file of settings, in the directory of the sweep file."""

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "": 1}
_ITEM = r"(\d+(?:\.\d+)?)([dhms]?)"


def seconds(value: Any) -> float:
    """Return the seconds of a duration such as ``90s``, ``10m``, ``1h30m`` or ``600``.

    Raises:
        ValueError: It is none; the message begins with "must".
    """
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(f"({_ITEM})+", text):
        raise ValueError(f"must be a duration with d, h, m or s, such as 90s, 10m or 1h30m, got {quoted(value)}")
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(_ITEM, text))


def _words(value: Any) -> tuple[str, ...]:
    """Return a list of texts, or one text split as a shell does."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"must be words as for a shell, and {quoted(value)} is not: {error}") from None
    if isinstance(value, (list, tuple)) and all(isinstance(each, (str, int, float)) for each in value):
        return tuple(map(str, value))
    raise ValueError(f"must be a list of texts, got {quoted(value)}")


_WORDS = {"type": ["array", "string"], "items": {"type": ["string", "number"]}}
Duration = Annotated[float, fields.Rule(seconds, {"type": ["string", "number"], "pattern": f"^({_ITEM})+$"})]
Words = Annotated[tuple[str, ...], fields.Rule(_words, _WORDS)]


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """How `lightsweep launch` starts the agents of the sweep; options of the command win.

    Attributes:
        on: The engine that runs the agents, such as local, slurm, ray or kubernetes.
        agents: The number of agents; 1 by default.
        gpus_per_run: GPUs of each run; a fraction only where the engine can share a GPU.
        cpus_per_run: CPU cores of each run; by default the engine decides.
        jobs_per_agent: Runs at the same time in an agent; 1 by default.
        nodes_per_run: Nodes of each run; 1 by default.
        drain: An agent begins no run within this time before the end of its job, such as 10m.
        with_storage: Start a database as a job of its own, in lightsweep_storage, and let the agents wait for it.
        agent_options: More options of `lightsweep agent`, such as --stay.
        options: The engine's own options, such as --partition=gpu for sbatch.
    """

    on: fields.Text | None = None
    agents: fields.Natural | None = None
    gpus_per_run: Annotated[float, fields.number(least=0)] | None = None
    cpus_per_run: Annotated[float, fields.number(above=0)] | None = None
    jobs_per_agent: fields.Natural | None = None
    nodes_per_run: fields.Natural | None = None
    drain: Duration | None = None
    with_storage: fields.Truth | None = None
    agent_options: Words | None = None
    options: Words | None = None

    def over(self, other: LaunchSettings) -> LaunchSettings:
        """Return these settings, and those of ``other`` for what they leave open."""
        return replace(other, **fields.given(asdict(self)))


def read_settings(path: Path) -> LaunchSettings:
    """Return the settings in a file; none if it does not exist.

    Raises:
        ConfigError: The file cannot be read, or has mistakes; the error holds all of them.
    """
    if not path.exists():
        return LaunchSettings()
    raw, faults = read_file(path, "a file of settings", "on and agents")
    found = check_settings(raw, faults.at(), path.name)
    faults.raise_if_any()
    return found or LaunchSettings()


def check_settings(value: Any, at: Spot, what: str) -> LaunchSettings | None:
    """Return a mapping as settings; ``None`` with every mistake noted. YAML reads the key ``on`` as true."""
    if isinstance(value, Mapping):
        value = {"on" if key in (True, "True") else key: item for key, item in value.items()}
    return fields.check(LaunchSettings, value, at, what)
