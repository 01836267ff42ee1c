"""Launches of agents: what an engine is asked for, what the storage keeps of it, and which agents there are."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightsweep.agents.active_run import RUNS, make_directory
from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch, LostAnswerError, make_engine
from lightsweep.channel.server import host_name
from lightsweep.controller import Sweep
from lightsweep.controller.reader import storage_errors
from lightsweep.errors import InputError, UsageError
from lightsweep.schema.fields import given
from lightsweep.schema.launching import LaunchSettings
from lightsweep.storage.server import url_file
from lightsweep.storage.sqlite_file import network_file_system
from lightsweep.storage.url import SERVED, URL_VARIABLE, has_secret, mask, parse, server_here, shown, write_url
from lightsweep.text import counted

LAUNCH = "lightsweep:launch:"
"""The beginning of the name of the study's attributes that record launches."""

URL_FILE = "storage-url"

ON_THIS_HOST = "local"
"""The engine whose agents only commands on the host of the launch find."""

_ANY = ""  # in the place of ids that are not known


def make_launch(settings: LaunchSettings, sweep_id: str, url: str, engine: Engine) -> Launch:
    """Return the launch that settings describe, for agents in this working directory; nothing is written.

    Args:
        settings: The settings.
        sweep_id: The sweep.
        url: The URL of its storage.
        engine: The engine.

    Raises:
        UsageError: The engine cannot do what is asked, the agents would share an SQLite file over several hosts, or the
            settings contradict each other.
    """
    served = url_file(SERVED) if settings.with_storage else None
    if served is None and (url.startswith("sqlite") or "://" not in url):
        _check_file(url, settings.on or "", engine)
    if (settings.nodes_per_run or 1) > 1 and (settings.jobs_per_agent or 1) > 1:
        raise UsageError("--nodes-per-run: an agent on several nodes has one run at a time; leave out --jobs-per-agent")
    secret = served or has_secret(url)
    wait = ("--wait-for-storage",) if served else ()
    launch = Launch(
        sweep_id,
        settings.agents or 1,
        Path.cwd(),
        jobs_per_agent=settings.jobs_per_agent or 1,
        gpus_per_run=settings.gpus_per_run or 0,
        cpus_per_run=settings.cpus_per_run,
        nodes_per_run=settings.nodes_per_run or 1,
        drain=settings.drain or 0.0,
        agent_options=(*wait, *(settings.agent_options or ())),
        options=settings.options or (),
        variables={} if secret else {URL_VARIABLE: url},
        storage_file=served or (RUNS.absolute() / sweep_id / URL_FILE if secret else None),
    )
    for name, refusal in engine.cannot.items():
        if getattr(launch, name) != getattr(Launch, name):  # which is the default of the field
            raise UsageError(refusal)
    return launch


def _check_file(url: str, name: str, engine: Engine) -> None:
    """Refuse an SQLite file for agents on several hosts, and for those of a cluster one on a network file system."""
    one_host = engine.on_one_host()
    path = Path(str(parse(url).database))
    kind = network_file_system(path.absolute()) if name != ON_THIS_HOST else None
    if one_host and kind is None:
        return
    why = f"the file lies on a network file system ({kind})" if one_host else f"agents on {name} run on several"
    raise UsageError(
        f"storage {shown(url)}: SQLite serves one host only, and {why}"
        + (
            server_here()
            or "\nstart a database with `lightsweep storage serve --host 0.0.0.0`, which says how to use it"
        )
        + ("; or add --with-storage, which starts it as a job" if engine.runs_storage else "")
    )


def submit(sweep: Sweep, settings: LaunchSettings, engine: Engine) -> list[str]:
    """Submit agents of a sweep, record that in its storage, and return the ids of their jobs.

    Raises:
        InputError: The engine refuses, or the file of the storage's URL cannot be written.
    """
    launch = make_launch(settings, sweep.id, sweep.storage.url, engine)
    make_directory(RUNS.absolute() / sweep.id)
    if launch.storage_file and not settings.with_storage:
        write_url(launch.storage_file, sweep.storage.url)
    name = record(sweep, settings, ())  # before, so that agents whose submission was not answered are found by it
    try:
        jobs = engine.submit(launch)
    except LostAnswerError as error:
        raise LostAnswerError(f"{error}\nagents may have been submitted: lightsweep status {sweep.id}") from None
    except InputError:
        _write(sweep, name, {})
        raise
    record(sweep, settings, jobs, name)
    return jobs


def record(sweep: Sweep, settings: LaunchSettings, jobs: Iterable[str], name: str = "") -> str:
    """Record a launch in the storage, without a secret; return the name of the record.

    Args:
        sweep: The sweep.
        settings: The settings of the launch.
        jobs: The ids of its jobs; empty as long as they are not known.
        name: The name of an earlier record of the same launch, which is replaced.
    """
    options = {name: value for name, value in given(asdict(settings)).items() if name not in ("on", "agents")}
    kept = {
        "engine": settings.on,
        "agents": settings.agents or 1,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": host_name(),
        "directory": str(Path.cwd()),
        "options": {name: _without_secrets(value) for name, value in options.items()},
        "jobs": list(jobs),
    }
    name = name or f"{LAUNCH}{secrets.token_hex(4)}"
    _write(sweep, name, kept)
    return name


def _write(sweep: Sweep, name: str, kept: dict[str, Any]) -> None:
    with storage_errors():
        sweep.storage.optuna.set_study_user_attr(sweep.study_id, name, kept)


def _without_secrets(value: Any) -> Any:
    return [mask(each) for each in value] if isinstance(value, (list, tuple)) else value


def recorded(sweep: Sweep) -> list[dict[str, Any]]:
    """Return what the storage keeps of the launches of a sweep, the oldest first."""
    with storage_errors():
        attributes = [study.attributes for study in sweep.storage.studies(sweep.id)]
    found = [
        kept for each in attributes for name, kept in each.items() if name.startswith(LAUNCH) and isinstance(kept, dict)
    ]
    return sorted((kept for kept in found if kept.get("engine")), key=lambda kept: str(kept.get("time")))


@dataclass
class Launched:
    """The agents that were launched and have not ended.

    Attributes:
        engines: The engines of the launches that were asked.
        agents: The agents, each with the name of its engine.
        unasked: For each engine that could not be asked the reason.
        owners: The engine of each agent, by the engine's name and the agent's id.
        hosts: Other hosts whose own agents were launched there; only commands there find them.
        storage: The job of the sweep's storage; ``None`` if there is none, or it has ended.
        served: Where the storages that launches have started as jobs have their files.
    """

    engines: list[str] = field(default_factory=list)
    agents: list[tuple[str, AgentJob]] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)
    owners: dict[tuple[str, str], Engine] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    storage: AgentJob | None = None
    served: list[Path] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The number of agents in each state, such as ``agents: 2 running, 1 queued``."""
        states = [job.state for _, job in self.agents]
        numbers = [f"{states.count(state)} {state}" for state in JobState if state in states]
        return f"agents: {', '.join(numbers)}" if numbers else "agents: all that were launched have ended"

    def document(self) -> dict[str, Any]:
        """Return the agents for JSON."""
        found = [{"engine": engine, **_document(job)} for engine, job in self.agents]
        storage = {"storage_job": _document(self.storage) if self.storage else None} if self.served else {}
        return {"agents": found, "engines_not_asked": self.unasked, "launched_on_hosts": self.hosts, **storage}


def _document(job: AgentJob) -> dict[str, Any]:
    return {**asdict(job), "state": str(job.state)}


def launched(sweep: Sweep, only: str | None = None) -> Launched:
    """Ask the engines of all launches for the agents of a sweep.

    Agents of a launch that another storage has recorded are left out: a copied sweep keeps its id. If the answer to a
    submission was lost, all agents count that its engine finds.

    Args:
        sweep: The sweep.
        only: Ask this engine alone. If it is a cluster's, agents count too that no launch has submitted, such as by the
            job script of a dry run.
    """
    launches: dict[tuple[str, tuple[str, ...]], None] = {}
    jobs: dict[str, set[str]] = {}
    found = Launched()
    storages: dict[tuple[str, Path], None] = {}
    for kept in recorded(sweep):
        name = kept["engine"]
        if only is not None and name != only:
            continue
        if name == ON_THIS_HOST and kept.get("host") != host_name():
            found.hosts = sorted({*found.hosts, str(kept.get("host"))})
            continue
        launches[name, _options_of(kept)] = None  # an engine's own options may say where the cluster is
        jobs.setdefault(name, set()).update(kept.get("jobs") or [_ANY])
        if (kept.get("options") or {}).get("with_storage"):
            storages[name, Path(str(kept.get("directory"))) / SERVED] = None
    if only is not None and only != ON_THIS_HOST:
        launches = launches or {(only, ()): None}
        jobs[only] = {_ANY}
    found.engines = list(dict.fromkeys(name for name, _ in launches))
    found.served = [directory for _, directory in storages]
    for name, options in launches:
        try:
            engine = make_engine(name, sweep.id, options)
            agents = [job for job in engine.jobs() if _ANY in jobs[name] or job.id in jobs[name]]
            for place, directory in storages:
                if place == name:
                    found.storage = found.storage or engine.storage_job(directory)
        except InputError as error:
            found.unasked[name] = str(error)
            continue
        found.agents += [(name, job) for job in agents if (name, job.id) not in found.owners]
        found.owners.update({(name, job.id): engine for job in agents})
    return found


def _options_of(kept: dict[str, Any]) -> tuple[str, ...]:
    options = kept.get("options") or {}
    return tuple(map(str, options.get("options") or ()))


def summary(jobs: list[str], engine: str) -> str:
    """Return the line about submitted jobs, such as ``3 agents on slurm: 12_0, 12_1, 12_2``."""
    names = ", ".join(jobs[:4]) + (f", ... {jobs[-1]}" if len(jobs) > 4 else "")
    return f"{counted(len(jobs), 'agent')} on {engine}: {names}"
