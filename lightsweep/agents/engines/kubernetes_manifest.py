"""The Job of a launch on Kubernetes: the engine's own options, and ``kubernetes.yaml``, which they fill in."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from lightsweep.agents.engines import EngineOptions, Launch
from lightsweep.errors import UsageError

_TEMPLATE = Path(__file__).with_name("kubernetes.yaml")
_GRACE_SECONDS = 30.0  # of the agent, after its runs have ended: it writes their ends and closes the storage
_TERM_SECONDS = 30.0  # the agent's --term-timeout by default
_ROUNDING = 0.05  # three runs of 0.33 GPUs share one
_QUANTITY = r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?"
_TAINT = r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?"


def _matching(pattern: str, what: str) -> Callable[[str], str]:
    """Return a type of options whose values match a pattern."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return text

    return checked


def _toleration(text: str) -> dict[str, str]:
    found = re.fullmatch(_TAINT, text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a taint of a node, such as spot=true:NoSchedule, or its key alone\n"
            "the effect is NoSchedule, PreferNoSchedule or NoExecute"
        )
    operator = "Exists" if found["value"] is None else "Equal"
    parts = {"key": found["key"], "operator": operator, "value": found["value"], "effect": found["effect"]}
    return {name: part for name, part in parts.items() if part is not None}


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """Return the engine's own options by name.

    Raises:
        UsageError: An option is unknown, or its value is not of its form.
    """
    parser = EngineOptions("kubernetes")
    for name in ("image", "namespace", "context", "pvc", "python", "service-account"):
        parser.add_argument(f"--{name}", default="")
    path = _matching("/.*", "an absolute path, such as /workspace")
    parser.add_argument("--mount", type=path)
    parser.add_argument("--workdir", type=path)
    parser.add_argument("--memory", type=_matching(_QUANTITY, "a quantity of memory, such as 16Gi"))
    parser.add_argument("--run-as-user", type=_matching("[0-9]+", "the number of a user, such as 1000"))
    parser.add_argument("--security", choices=("restricted", "none"), default="restricted")
    node_label = _matching("[^=]+=.*", "a label of a node, such as gpu=a100")
    parser.add_argument("--node-selector", type=node_label, action="append", default=[])
    parser.add_argument("--toleration", type=_toleration, action="append", default=[])
    found = parser.read(words)
    if found.mount and not found.pvc:
        parser.error("--mount is the place of a volume; name the volume's claim by --pvc")
    if found.security == "none" and found.run_as_user:
        parser.error("--run-as-user needs the security context that --security none leaves out")
    return found


def job_name(sweep_id: str, token: str) -> str:
    """Return the name of the Job of a launch, which is also that of its Secret: a name of Kubernetes at any rate."""
    return f"lightsweep-{label(sweep_id).lower().replace('_', '-').replace('.', '-')[:30].strip('-')}-{token}"


def label(sweep_id: str) -> str:
    """Return the label of a sweep: its id, without characters that labels cannot hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", sweep_id)[:63].strip("-._")


def manifest(launch: Launch, name: str) -> str:
    """Return the Job of a launch, as YAML. The storage's URL is not in it, only the name of the Secret that holds it.

    Raises:
        UsageError: An option is wrong, or Kubernetes cannot do what is asked.
    """
    own = read_options(launch.options)
    if not own.image:
        raise UsageError(
            "the engine 'kubernetes' needs an image with Python, lightsweep and what the program imports\n"
            "name it after --, such as: -- --image registry.example.com/train:1"
        )
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    directory = own.workdir or ""
    if own.pvc:
        mount = own.mount or "/workspace"
        mounts.append({"name": "work", "mountPath": mount})
        volumes.append({"name": "work", "persistentVolumeClaim": {"claimName": own.pvc}})
        directory = directory or mount
    limits, requests = {}, {}  # memory and GPUs are limits too, and idle cores may be used beyond those asked for
    if launch.gpus_per_run:
        limits["nvidia.com/gpu"] = str(_gpus(launch))
    if own.memory:
        limits["memory"] = own.memory
    if launch.cpus_per_run:
        requests["cpu"] = f"{launch.cpus_per_run * launch.jobs_per_agent:g}"
    values = {
        "name": name,
        "namespace": own.namespace,
        "sweep": label(launch.sweep_id),
        "agents": launch.agents,
        "grace": int(_term_timeout(launch) + _GRACE_SECONDS),
        "account": own.service_account,
        "has_account": bool(own.service_account),
        "nodes": dict(each.split("=", 1) for each in own.node_selector),
        "tolerations": own.toleration,
        "pod_security": _pod_security(own),
        "image": own.image,
        "command": launch.command(own.python or "python"),
        "directory": directory,
        "limits": limits,
        "requests": requests,
        "security": _container_security(own),
        "mounts": mounts,
        "volumes": volumes,
    }
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute({key: json.dumps(value, ensure_ascii=False) for key, value in values.items()})


def _gpus(launch: Launch) -> int:
    """Return the GPUs of an agent: those of its runs, or one that they share. Raises ``UsageError`` for a fraction."""
    together = launch.gpus_per_run * launch.jobs_per_agent
    if float(launch.gpus_per_run).is_integer():
        return int(together)
    if abs(together - 1) < _ROUNDING:
        return 1
    raise UsageError(
        f"--gpus-per-run {launch.gpus_per_run:g}, --jobs-per-agent {launch.jobs_per_agent}: Kubernetes gives whole "
        "GPUs to an agent\nseveral runs share one GPU with, for example, --gpus-per-run 0.5 --jobs-per-agent 2"
    )


def _container_security(own: argparse.Namespace) -> dict[str, Any]:
    if own.security == "none":
        return {}
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _pod_security(own: argparse.Namespace) -> dict[str, Any]:
    """Return what the Pod Security Standard "restricted" asks of a pod, unless the user asks for root."""
    if own.security == "none":
        return {}
    found: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if own.run_as_user is None:
        return {**found, "runAsNonRoot": True}
    user = int(own.run_as_user)
    found |= {"runAsUser": user, "runAsGroup": user}
    if user:
        found["runAsNonRoot"] = True
    if user and own.pvc:
        found |= {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}  # the user may write to the volume
    return found


def _term_timeout(launch: Launch) -> float:
    """Return the ``--term-timeout`` of the agents in seconds."""
    parser = EngineOptions("kubernetes")
    parser.add_argument("--term-timeout", type=float, default=_TERM_SECONDS)
    return float(parser.parse_known_args(list(launch.agent_options))[0].term_timeout)


def secret(url: str, job: dict[str, Any]) -> dict[str, Any]:
    """Return the Secret with the storage's URL, which Kubernetes deletes together with its Job.

    Args:
        url: The URL.
        job: The Job, as Kubernetes has created it; the Secret has its name.
    """
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": metadata["name"], "labels": metadata.get("labels", {}), "ownerReferences": [owner]},
        "type": "Opaque",
        "stringData": {"url": url},
    }
