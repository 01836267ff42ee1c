"""Run agents as actors of a Ray cluster.

An agent is a detached actor with the name ``SWEEP/AGENT`` in the namespace ``lightsweep``. Ray places it, and starts it
again if its node dies; an actor that waits is demand that an autoscaler sees. The actor runs the agent as a process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import platform
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lightsweep.agents.active_run import RUNS
from lightsweep.agents.engines import AgentJob, Engine, EngineOptions, JobState, Launch, ray_actor
from lightsweep.agents.engines.ray_actor import PYTHON, AgentActor, Secret
from lightsweep.errors import UsageError
from lightsweep.storage.url import read_url
from lightsweep.text import number, one_line, quoted

NAMESPACE = "lightsweep"
"""The namespace of the actors."""

_STATES = {
    "DEPENDENCIES_UNREADY": JobState.QUEUED,
    "PENDING_CREATION": JobState.QUEUED,
    "ALIVE": JobState.RUNNING,
    "RESTARTING": JobState.PREEMPTED,
}
_MOST_ACTORS = 10_000  # the most that Ray lists
_CONNECT_SECONDS = 10.0
_START_SECONDS = 10.0
_OTHERS_SECONDS = 2.0
_STOP_SECONDS = 10.0
_NOT_SHIPPED = ("/lightsweep_runs", "/lightsweep_storage", "/lightsweep.db*", ".git", ".venv", "__pycache__")
_INSTALL = "pip install 'lightsweep[ray]'"


# --- the options


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """Return the engine's own options by name.

    Without ``working_dir`` the nodes share the file system of the launch; with it, the directory is shipped to each
    node, which keeps the directories of runs in ``runs_dir``.

    Raises:
        UsageError: An option is unknown or has a wrong value.
    """
    parser = EngineOptions("ray")
    parser.add_argument("--address", default=os.environ.get("RAY_ADDRESS") or "auto")
    parser.add_argument("--working-dir", type=Path)
    parser.add_argument("--runs-dir", type=Path, default=Path("~/lightsweep_runs"))
    parser.add_argument("--resources", type=_resources, default={})
    parser.add_argument("--runtime-env", type=_runtime_env, default={})
    found = parser.read(words)
    if found.address.partition("://")[0] in {"ray", "http", "https"} and "://" in found.address:
        raise UsageError(
            f"--address {found.address}: agents are started from inside of the cluster's network, at HOST:6379\n"
            "from elsewhere start them by `ray job submit --address http://HOST:8265`; see docs/clusters/ray.md"
        )
    return found


def _resources(text: str) -> dict[str, float]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and all(type(value) in (int, float) and value >= 0 for value in found.values()):
        if wrong := {"CPU", "GPU"} & set(found):
            raise argparse.ArgumentTypeError(f"has {wrong.pop()}: use --cpus-per-run and --gpus-per-run")
        return found
    raise argparse.ArgumentTypeError(f"""must be JSON such as '{{"a100": 0.5}}', got {quoted(text)}""")


def _runtime_env(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or one_line(str(error), 120)
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {why}") from None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"{text} must hold a mapping of keys such as pip and env_vars")
    return found


# --- the engine


class RayEngine(Engine):
    """Starts, lists and stops agents as actors.

    Args:
        sweep_id: The sweep.
        options: The engine's own options; only the address counts for agents that were started before.

    Raises:
        UsageError: An option is unknown or has a wrong value.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        "nodes_per_run": "--nodes-per-run: an actor of Ray is on one node; use an engine such as slurm",
        "drain": "--drain: a job of Ray has no end that is known before; leave it out",
    }

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        super().__init__(sweep_id, options)
        self._options = read_options(options)

    def plan(self, launch: Launch) -> str:
        """Return a Python program that starts the actors. Raises ``UsageError`` for what Ray cannot give."""
        made = actor_options(launch, self._options)
        init = {"address": self._options.address, "namespace": NAMESPACE, **_shipped(self._options)}
        shipped = self._options.working_dir is not None
        secret = launch.storage_file if shipped else None
        given = {**self._arguments(launch, shipped), "url": None if secret is None else _Read(secret)}
        return f"""\
import ray
from lightsweep.agents.engines.ray_actor import AgentActor{", Secret" if secret else ""}

ray.init({_written(init)})
for number in range({launch.agents}):
    name = f"{self.sweep_id}/agent-{{number}}"
    actor = ray.remote(AgentActor).options(name=name, {_written(made)})
    actor.remote(name=name, {_written(given)})"""

    def submit(self, launch: Launch) -> list[str]:
        """Start the actors, and return their names once all of them run, or wait for longer than a few seconds.

        Raises:
            UsageError: Ray or the cluster is missing, or an agent cannot be started on its node; then none is left.
        """
        made = actor_options(launch, self._options)
        secret = read_url(launch.storage_file) if launch.storage_file else ""
        token = secrets.token_hex(3)
        names = [f"agent-{token}-{number}" for number in range(launch.agents)]
        ray = self._connect(_shipped(self._options))
        shipped = _has_shipped(ray)
        # A file with the URL is in the shared directory too, so that Ray gets no secret then.
        given = {**self._arguments(launch, shipped), "url": Secret(secret) if shipped and secret else None}
        actors: list[Any] = []
        try:
            with _by_value(ray):
                kind = ray.remote(AgentActor)
                for each in names:
                    name = f"{self.sweep_id}/{each}"
                    actors.append(kind.options(name=name, **made).remote(name=name, **given))
            _raise_if_dead(ray, actors)
        except BaseException:  # Ctrl-C too: half of a launch is of no use, and it is recorded nowhere
            for actor in actors:
                ray.kill(actor, no_restart=True)
            raise
        return names

    def _arguments(self, launch: Launch, shipped: bool) -> dict[str, Any]:
        """Return the arguments of each `AgentActor` but for its name and the secret."""
        return {
            "command": launch.command(PYTHON),
            "place": str(self._options.runs_dir if shipped else launch.directory),
            "shipped": shipped,
            "variables": agent_variables(launch, shipped),
        }

    def jobs(self) -> list[AgentJob]:
        """Return the agents of the sweep, as the cluster lists its actors."""
        ray = self._connect()
        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        free = ray.available_resources()
        return [self._job(actor, nodes, free) for actor in self._actors()]

    def stop(self, job: str) -> None:
        """Let an actor send SIGTERM to its agent; one that waits for a node is removed."""
        ray = self._connect()
        try:
            actor = ray.get_actor(f"{self.sweep_id}/{job}", namespace=NAMESPACE)
        except ValueError:  # it has ended
            return
        running = any(each.name.endswith(f"/{job}") and each.state == "ALIVE" for each in self._actors())
        answer = actor.stop.remote() if running else None
        if answer is None or not ray.wait([answer], timeout=_STOP_SECONDS)[0]:
            ray.kill(actor, no_restart=True)

    def on_one_host(self) -> bool:
        """Return whether the cluster has no other host than this one, and agents work in this directory."""
        if self._options.working_dir is not None:
            return False
        ray = self._connect()
        hosts = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        return hosts == {socket.gethostname()} and not _has_shipped(ray)

    def _actors(self) -> list[Any]:
        state: Any = importlib.import_module("ray.util.state")
        try:
            found = state.list_actors(
                filters=[("ray_namespace", "=", NAMESPACE), ("state", "!=", "DEAD")],
                limit=_MOST_ACTORS,
                detail=True,
                raise_on_missing_output=False,
            )
        except Exception as error:  # of requests, of Ray, or a RuntimeError
            raise UsageError(
                f"the Ray cluster at {self._options.address} does not list its actors: {one_line(str(error), 120)}\n"
                "its dashboard answers that; its head node needs pip install 'ray[default]'"
            ) from None
        mine = [each for each in found if (each.name or "").startswith(f"{self.sweep_id}/")]
        return sorted(mine, key=lambda each: (each.name.rpartition("-")[0], int(each.name.rpartition("-")[2])))

    def _job(self, actor: Any, nodes: Mapping[str, Any], free: Mapping[str, float]) -> AgentJob:
        name = actor.name.rpartition("/")[2]
        state = _STATES.get(actor.state, JobState.QUEUED)
        node = nodes.get(actor.node_id or "", {}).get("NodeManagerHostname", "") if state == JobState.RUNNING else ""
        shipped = "working_dir" in (actor.serialized_runtime_env or "")
        log = f"ray logs actor --id {actor.actor_id}" if shipped else str(_output(self.sweep_id, name))
        reason = ""
        if state != JobState.RUNNING:
            reason = "starts" if actor.pid else waiting(actor.required_resources or {}, nodes.values(), free)
        return AgentJob(name, state, node, log, reason)

    def _connect(self, how: Mapping[str, Any] | None = None) -> Any:
        """Return Ray, connected to the cluster until this process ends.

        It stays connected, since this process may be in a directory that Ray has shipped for it (``ray job submit``).
        """
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise UsageError(f"the engine 'ray' needs Ray, and {error}\ninstall it: {_INSTALL}") from None
        if ray.is_initialized():
            return ray
        address = self._options.address
        absent = UsageError(
            f"no Ray cluster answers at {address!r}\n"
            "run this on a node of the cluster, or name its head: -- --address HOST:6379 (or RAY_ADDRESS)"
        )
        if not _answers(address):
            raise absent
        try:
            ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **(how or {}))
        except ConnectionError:
            if ":" not in address:
                raise absent from None
            raise UsageError(
                f"no Ray cluster answers at {address!r}, though its port is open\n"
                f"is it that of a cluster with Ray {ray.__version__}, the version of this process?"
            ) from None
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(_refused(address, str(error))) from None
        return ray


class _Read:
    """A secret in a program: an expression that reads its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"Secret(open({str(self._path)!r}).read().strip())"


def _written(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _has_shipped(ray: Any) -> bool:
    """Return whether actors work in a directory that Ray ships, by --working-dir or by ``ray job submit``."""
    return bool(ray.get_runtime_context().runtime_env.get("working_dir"))


def _shipped(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``ray.init`` that ship the working directory: Ray does it for a whole program only."""
    if options.working_dir is None:
        return {}
    return {"runtime_env": {"working_dir": str(options.working_dir.absolute()), "excludes": list(_NOT_SHIPPED)}}


def _answers(address: str) -> bool:
    """Return whether a port is open at an address; Ray itself would try for two minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        return True  # auto, or a name that Ray judges
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError):
        return False
    return True


def _refused(address: str, message: str) -> str:
    if "ersion mismatch" in message:
        versions = ", ".join(line.strip() for line in message.splitlines() if line.strip()[:4] in {"Ray:", "Pyth"})
        return (
            f"the Ray cluster at {address!r} has other versions than this process ({one_line(versions, 120)})\n"
            f"use the cluster's: this is Python {platform.python_version()} at {sys.executable}"
        )
    return f"the Ray cluster at {address!r} refuses: {one_line(message, 300)}"


def _raise_if_dead(ray: Any, actors: Sequence[Any]) -> None:
    """Raise a ``UsageError`` if an actor could not start its agent; those that wait for a node may do so later."""
    answers = [actor.pid.remote() for actor in actors]
    done, left = ray.wait(answers, timeout=_START_SECONDS)
    if left:
        done += ray.wait(left, num_returns=len(left), timeout=_OTHERS_SECONDS)[0]
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UsageError(_unstarted(lines[-1] if lines else type(error).__name__)) from None


def _unstarted(why: str) -> str:
    if "No module named 'lightsweep" in why:
        return (
            "the nodes of the Ray cluster have no lightsweep\n"
            "install it there, or name it under pip in a file for -- --runtime-env FILE"
        )
    return f"the Ray cluster cannot start an agent: {one_line(why.partition('RuntimeError: ')[2] or why, 300)}"


# --- what an agent needs


def actor_options(launch: Launch, options: argparse.Namespace) -> dict[str, Any]:
    """Return Ray's options for the actors of a launch.

    Raises:
        UsageError: Ray cannot give what is asked.
    """
    if options.working_dir is not None and not options.working_dir.is_dir():
        raise UsageError(f"--working-dir {options.working_dir} is not a directory")
    per_run, jobs = launch.gpus_per_run, launch.jobs_per_agent
    gpus = round(per_run * jobs, 4)
    if per_run > 1 and per_run % 1:
        raise UsageError(f"--gpus-per-run {number(per_run)}: Ray gives whole GPUs, or a fraction of one, such as 0.5")
    if 0 < per_run < 1 < gpus:
        raise UsageError(
            f"--gpus-per-run {number(per_run)}: the {jobs} runs of an agent share one GPU, which holds "
            f"{int(1 / per_run + 1e-9)} of them\nask for fewer --jobs-per-agent, and for more --agents"
        )
    return {
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "max_restarts": -1,
        "num_cpus": round((1 if launch.cpus_per_run is None else launch.cpus_per_run) * jobs, 4),
        "num_gpus": gpus,
        "resources": dict(options.resources),
        "runtime_env": dict(options.runtime_env),
    }


def agent_variables(launch: Launch, shipped: bool) -> dict[str, str]:
    """Return the variables of an agent beside those of its node; a file beside a shipped directory is not there."""
    threads = {"OMP_NUM_THREADS": str(max(1, int(launch.cpus_per_run)))} if launch.cpus_per_run else {}
    return {**threads, **(launch.variables if shipped else launch.environment())}


@contextmanager
def _by_value(ray: Any) -> Iterator[None]:
    """Let Ray ship the actor's module, so that no actor loads the package."""
    ray.cloudpickle.register_pickle_by_value(ray_actor)
    try:
        yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(ray_actor)


def waiting(needs: Mapping[str, float], nodes: Iterable[Mapping[str, Any]], free: Mapping[str, float]) -> str:
    """Return why an actor waits.

    Args:
        needs: The resources that it needs.
        nodes: The nodes of the cluster, as ``ray.nodes`` gives them.
        free: The resources that nobody uses, of all nodes together.
    """
    totals = [node["Resources"] for node in nodes]
    needs = dict(sorted(needs.items()))
    text = ", ".join(f"{name} {number(value)}" for name, value in needs.items())
    if not any(all(total.get(name, 0) >= value for name, value in needs.items()) for total in totals):
        return f"no node of the cluster has {text}"
    short = [name for name, value in needs.items() if free.get(name, 0) < value]
    if short:
        return f"waits for {text}; free: {', '.join(f'{name} {number(free.get(name, 0))}' for name in short)}"
    return f"waits for a node with {text}"


def _output(sweep_id: str, name: str) -> Path:
    return RUNS.absolute() / sweep_id / f"{name}.log"
