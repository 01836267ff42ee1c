"""The Job of a launch on Kubernetes: the engine's own options, and the manifest that they make."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import yaml

from lightsweep.agents.engines import Launch
from lightsweep.errors import UsageError, closest

SWEEP_LABEL = "lightsweep/sweep"
CONTAINER = "agent"
SECRET_KEY = "url"
STOPPED_KEY = "stopped"
"""The key of the Secret with the indices of the agents that were told to end; missing as long as there are none."""

_STOPPED = "LIGHTSWEEP_STOPPED"
_INDEX = "JOB_COMPLETION_INDEX"  # set by Kubernetes

_GRACE_SECONDS = 30.0  # of the agent, after its runs have ended: it writes their ends and closes the storage
_TERM_SECONDS = 30.0  # the agent's --term-timeout by default
_KEPT_SECONDS = 86_400  # a Job that has ended, with its Secret
_RETRIES = 5  # of one agent that fails, after 10 s, 20 s, ..., so for five minutes if the database is away
_SIGTERM = 128 + 15
_ROUNDING = 0.05  # three runs of 0.33 GPUs share one

_QUANTITY = r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TAINT = r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?(:(?P<effect>[^=:]+))?"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"options of the engine 'kubernetes': {message}")


_TEXTS = (
    *("image", "namespace", "context", "pvc", "mount", "workdir", "python", "service-account", "memory"),
    *("run-as-user", "security"),
)
_LISTS = ("node-selector", "toleration")
_SECURITY = ("restricted", "none")


def read_options(options: Sequence[str]) -> argparse.Namespace:
    """Return the engine's own options by name; ``node_selector`` is a mapping, ``toleration`` a list of mappings.

    Raises:
        UsageError: An option is unknown, or its value is not of its form.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in _TEXTS:
        parser.add_argument(f"--{name}", default="")
    for name in _LISTS:
        parser.add_argument(f"--{name}", action="append", default=[])
    found, unknown = parser.parse_known_args(list(options))
    if unknown:
        known = [f"--{name}" for name in (*_TEXTS, *_LISTS)]
        hint = closest(unknown[0].partition("=")[0], known)
        parser.error(f"{unknown[0]!r} is not known{hint or '; there are: ' + ', '.join(known)}")
    for option in ("mount", "workdir"):
        path = getattr(found, option)
        if path and not path.startswith("/"):
            parser.error(f"--{option} {path!r} is not an absolute path, such as /workspace")
    if found.mount and not found.pvc:
        parser.error("--mount is the place of a volume; name the volume's claim by --pvc")
    if found.memory and not re.fullmatch(_QUANTITY, found.memory):
        parser.error(f"--memory {found.memory!r} is not a quantity of memory, such as 16Gi")
    if found.run_as_user and not found.run_as_user.isdecimal():
        parser.error(f"--run-as-user {found.run_as_user!r} is not the number of a user, such as 1000")
    if found.security not in ("", *_SECURITY):
        parser.error(f"--security {found.security!r} is unknown; there are: {', '.join(_SECURITY)}")
    if found.security == "none" and found.run_as_user:
        parser.error("--run-as-user needs the security context that --security none leaves out")
    found.node_selector = dict(_label(parser, text) for text in found.node_selector)
    found.toleration = [_toleration(parser, text) for text in found.toleration]
    return found


def _label(parser: _Parser, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        parser.error(f"--node-selector {text!r} is not a label of a node, such as gpu=a100")
    return key, value


def _toleration(parser: _Parser, text: str) -> dict[str, str]:
    found = re.fullmatch(_TAINT, text)
    if not found:
        parser.error(f"--toleration {text!r} is not a taint of a node, such as spot=true:NoSchedule, or its key alone")
    effect = found["effect"]
    if effect and effect not in _EFFECTS:
        parser.error(f"--toleration {text!r}: {effect!r} is not an effect of a taint; there are: {', '.join(_EFFECTS)}")
    has_value = found["value"] is not None
    value = {"operator": "Equal", "value": found["value"]} if has_value else {"operator": "Exists"}
    return {"key": found["key"], **value, **({"effect": effect} if effect else {})}


def job_name(sweep_id: str, token: str) -> str:
    """Return the name of the Job of a launch, which is also that of its Secret: a name of Kubernetes at any rate."""
    return f"lightsweep-{label(sweep_id).lower().replace('_', '-').replace('.', '-')[:30].strip('-')}-{token}"


def label(sweep_id: str) -> str:
    """Return the label of a sweep: its id, without characters that labels cannot hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", sweep_id)[:63].strip("-._")


def job(launch: Launch, name: str) -> dict[str, Any]:
    """Return the manifest of the Job of a launch: an index for each agent.

    The storage's URL is not in it, only the name of the Secret that holds it.

    Raises:
        UsageError: An option is wrong, or Kubernetes cannot do what is asked.
    """
    own = read_options(launch.options)
    if not own.image:
        raise UsageError(
            "the engine 'kubernetes' needs an image with Python, lightsweep and what the program imports\n"
            "name it after --, such as: -- --image registry.example.com/train:1"
        )
    _refuse(launch)
    labels = {"app.kubernetes.io/name": "lightsweep", SWEEP_LABEL: label(launch.sweep_id)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **({"namespace": own.namespace} if own.namespace else {}), "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": launch.agents,
            "parallelism": launch.agents,
            "backoffLimitPerIndex": _RETRIES,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _rules()},
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(launch, own, name)},
        },
    }


def _refuse(launch: Launch) -> None:
    """Raise ``UsageError`` for what Kubernetes cannot do."""
    if not _gpus(launch).is_integer():
        raise UsageError(
            f"--gpus-per-run {launch.gpus_per_run:g}, --jobs-per-agent {launch.jobs_per_agent}: Kubernetes gives whole "
            "GPUs to an agent\nseveral runs share one GPU with, for example, --gpus-per-run 0.5 --jobs-per-agent 2"
        )
    if launch.nodes_per_run > 1:
        raise UsageError(
            f"--nodes-per-run {launch.nodes_per_run}: on Kubernetes an agent and its runs are one pod on one node\n"
            "leave it out, or use --on slurm for runs over several nodes"
        )
    if launch.drain:
        raise UsageError("--drain: a pod has no end that is known before; Kubernetes sends SIGTERM. Leave it out")


def _gpus(launch: Launch) -> float:
    """Return the GPUs of an agent: those of its runs, or one that they share; a fraction cannot be had."""
    together = float(launch.gpus_per_run * launch.jobs_per_agent)
    if float(launch.gpus_per_run).is_integer():
        return together
    return 1.0 if abs(together - 1) < _ROUNDING else 0.5


def _rules() -> list[dict[str, Any]]:
    """Return what becomes of an agent that has failed; the first rule that fits counts, otherwise it is retried."""
    return [
        # preempted, evicted, or its node is drained or lost: start it again, and do not count that
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        # told to end in another way, such as a spot node without notice to the cluster: the agent gave its runs back
        {"action": "Ignore", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [_SIGTERM]}},
    ]


def _pod(launch: Launch, own: argparse.Namespace, secret: str) -> dict[str, Any]:
    workdir = own.workdir or (_mount(own) if own.pvc else "")
    # DataLoader workers pass batches through /dev/shm, of which a container has 64 MiB by default
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    if own.pvc:
        mounts.append({"name": "work", "mountPath": _mount(own)})
        volumes.append({"name": "work", "persistentVolumeClaim": {"claimName": own.pvc}})
    agent: dict[str, Any] = {
        "name": CONTAINER,
        "image": own.image,
        "command": command(launch, own.python or "python"),
        **({"workingDir": workdir} if workdir else {}),
        "env": [
            {"name": "LIGHTSWEEP_STORAGE", "valueFrom": {"secretKeyRef": {"name": secret, "key": SECRET_KEY}}},
            {
                "name": _STOPPED,
                "valueFrom": {"secretKeyRef": {"name": secret, "key": STOPPED_KEY, "optional": True}},
            },
            *({"name": key, "value": value} for key, value in sorted(_variables(launch).items())),
        ],
        **({"resources": found} if (found := _resources(launch, own)) else {}),
        "volumeMounts": mounts,
        **({} if own.security == "none" else {"securityContext": _CONTAINER_SECURITY}),
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": int(_term_timeout(launch) + _GRACE_SECONDS),
        "shareProcessNamespace": True,  # process 1 of the pod then reaps the processes that runs leave behind
        "enableServiceLinks": False,
        **({} if own.security == "none" else {"securityContext": _pod_security(own)}),
        # an account that nobody chose gets no token for the cluster's API
        **(
            {"serviceAccountName": own.service_account}
            if own.service_account
            else {"automountServiceAccountToken": False}
        ),
        **({"nodeSelector": own.node_selector} if own.node_selector else {}),
        **({"tolerations": own.toleration} if own.toleration else {}),
        "containers": [agent],
        "volumes": volumes,
    }


_CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _pod_security(own: argparse.Namespace) -> dict[str, Any]:
    """Return what the Pod Security Standard "restricted" asks of a pod, unless the user asks for root."""
    user = int(own.run_as_user) if own.run_as_user else None
    found: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if user != 0:
        found["runAsNonRoot"] = True
    if user is not None:
        found |= {"runAsUser": user, "runAsGroup": user}
    if user and own.pvc:
        found |= {"fsGroup": user, "fsGroupChangePolicy": "OnRootMismatch"}  # the user may write to the volume
    return found


def was_stopped(environ: Mapping[str, str]) -> bool:
    """Return whether `launch --stop` told the agent of this pod to end before the pod was started.

    A Job starts a pod for each index that has not succeeded as soon as another one has, also for one that was stopped.
    Its agent ends at once, with success.
    """
    return environ.get(_INDEX, "") in environ.get(_STOPPED, "").split(",") and bool(environ.get(_INDEX))


def _mount(own: argparse.Namespace) -> str:
    return str(own.mount or "/workspace")


def _variables(launch: Launch) -> dict[str, str]:
    return {key: value for key, value in launch.variables.items() if not key.startswith("LIGHTSWEEP_STORAGE")}


def command(launch: Launch, python: str) -> list[str]:
    """Return the command of an agent in its container; it divides several GPUs of the pod among its runs."""
    if launch.gpus_per_run >= 1 and launch.jobs_per_agent > 1:
        own = ("--gpus", "all", "--gpus-per-run", f"{launch.gpus_per_run:g}")
        launch = replace(launch, jobs_per_agent=1, agent_options=(*own, *launch.agent_options))
    return launch.command(python)


def _resources(launch: Launch, own: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return what a pod asks for: memory and GPUs are limits too, and idle cores may be used beyond those asked for."""
    limits, requests = {}, {}
    if launch.gpus_per_run:
        limits["nvidia.com/gpu"] = f"{_gpus(launch):g}"
    if own.memory:
        limits["memory"] = own.memory
    if launch.cpus_per_run:
        requests["cpu"] = f"{launch.cpus_per_run * launch.jobs_per_agent:g}"
    return {key: value for key, value in (("limits", limits), ("requests", requests)) if value}


def _term_timeout(launch: Launch) -> float:
    """Return the ``--term-timeout`` of the agents in seconds."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--term-timeout", type=float, default=_TERM_SECONDS)
    return float(parser.parse_known_args(list(launch.agent_options))[0].term_timeout)


def secret(name: str, url: str, owner: dict[str, Any]) -> dict[str, Any]:
    """Return the Secret with the storage's URL, which Kubernetes deletes together with its Job.

    Args:
        name: Its name, that of the Job.
        url: The URL.
        owner: The Job, as Kubernetes has created it.
    """
    metadata = owner["metadata"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": metadata.get("labels", {}), "ownerReferences": [reference]},
        "type": "Opaque",
        "stringData": {SECRET_KEY: url},
    }


def as_text(launch: Launch, name: str) -> str:
    """Return the manifest as YAML, after the commands that submit it by hand."""
    found = job(launch, name)
    namespace = found["metadata"].get("namespace")
    where = f" --namespace {shlex.quote(namespace)}" if namespace else ""
    create = f"kubectl create secret generic {name}{where} --from-file={SECRET_KEY}=/dev/stdin"
    lines = [
        "# `lightsweep launch` creates this Job, and a Secret with the storage's URL, which is not in here. By hand:",
        f'#   printf %s "$LIGHTSWEEP_STORAGE" | {create}',
        f"#   kubectl create{where} --filename THIS_FILE",
    ]
    return "\n".join([*lines, yaml.safe_dump(found, sort_keys=False, width=120).rstrip()])
