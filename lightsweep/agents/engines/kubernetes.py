"""Run agents on Kubernetes: an indexed Job for each launch, and a Secret that holds the storage's URL.

The Job is ``kubernetes.yaml``, filled in by `manifest`.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lightsweep.agents.engines import AgentJob, Engine, JobState, Launch, LostAnswerError
from lightsweep.agents.engines.kubernetes_manifest import job_name, label, manifest, read_options, secret
from lightsweep.errors import UsageError, closest
from lightsweep.storage.url import conceal, parse, read_url
from lightsweep.text import counted, printable

_INDEX = "batch.kubernetes.io/job-completion-index"
_JOB = "batch.kubernetes.io/job-name"
_FAILURES = "batch.kubernetes.io/job-index-failure-count"  # of the pods before this one of the same index
_TAKEN = "batch.kubernetes.io/job-index-ignored-failure-count"  # of the pods before this one of the same index
_SWEEP = "lightsweep/sweep"
_TIMEOUT_SECONDS = (5, 30)  # to connect, and to read an answer
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NOT_FOUND = 404
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class KubernetesEngine(Engine):
    """Submits the agents of a launch as one Job, whose pods Kubernetes starts again when it has taken them away.

    The cluster is that of the kubeconfig file (``KUBECONFIG``, or ``~/.kube/config``), or the one in whose pod this
    process runs.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        "nodes_per_run": "--nodes-per-run: on Kubernetes an agent and its runs are one pod on one node\n"
        "leave it out, or use --on slurm for runs over several nodes",
        "drain": "--drain: a pod has no end that is known before; Kubernetes sends SIGTERM. Leave it out",
    }

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        super().__init__(sweep_id, options)
        self._name = job_name(sweep_id, secrets.token_hex(3))

    @cached_property
    def _cluster(self) -> _Cluster:
        return _Cluster(self.options)

    def plan(self, launch: Launch) -> str:
        """Return the manifest of the Job as YAML, after the commands that submit it by hand. It has no secret."""
        text = manifest(launch, self._name)
        namespace = read_options(launch.options).namespace
        where = f" --namespace {shlex.quote(namespace)}" if namespace else ""
        create = f"kubectl create secret generic {self._name}{where} --from-file=url=/dev/stdin"
        lines = [
            "# `lightsweep launch` creates this Job, and a Secret with the storage's URL, which is not in here.",
            "# By hand:",
            f'#   printf %s "$LIGHTSWEEP_STORAGE" | {create}',
            f"#   kubectl create{where} --filename THIS_FILE",
        ]
        return "\n".join([*lines, text.rstrip()])

    def submit(self, launch: Launch) -> list[str]:
        """Create the Job, and the Secret with the storage's URL; without its Secret a Job is taken back.

        Raises:
            LostAnswerError: The Job may have been created.
            UsageError: Kubernetes refuses, or its agents could not reach the storage.
        """
        job = yaml.safe_load(manifest(launch, self._name))
        url = read_url(launch.storage_file) if launch.storage_file else launch.variables.get("LIGHTSWEEP_STORAGE", "")
        if (host := parse(url).host or "localhost") in _LOCAL:
            raise UsageError(
                f"storage: the host {host!r} of its URL is the pod itself for agents on Kubernetes\n"
                "name the database by an address that the cluster's nodes can reach"
            )
        cluster = _Cluster(launch.options)
        name, self._name = self._name, job_name(self.sweep_id, secrets.token_hex(3))
        made = cluster.ask("create a Job", cluster.batch.create_namespaced_job, body=job)
        try:
            cluster.ask("create a Secret", cluster.core.create_namespaced_secret, body=secret(url, made))
        except BaseException as error:  # Ctrl-C too
            try:
                cluster.delete_job(name)
            except UsageError as left:
                said = conceal(str(error), url)
                raise LostAnswerError(f"{said}\nthe Job {name} has no Secret, and is left: {left}") from None
            if isinstance(error, UsageError):
                raise UsageError(conceal(str(error), url)) from None
            raise
        return [f"{name}-{index}" for index in range(launch.agents)]

    def jobs(self) -> list[AgentJob]:
        """Return an agent for each index of a Job that runs, waits, was taken away for a while, or was given up."""
        cluster = self._cluster
        selector = f"{_SWEEP}={label(self.sweep_id)}"
        pods: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for pod in cluster.ask("list Pods", cluster.core.list_namespaced_pod, label_selector=selector)["items"]:
            pods[pod["metadata"]["labels"].get(_JOB, "")].append(pod)
        found = cluster.ask("list Jobs", cluster.batch.list_namespaced_job, label_selector=selector)["items"]
        agents: list[AgentJob] = []
        for job in sorted(found, key=_created):
            agents += _agents_of(job, pods.pop(job["metadata"]["name"], []), cluster)
        for name in sorted(pods):  # of a Job that was deleted
            agents += [_agent(name, _index(pod), [pod]) for pod in pods[name] if _is_live(pod)]
        return agents

    def stop(self, job: str) -> None:
        """Delete the Job of an agent; the pods of all its agents get SIGTERM.

        Args:
            job: The id of an agent.
        """
        self._cluster.delete_job(job.rpartition("-")[0])


# --- states


def _agents_of(job: dict[str, Any], pods: list[dict[str, Any]], cluster: _Cluster) -> list[AgentJob]:
    """Return the agents of a Job that have not ended, or have failed, in the order of their indices."""
    name, spec, status = job["metadata"]["name"], job["spec"], job.get("status", {})
    completed, failed = _indices(status, "completedIndexes"), _indices(status, "failedIndexes")
    its: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for pod in sorted(pods, key=_created):
        its[_index(pod)].append(pod)
    reason = "the Job is suspended" if spec.get("suspend") else ""
    found = []
    for index in range(int(spec["completions"])):
        last = its[index][-1] if its[index] else None
        if index in failed:
            found.append(_failed(name, index, last))
        elif index in completed or (last and last.get("status", {}).get("phase") == "Succeeded"):
            continue
        elif last:
            found.append(_agent(name, index, its[index]))
        else:
            reason = reason or cluster.warning(name) or "no pod yet"
            found.append(AgentJob(f"{name}-{index}", JobState.QUEUED, reason=reason))
    return found


def _agent(name: str, index: int, pods: list[dict[str, Any]]) -> AgentJob:
    """Return the agent of an index by its pods, the oldest first."""
    pod, status = pods[-1], pods[-1].get("status", {})
    phase, leaves = status.get("phase", "Pending"), "deletionTimestamp" in pod["metadata"]
    node = pod["spec"].get("nodeName", "") if phase == "Running" else ""
    waits = _waiting(status) if phase == "Pending" else ""
    taken = next((text for text in map(_disruption, reversed(pods[-2:])) if text), "")
    if phase == "Pending" and not taken and pod["metadata"].get("annotations", {}).get(_TAKEN, "0") != "0":
        taken = "taken away before"  # and the earlier pod was deleted
    if phase == "Running" and not leaves:
        state, reason = JobState.RUNNING, ""
    elif taken:
        state, reason = JobState.PREEMPTED, "; ".join(filter(None, (taken, waits)))
    elif leaves:
        state, reason = JobState.ENDING, ""
    else:
        state, reason = JobState.QUEUED, waits or _failure(status)
    return AgentJob(f"{name}-{index}", state, node=node, output=_output(pod), reason=printable(reason))


def _failed(name: str, index: int, pod: dict[str, Any] | None) -> AgentJob:
    """Return the agent of an index that Kubernetes has given up, by its last pod, if that is still there."""
    if pod is None:
        return AgentJob(f"{name}-{index}", JobState.FAILED, reason="given up; its pods were deleted")
    times = int(pod["metadata"].get("annotations", {}).get(_FAILURES, 0)) + 1
    why = _end(pod.get("status", {}))
    reason = f"given up after {counted(times, 'failure')}{f', the last: {why}' if why else ''}"
    return AgentJob(f"{name}-{index}", JobState.FAILED, output=_output(pod), reason=printable(reason))


def _output(pod: dict[str, Any]) -> str:
    return f"kubectl logs --namespace {pod['metadata'].get('namespace', 'default')} {pod['metadata']['name']}"


def _waiting(status: dict[str, Any]) -> str:
    """Return why a pod is pending: that no node fits, or what its container waits for, such as its image."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return _because(condition)
    for container in status.get("containerStatuses") or ():
        if waiting := container.get("state", {}).get("waiting"):
            return _because(waiting)
    return ""


def _disruption(pod: dict[str, Any]) -> str:
    """Return why the cluster took a pod away, and from which node; empty if it did not."""
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            node = pod["spec"].get("nodeName")
            return (f"taken from {node}: " if node else "") + _because(condition)
    return ""


def _failure(status: dict[str, Any]) -> str:
    """Return how a pod has failed whose successor is to come."""
    if why := _end(status):
        return f"failed ({why}), will be retried"
    return "failed, will be retried" if status.get("phase") == "Failed" else ""


def _end(status: dict[str, Any]) -> str:
    """Return how the agent of a pod has ended; empty if that is unknown."""
    for container in status.get("containerStatuses") or ():
        if ended := container.get("state", {}).get("terminated"):
            return f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}"
    return _because(status)


def _because(condition: dict[str, Any]) -> str:
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))


def _created(thing: dict[str, Any]) -> str:
    return str(thing["metadata"].get("creationTimestamp", ""))


def _index(pod: dict[str, Any]) -> int:
    return int(pod["metadata"].get("annotations", {}).get(_INDEX, 0))


def _is_live(pod: dict[str, Any]) -> bool:
    return pod.get("status", {}).get("phase", "Pending") in ("Pending", "Running")


def _indices(status: dict[str, Any], key: str) -> set[int]:
    """Return indices in the status of a Job, from Kubernetes' form ``0,2-4``."""
    found: set[int] = set()
    for part in filter(None, (status.get(key) or "").split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


# --- the cluster


class _Cluster:
    """The namespace of a cluster, asked through the official client. Every answer is a mapping, as Kubernetes sent it.

    Args:
        options: The engine's own options; they may name a context of the kubeconfig file, and a namespace.

    Raises:
        UsageError: The client is not installed, or no cluster is known.
    """

    def __init__(self, options: Sequence[str]) -> None:
        try:
            import kubernetes.client
            import kubernetes.config
        except ImportError:
            raise UsageError(
                "the engine 'kubernetes' needs Kubernetes' client for Python\n"
                "install it with: pip install 'lightsweep[kubernetes]'"
            ) from None
        own = read_options(options)
        self._errors = kubernetes.client.ApiException
        self._configuration = kubernetes.client.Configuration()
        usual = self._connect(kubernetes.config, own.context)
        self.namespace = own.namespace or usual or "default"
        self._configuration.retries = False  # a retry would be a warning in the user's terminal, and help little
        connection = kubernetes.client.ApiClient(self._configuration)
        self.core = kubernetes.client.CoreV1Api(connection)
        self.batch = kubernetes.client.BatchV1Api(connection)

    def _connect(self, config: Any, context: str) -> str:
        """Read the address and credentials of the cluster; return the namespace that belongs to them, if any."""
        configuration = self._configuration
        file = os.environ.get("KUBECONFIG") or None  # the client itself would look once, when it is imported
        try:
            contexts, active = config.list_kube_config_contexts(config_file=file)
            names = [each["name"] for each in contexts]
            if context and context not in names:
                raise UsageError(
                    f"--context {context!r}: the kubeconfig file has no such context{closest(context, names) or '.'} "
                    f"There are: {', '.join(names)}"
                )
            config.load_kube_config(file, context=context or None, client_configuration=configuration)
            chosen = next((each for each in contexts if each["name"] == context), active)
            return str(chosen["context"].get("namespace") or "")
        except (config.ConfigException, yaml.YAMLError, OSError) as error:
            if not context:
                with suppress(config.ConfigException):
                    config.load_incluster_config(client_configuration=configuration)
                    return _POD_NAMESPACE.read_text().strip()
            why = printable(" ".join(str(error).split()))
            raise UsageError(
                f"no Kubernetes cluster is known: {why}\n"
                "write the kubeconfig file that your cluster gives you to ~/.kube/config, or name it by KUBECONFIG"
            ) from None

    def ask(self, doing: str, call: Callable[..., Any], **arguments: Any) -> Any:
        """Return the answer to a call of the client, in this namespace.

        Args:
            doing: The name of the call in messages, such as "list Pods".
            call: The method of the client.
            **arguments: The arguments of the method.

        Raises:
            LostAnswerError: The cluster does not answer, and may have done what was asked.
            UsageError: The cluster refuses, or cannot be reached.
        """
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

        try:
            answer = call(
                namespace=self.namespace, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS, **arguments
            )
            return json.loads(answer.data)
        except self._errors as error:
            body = error.body or error.reason or ""
            text = body.decode() if isinstance(body, bytes) else str(body)
            raise _RefusedError(self._refusal(doing, error.status, text), error.status) from None
        except ValueError as error:  # the client validates what it sends, and an answer may be another program's
            raise UsageError(f"Kubernetes did not {doing}: {printable(str(error))}") from None
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            kind = (
                UsageError
                if isinstance(reason, (NewConnectionError, ConnectTimeoutError, SSLError))
                else LostAnswerError
            )
            raise kind(
                f"the Kubernetes cluster at {self._configuration.host} does not answer: {printable(str(reason))}\n"
                "look at `kubectl get nodes`; another cluster is named by --context"
            ) from None

    def _refusal(self, doing: str, status: int, body: str) -> str:
        """Return the message for a refusal of the cluster."""
        try:
            answer = json.loads(body)
            text, of = str(answer.get("message") or body), (answer.get("details") or {}).get("kind")
        except (ValueError, AttributeError):
            text, of = body, ""
        text = printable(" ".join(text.split()))
        host = self._configuration.host
        if status == 401:
            return f"the Kubernetes cluster at {host} does not accept your credentials: {text}\nlog in to it again"
        if status == 403 and " cannot " in text:  # and not a quota or a rule of the cluster, which say what they want
            return (
                f"Kubernetes does not let you {doing}: {text}\n"
                f"ask for a role in namespace {self.namespace!r} that may, such as the ClusterRole edit"
            )
        if status == 404 and of == "namespaces":
            return (
                f"the cluster at {host} has no namespace {self.namespace!r}\n"
                "name yours after --, such as: -- --namespace team-a"
            )
        return f"Kubernetes did not {doing} (status {status}): {text}"

    def delete_job(self, name: str) -> None:
        """Delete a Job with its pods and its Secret; does nothing if there is none."""
        try:
            self.ask("delete a Job", self.batch.delete_namespaced_job, name=name, propagation_policy="Background")
        except _RefusedError as error:
            if error.status != _NOT_FOUND:
                raise

    def warning(self, name: str) -> str:
        """Return the last warning about a Job, such as that a quota is used up; empty if there is none to read."""
        selector = f"involvedObject.kind=Job,involvedObject.name={name},type=Warning"
        with suppress(UsageError):  # events are a help, and not everybody may read them
            events = self.ask("list Events", self.core.list_namespaced_event, field_selector=selector)["items"]
            if events:
                return _because(max(events, key=lambda each: str(each.get("lastTimestamp") or "")))
        return ""


class _RefusedError(UsageError):
    """A refusal of the cluster, with its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
