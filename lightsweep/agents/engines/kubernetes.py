"""Run agents on Kubernetes: an indexed Job for each launch, and a Secret that holds the storage's URL."""

from __future__ import annotations

import json
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml

from lightsweep.agents.engines import AgentJob, JobState, Launch, LostAnswerError
from lightsweep.agents.engines.kubernetes_manifest import (
    STOPPED_KEY,
    SWEEP_LABEL,
    as_text,
    job,
    job_name,
    label,
    read_options,
    secret,
)
from lightsweep.errors import UsageError, closest
from lightsweep.storage.url import conceal, parse, read_url
from lightsweep.text import counted, printable

_INDEX = "batch.kubernetes.io/job-completion-index"
_JOB = "batch.kubernetes.io/job-name"
_FAILURES = "batch.kubernetes.io/job-index-failure-count"  # of the pods before this one of the same index
_STOPPED = "lightsweep/stopped"
_TAKEN = "batch.kubernetes.io/job-index-ignored-failure-count"  # of the pods before this one of the same index
_TIMEOUT_SECONDS = (5, 30)  # to connect, and to read an answer
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class KubernetesEngine:
    """Submits the agents of a launch as one Job, whose pods Kubernetes starts again when it has taken them away.

    The cluster is that of the kubeconfig file (``KUBECONFIG``, or ``~/.kube/config``), or the one in whose pod this
    process runs.

    Args:
        sweep_id: The sweep.
        options: The options of an earlier launch; they name the cluster and the namespace for :meth:`jobs` and
            :meth:`stop`.
    """

    def __init__(self, sweep_id: str, options: Sequence[str] = ()) -> None:
        self._sweep_id = sweep_id
        self._options = tuple(options)
        self._name = job_name(sweep_id, secrets.token_hex(3))

    @cached_property
    def _cluster(self) -> _Cluster:
        return _Cluster(self._options)

    def plan(self, launch: Launch) -> str:
        """Return the manifest of the Job as YAML. The storage's URL is not in it."""
        return as_text(launch, self._name)

    def submit(self, launch: Launch) -> list[str]:
        """Create the Job, and the Secret with the storage's URL; without its Secret a Job is taken back.

        Raises:
            LostAnswerError: The Job may have been created.
            UsageError: Kubernetes refuses, or its agents could not reach the storage.
        """
        manifest = job(launch, self._name)
        url = read_url(launch.storage_file) if launch.storage_file else launch.variables.get("LIGHTSWEEP_STORAGE", "")
        _refuse_local(url)
        cluster = _Cluster(launch.options)
        name, self._name = self._name, job_name(self._sweep_id, secrets.token_hex(3))
        made = cluster.create_job(name, manifest)
        try:
            body = secret(name, url, made)
            cluster.ask("create a Secret", cluster.core.create_namespaced_secret, body=body, concealed=url)
        except BaseException as error:  # Ctrl-C too
            try:
                cluster.delete_job(name)
            except UsageError as left:
                raise LostAnswerError(f"{error}\nthe Job {name} has no Secret, and is left: {left}") from None
            raise
        return [f"{name}-{index}" for index in range(launch.agents)]

    def jobs(self) -> list[AgentJob]:
        """Return an agent for each index of a Job that runs, waits, was taken away for a while, or was given up."""
        cluster = self._cluster
        selector = f"{SWEEP_LABEL}={label(self._sweep_id)}"
        pods: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for pod in cluster.ask("list Pods", cluster.core.list_namespaced_pod, label_selector=selector)["items"]:
            pods[pod["metadata"]["labels"].get(_JOB, "")].append(pod)
        found = cluster.ask("list Jobs", cluster.batch.list_namespaced_job, label_selector=selector)["items"]
        by_name = {each["metadata"]["name"]: each for each in found}
        agents: list[AgentJob] = []
        for name in sorted(by_name | pods, key=lambda name: _created(by_name[name]) if name in by_name else ""):
            agents += agents_of(name, by_name.get(name), pods[name], partial(cluster.warning, name))
        return agents

    def stop(self, job: str) -> None:
        """Delete the pod of an agent, which gets SIGTERM, and let the Job have one agent less; the last ends the Job.

        A later pod of the same index ends at once, see `was_stopped`.

        Args:
            job: The id of an agent, or the name of a Job, whose agents then all end.
        """
        cluster = self._cluster
        selector = f"{SWEEP_LABEL}={label(self._sweep_id)}"
        found = cluster.ask("list Jobs", cluster.batch.list_namespaced_job, label_selector=selector)["items"]
        by_name = {each["metadata"]["name"]: each for each in found}
        name, _, number = job.rpartition("-")
        if job in by_name:
            cluster.delete_job(job)
        if name not in by_name or (index := int(number)) in _ended(by_name[name]) | _stopped(by_name[name]):
            return
        stopped = _stopped(by_name[name]) | {index}
        left = int(by_name[name]["spec"]["completions"]) - len(_ended(by_name[name]) | stopped)
        if not left:
            cluster.delete_job(name)
            return
        words = ",".join(map(str, sorted(stopped)))
        cluster.change("a Secret", cluster.core.patch_namespaced_secret, name, {"stringData": {STOPPED_KEY: words}})
        for pod in cluster.ask("list Pods", cluster.core.list_namespaced_pod, label_selector=selector)["items"]:
            if pod["metadata"]["labels"].get(_JOB) == name and _index(pod) == index and _is_live(pod):
                cluster.delete_pod(pod["metadata"]["name"])
        # After that, as with too many pods Kubernetes would choose one to end.
        body = {
            "metadata": {"annotations": {_STOPPED: words}},
            "spec": {"parallelism": min(left, int(by_name[name]["spec"]["parallelism"]))},
        }
        cluster.change("a Job", cluster.batch.patch_namespaced_job, name, body)


# --- states


def agents_of(
    name: str, job: dict[str, Any] | None, pods: list[dict[str, Any]], why: Callable[[], str] = lambda: ""
) -> list[AgentJob]:
    """Return the agents of a Job that have not ended, or have failed, in the order of their indices.

    Args:
        name: The name of the Job.
        job: The Job; ``None`` if it was deleted and its pods still end.
        pods: All of its pods that the cluster still has.
        why: Returns the reason why the Job has fewer pods than it wants; asked at most once.
    """
    latest: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for pod in sorted(pods, key=_created):
        latest[_index(pod)].append(pod)
    stopped = _stopped(job) if job else set()
    found = {index: _agent(name, index, its, index in stopped) for index, its in latest.items() if _is_live(its[-1])}
    missing = max(0, _wanted(job) - len(set(found) - stopped)) if job else 0
    if job and missing:
        gone = _ended(job) | stopped
        open_ = [index for index in range(job["spec"]["completions"]) if index not in gone and index not in found]
        open_.sort(key=lambda index: (index not in latest, index))  # those that have run before
        reason = "the Job is suspended" if job["spec"].get("suspend") else ""
        for index in open_[:missing]:
            if index in latest:
                found[index] = _agent(name, index, latest[index])
            else:
                reason = reason or why() or "no pod yet"
                found[index] = AgentJob(f"{name}-{index}", JobState.QUEUED, reason=reason)
    for index in _indices(job, "failedIndexes") if job else ():
        found[index] = _failed(name, index, latest[index][-1:])
    return [found[index] for index in sorted(found)]


def _agent(name: str, index: int, pods: list[dict[str, Any]], stopped: bool = False) -> AgentJob:
    """Return the agent of an index by its pods, the oldest first."""
    pod, status = pods[-1], pods[-1].get("status", {})
    phase, leaves = status.get("phase", "Pending"), stopped or "deletionTimestamp" in pod["metadata"]
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


def _failed(name: str, index: int, pods: list[dict[str, Any]]) -> AgentJob:
    """Return the agent of an index that Kubernetes has given up, by its last pod, if that is still there."""
    reason, output = "given up; its pods were deleted", ""
    for pod in pods:
        times = int(pod["metadata"].get("annotations", {}).get(_FAILURES, 0)) + 1
        why = _end(pod.get("status", {}))
        reason, output = (
            f"given up after {counted(times, 'failure')}{f', the last: {why}' if why else ''}",
            _output(pod),
        )
    return AgentJob(f"{name}-{index}", JobState.FAILED, output=output, reason=printable(reason))


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


def _indices(job: dict[str, Any], key: str) -> set[int]:
    """Return indices in the status of a Job, from Kubernetes' form ``0,2-4``."""
    found: set[int] = set()
    for part in (job.get("status", {}).get(key) or "").split(","):
        if part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def _ended(job: dict[str, Any]) -> set[int]:
    return _indices(job, "completedIndexes") | _indices(job, "failedIndexes")


def _stopped(job: dict[str, Any]) -> set[int]:
    """Return the indices whose agents were told to end."""
    words = job.get("metadata", {}).get("annotations", {}).get(_STOPPED, "")
    return {int(word) for word in words.split(",") if word}


def _wanted(job: dict[str, Any]) -> int:
    """Return the number of agents that a Job still wants to run."""
    status = job.get("status", {})
    if any(
        each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in status.get("conditions") or ()
    ):
        return 0
    left = int(job["spec"]["completions"]) - len(_ended(job) | _stopped(job))
    return min(int(job["spec"]["parallelism"]), left)


# --- the cluster


def _refuse_local(url: str) -> None:
    """Raise ``UsageError`` for a storage that no pod can reach: a file, or a database at this host's own address."""
    parsed = parse(url or "sqlite:///lightsweep.db")
    if parsed.drivername.startswith("sqlite"):
        raise UsageError(
            "storage: SQLite serves one host only, and agents on Kubernetes run on several\n"
            "start a database with `lightsweep storage serve`, and name its URL by --storage or LIGHTSWEEP_STORAGE"
        )
    if parsed.host is None or parsed.host in _LOCAL:
        raise UsageError(
            f"storage: the host {parsed.host or 'localhost'!r} of its URL is the pod itself for agents on Kubernetes\n"
            "name the database by an address that the cluster's nodes can reach"
        )


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

    def ask(self, doing: str, call: Callable[..., Any], *, concealed: str = "", **arguments: Any) -> Any:
        """Return the answer to a call of the client, in this namespace.

        Args:
            doing: The name of the call in messages, such as "list Pods".
            call: The method of the client.
            concealed: A URL whose password no message may show.
            **arguments: The arguments of the method.

        Raises:
            LostAnswerError: The cluster does not answer, and may have done what was asked.
            UsageError: The cluster refuses, or cannot be reached.
        """
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

        lost = False
        try:
            answer = call(
                namespace=self.namespace, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS, **arguments
            )
            return json.loads(answer.data)
        except self._errors as error:
            body = error.body or error.reason or ""
            text = self._refusal(doing, error.status, body.decode() if isinstance(body, bytes) else str(body))
        except ValueError as error:  # the client validates what it sends, and an answer may be another program's
            text = f"Kubernetes did not {doing}: {printable(str(error))}"
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            lost = not isinstance(reason, (NewConnectionError, ConnectTimeoutError, SSLError))
            text = (
                f"the Kubernetes cluster at {self._configuration.host} does not answer: {printable(str(reason))}\n"
                "look at `kubectl get nodes`; another cluster is named by --context"
            )
        raise (LostAnswerError if lost else UsageError)(conceal(text, concealed) if concealed else text)

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

    def create_job(self, name: str, manifest: dict[str, Any]) -> Any:
        """Create a Job and return it. If the answer is lost, ask again by the same name, so that it is there once."""
        try:
            return self.ask("create a Job", self.batch.create_namespaced_job, body=manifest)
        except LostAnswerError:
            return self.ask("create a Job", self._create_or_read, name=name, body=manifest)

    def _create_or_read(self, name: str, body: Any, **more: Any) -> Any:
        try:
            return self.batch.create_namespaced_job(body=body, **more)
        except self._errors as error:
            if error.status != 409:
                raise
            return self.batch.read_namespaced_job(name=name, **more)

    def change(self, what: str, call: Callable[..., Any], name: str, body: dict[str, Any]) -> None:
        """Change fields of a thing by a method of the client; does nothing if there is none."""
        self._unless_gone(f"change {what}", call, name=name, body=body)

    def delete_job(self, name: str) -> None:
        """Delete a Job with its pods and its Secret; does nothing if there is none."""
        self._unless_gone("delete a Job", self.batch.delete_namespaced_job, name=name, propagation_policy="Background")

    def delete_pod(self, name: str) -> None:
        """Delete a pod, which gets SIGTERM; does nothing if there is none."""
        self._unless_gone("delete a Pod", self.core.delete_namespaced_pod, name=name)

    def _unless_gone(self, doing: str, call: Callable[..., Any], **arguments: Any) -> None:
        def unless_gone(**more: Any) -> Any:
            try:
                return call(**more)
            except self._errors as error:
                if error.status != 404:
                    raise
                return _Empty()

        self.ask(doing, unless_gone, **arguments)

    def warning(self, name: str) -> str:
        """Return the last warning about a Job, such as that a quota is used up; empty if there is none to read."""
        selector = f"involvedObject.kind=Job,involvedObject.name={name},type=Warning"
        with suppress(UsageError):  # events are a help, and not everybody may read them
            events = self.ask("list Events", self.core.list_namespaced_event, field_selector=selector)["items"]
            if events:
                return _because(max(events, key=lambda each: str(each.get("lastTimestamp") or "")))
        return ""


@dataclass(frozen=True)
class _Empty:
    """The answer to a change of what does not exist."""

    data: str = "{}"
