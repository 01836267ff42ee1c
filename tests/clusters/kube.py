"""A cluster as far as the engine 'kubernetes' sees one: an API server that keeps Jobs, Secrets, Pods and Events.

It answers by HTTP, and refuses as Kubernetes does: by token, by role, by
namespace, and by the schema of a Job. :meth:`Cluster.sync` is its Job controller, scheduler and kubelet in one: it
makes a pod for each index, gives it a node, and runs its command as a process here, with the variables that the
Secret holds.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

TOKEN, OTHER_TOKEN = "token-of-the-tests", "token-of-the-other-context"
BATCH = "batch.kubernetes.io/"
KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret", "events": "Event"}
VERBS = {"POST": "create", "DELETE": "delete"}
_PATH = re.compile(r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(\w+)(?:/([^/]+))?")


class Cluster:
    """The state of the cluster, and what its parts do.

    Args:
        images: The images that can be pulled.
        gpus: GPUs of each node.
        directory: What a volume's claim is on this machine.
        runs: Run the commands of pods; otherwise a pod runs until a test ends it.
    """

    def __init__(
        self,
        *,
        images: tuple[str, ...] = ("train:1",),
        gpus: dict[str, int] | None = None,
        directory: Path | None = None,
        runs: bool = False,
    ) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.namespaces = {"default", "team-a"}
        self.forbidden: set[tuple[str, str]] = set()
        self.requests: list[tuple[str, str, Any]] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.quota: int | None = None
        self.lost = 0
        self.denials: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.accepted = {TOKEN, OTHER_TOKEN}
        self._images = images
        self._gpus = {"node-1": 8, "node-2": 8} if gpus is None else gpus
        self._directory = directory
        self._runs = runs
        self._counted: set[str] = set()
        self._failures: dict[tuple[str, int], list[int]] = {}
        self._lock = threading.RLock()
        self._made = 0

    # --- what tests ask and do

    def of(self, kind: str, namespace: str = "default") -> list[dict[str, Any]]:
        with self._lock:
            return [each for (place, of, _), each in self.objects.items() if (place, of) == (namespace, kind)]

    def pod(self, index: int, namespace: str = "default") -> dict[str, Any]:
        """The newest pod of an index."""
        return [each for each in self.of("pods", namespace) if _index(each) == index][-1]

    def preempt(self, index: int, reason: str = "PreemptionByScheduler") -> None:
        """Take a pod away for one of higher priority: the condition, then the deletion."""
        with self._lock:
            pod = self.pod(index)
            message = "default-scheduler: preempting to accommodate a higher priority pod"
            condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
            pod["status"].setdefault("conditions", []).append(condition)
            self._delete_pod(pod)

    def end(self, index: int, code: int) -> None:
        """End the container of a pod that runs without a process."""
        with self._lock:
            self._ended(self.pod(index), code)

    # --- the API

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, token: str) -> tuple[int, Any]:
        found = _PATH.fullmatch(path)
        with self._lock:
            self.requests.append((method, path, body))
            self.tokens.add(token)
            if token not in self.accepted:
                return _refusal(401, "Unauthorized", "Unauthorized")
            if not found:
                return _refusal(404, "NotFound", "the server could not find the requested resource")
            namespace, kind, name = found.groups()
            listing = name is None and method == "GET"
            verb = "list" if listing else VERBS[method]
            if (verb, kind) in self.forbidden:
                group = "batch" if kind == "jobs" else ""
                what = f'{kind}{"." + group if group else ""} is forbidden: User "ada" cannot {verb} resource "{kind}"'
                text = f'{what} in API group "{group}" in the namespace "{namespace}"'
                return _refusal(403, "Forbidden", text, kind)
            if listing:
                return 200, {
                    "kind": f"{KINDS[kind]}List",
                    "apiVersion": "v1",
                    "items": self._list(namespace, kind, query),
                }
            if method == "POST":
                return self._create(namespace, kind, body)
            thing = self.objects.get((namespace, kind, name))
            if thing is None:
                return _refusal(404, "NotFound", f'{kind} "{name}" not found', kind)
            policy = (body or {}).get("propagationPolicy") or query.get("propagationPolicy")
            self._delete_job(namespace, thing, policy)
            return 200, thing

    def _list(self, namespace: str, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        fields = dict(part.split("=") for part in query.get("fieldSelector", "").split(",") if part)
        found = self.of(kind, namespace)
        return [
            each
            for each in found
            if wanted.items() <= each["metadata"].get("labels", {}).items()
            and all(_field(each, path) == value for path, value in fields.items())
        ]

    def _create(self, namespace: str, kind: str, body: dict[str, Any]) -> tuple[int, Any]:
        if namespace not in self.namespaces:
            return _refusal(404, "NotFound", f'namespaces "{namespace}" not found', "namespaces")
        if kind in self.denials:
            return _refusal(403, "Forbidden", self.denials[kind], kind)
        name = body["metadata"]["name"]
        if (namespace, kind, name) in self.objects:
            return _refusal(409, "AlreadyExists", f'{kind} "{name}" already exists', kind)
        try:
            kubernetes_validate.validate(body, "1.31", strict=True)
        except kubernetes_validate.ValidationError as error:
            return _refusal(422, "Invalid", f'{kind} "{name}" is invalid: {error.message}', kind)
        stored = self._store(namespace, kind, body)
        if kind == "secrets":
            stored["data"] = _encoded(stored.pop("stringData", {}))
        else:
            stored["status"] = {}
        return 201, stored

    def _store(self, namespace: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self._made += 1
        metadata = {
            **body["metadata"],
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": f"2026-01-01T{self._made // 3600:02}:{self._made // 60 % 60:02}:{self._made % 60:02}Z",
        }
        stored: dict[str, Any] = {**json.loads(json.dumps(body)), "metadata": metadata}
        self.objects[namespace, kind, metadata["name"]] = stored
        return stored

    def _delete_job(self, namespace: str, job: dict[str, Any], policy: str | None) -> None:
        assert policy == "Background", policy  # the default of a Job leaves its pods running
        del self.objects[namespace, "jobs", job["metadata"]["name"]]
        uid = job["metadata"]["uid"]
        for place, kind, name in list(self.objects):
            owned = self.objects[place, kind, name]
            if any(owner["uid"] == uid for owner in owned["metadata"].get("ownerReferences", ())):
                if kind == "pods":
                    self._delete_pod(owned)
                else:
                    del self.objects[place, kind, name]

    def _delete_pod(self, pod: dict[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        pod["metadata"]["deletionTimestamp"] = f"{time.monotonic() + pod['spec']['terminationGracePeriodSeconds']}"
        if pod["status"]["phase"] == "Pending":
            self._remove(pod)
        elif process := self.processes.get(pod["metadata"]["uid"]):
            process.send_signal(signal.SIGTERM)

    def _remove(self, pod: dict[str, Any]) -> None:
        self.objects.pop((pod["metadata"]["namespace"], "pods", pod["metadata"]["name"]), None)

    # --- the controller, the scheduler and the kubelet

    def sync(self) -> None:
        """Do once what the cluster does all the time."""
        with self._lock:
            for namespace in self.namespaces:
                for pod in self.of("pods", namespace):
                    self._look_at(pod)
                for job in self.of("jobs", namespace):
                    self._control(namespace, job)
                for pod in self.of("pods", namespace):
                    if pod["status"]["phase"] == "Pending":
                        self._start(pod)

    def _look_at(self, pod: dict[str, Any]) -> None:
        namespace, owner = pod["metadata"]["namespace"], pod["metadata"]["labels"][f"{BATCH}job-name"]
        if pod["status"]["phase"] in ("Succeeded", "Failed") and (namespace, "jobs", owner) not in self.objects:
            self._remove(pod)
        process = self.processes.get(pod["metadata"]["uid"])
        if process and process.poll() is not None:
            code = process.returncode
            self._ended(pod, 128 - code if code < 0 else code)
        elif process and time.monotonic() > float(pod["metadata"].get("deletionTimestamp", "inf")):
            process.kill()
        elif not process and not self._runs and "deletionTimestamp" in pod["metadata"]:
            self._ended(pod, 143)

    def _ended(self, pod: dict[str, Any], code: int) -> None:
        if pod["status"]["phase"] != "Running":
            return
        pod["status"]["phase"] = "Failed" if code else "Succeeded"
        terminated = {"exitCode": code, "reason": "Error" if code else "Completed"}
        pod["status"]["containerStatuses"] = [{"name": "agent", "state": {"terminated": terminated}}]

    def _control(self, namespace: str, job: dict[str, Any]) -> None:
        spec, status, name = job["spec"], job["status"], job["metadata"]["name"]
        pods = [each for each in self.of("pods", namespace) if each["metadata"]["labels"][f"{BATCH}job-name"] == name]
        done = {key: _read(status.get(key, "")) for key in ("completedIndexes", "failedIndexes")}
        for pod in pods:
            if pod["status"]["phase"] in ("Succeeded", "Failed") and pod["metadata"]["uid"] not in self._counted:
                self._counted.add(pod["metadata"]["uid"])
                self._count(spec, name, pod, done)
            if pod["status"]["phase"] in ("Succeeded", "Failed") and "deletionTimestamp" in pod["metadata"]:
                self._remove(pod)
        status.update({key: ",".join(map(str, sorted(indices))) for key, indices in done.items() if indices})
        ended = set().union(*done.values())
        if len(ended) == spec["completions"]:
            kind = "Failed" if done["failedIndexes"] else "Complete"
            status["conditions"] = [{"type": kind, "status": "True"}]
            return
        live = [each for each in pods if each["status"]["phase"] in ("Pending", "Running")]
        wanted = 0 if spec.get("suspend") else min(spec["parallelism"], spec["completions"] - len(ended))
        leaving = [each for each in live if "deletionTimestamp" in each["metadata"]]
        for pod in sorted(live, key=lambda each: each["status"]["phase"])[: max(0, len(live) - len(leaving) - wanted)]:
            self._delete_pod(pod)
        has_pod = {_index(each) for each in live}
        missing = [index for index in range(spec["completions"]) if index not in ended | has_pod]
        for index in missing[: max(0, wanted - len(live))]:
            if self.quota is not None and len(self.of("pods", namespace)) >= self.quota:
                message = f'pods "{name}-{index}-" is forbidden: exceeded quota: compute, limited: pods={self.quota}'
                self._store(
                    namespace,
                    "events",
                    {
                        "metadata": {"name": f"{name}.{uuid.uuid4().hex[:6]}"},
                        "involvedObject": {"kind": "Job", "name": name},
                        "type": "Warning",
                        "reason": "FailedCreate",
                        "message": message,
                    },
                )
                return
            self._make_pod(namespace, job, index)

    def _count(self, spec: dict[str, Any], name: str, pod: dict[str, Any], done: dict[str, set[int]]) -> None:
        index, counts = _index(pod), self._failures.setdefault((name, _index(pod)), [0, 0])
        if pod["status"]["phase"] == "Succeeded":
            done["completedIndexes"].add(index)
            return
        action = next((rule["action"] for rule in spec["podFailurePolicy"]["rules"] if _fits(rule, pod)), "Count")
        counts[0] += action == "Count"
        counts[1] += action == "Ignore"
        if counts[0] > spec["backoffLimitPerIndex"]:
            done["failedIndexes"].add(index)

    def _make_pod(self, namespace: str, job: dict[str, Any], index: int) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        counts = self._failures.get((name, index), [0, 0])
        annotations = {
            f"{BATCH}job-completion-index": str(index),
            f"{BATCH}job-index-failure-count": str(counts[0]),
            f"{BATCH}job-index-ignored-failure-count": str(counts[1]),
        }
        body = {
            "metadata": {
                "name": f"{name}-{index}-{uuid.uuid4().hex[:5]}",
                "labels": {**template["metadata"]["labels"], f"{BATCH}job-name": name},
                "annotations": annotations,
                "ownerReferences": [{"kind": "Job", "name": name, "uid": job["metadata"]["uid"]}],
            },
            "spec": template["spec"],
        }
        self._store(namespace, "pods", body)["status"] = {"phase": "Pending"}

    def _start(self, pod: dict[str, Any]) -> None:
        container, status = pod["spec"]["containers"][0], pod["status"]
        if "nodeName" not in pod["spec"]:
            asked = int(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0))
            used, pods = dict.fromkeys(self._gpus, 0), dict.fromkeys(self._gpus, 0)
            for other in self.of("pods", pod["metadata"]["namespace"]):
                if other["status"]["phase"] in ("Pending", "Running") and "nodeName" in other["spec"]:
                    limits = other["spec"]["containers"][0].get("resources", {}).get("limits", {})
                    pods[other["spec"]["nodeName"]] += 1
                    used[other["spec"]["nodeName"]] += int(limits.get("nvidia.com/gpu", 0))
            fitting = [node for node, gpus in self._gpus.items() if gpus - used[node] >= asked]
            if not fitting:
                message = f"0/{len(used)} nodes are available: {len(used)} Insufficient nvidia.com/gpu."
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                status["conditions"] = [condition]
                return
            pod["spec"]["nodeName"] = min(fitting, key=lambda node: pods[node])
            status["conditions"] = [{"type": "PodScheduled", "status": "True"}]
        if container["image"] not in self._images:
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
            status["containerStatuses"] = [{"name": "agent", "state": {"waiting": waiting}}]
            return
        environment = self._environment(pod)
        if environment is None:
            waiting = {"reason": "CreateContainerConfigError", "message": "secret not found"}
            status["containerStatuses"] = [{"name": "agent", "state": {"waiting": waiting}}]
            return
        status.update(phase="Running", containerStatuses=[{"name": "agent", "state": {"running": {}}}])
        if self._runs:
            assert self._directory is not None
            with open(self._directory / f"{pod['metadata']['name']}.log", "ab") as log:  # noqa: PTH123
                self.processes[pod["metadata"]["uid"]] = subprocess.Popen(
                    container["command"], cwd=self._directory, env=environment, stdout=log, stderr=log
                )

    def _environment(self, pod: dict[str, Any]) -> dict[str, str] | None:
        """The variables of the container, those of its Secret too; ``None`` if the Secret is not there."""
        given = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        given["JOB_COMPLETION_INDEX"] = str(_index(pod))
        for variable in pod["spec"]["containers"][0]["env"]:
            reference = variable["valueFrom"]["secretKeyRef"]
            secret = self.objects.get((pod["metadata"]["namespace"], "secrets", reference["name"]))
            if secret is None:
                return None
            given[variable["name"]] = base64.b64decode(secret["data"][reference["key"]]).decode()
        return given


def _encoded(texts: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def _refusal(code: int, reason: str, message: str, kind: str = "") -> tuple[int, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    return code, {**status, "message": message, "details": {"kind": kind}}


def _index(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["annotations"][f"{BATCH}job-completion-index"])


def _read(text: str) -> set[int]:
    return {int(part) for part in text.split(",") if part}


def _field(thing: Any, path: str) -> Any:
    for part in path.split("."):
        thing = thing.get(part, {})
    return thing


def _fits(rule: dict[str, Any], pod: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    if "onPodConditions" in rule:
        return any(conditions.get(each["type"]) == each["status"] for each in rule["onPodConditions"])
    (container,) = pod["status"]["containerStatuses"]
    return container["state"]["terminated"]["exitCode"] in rule["onExitCodes"]["values"]


# --- the server


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Serve the cluster's API on this machine; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            code, body = cluster.answer(self.command, url.path, query, json.loads(raw) if raw else None, token)
            if self.command == "POST" and cluster.lost:
                cluster.lost -= 1
                self.close_connection = True
                return
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def working(cluster: Cluster, seconds: float = 0.05) -> Iterator[None]:
    """Let the cluster do its work in a thread, and end all its processes afterwards."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            cluster.sync()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for process in cluster.processes.values():
            process.kill()
            process.wait()


def write_kubeconfig(path: Path, server: str) -> Path:
    """Write a kubeconfig file with the contexts ``tests`` (the current one) and ``other``."""
    contexts = [
        {"name": "tests", "context": {"cluster": "c", "user": "ada"}},
        {"name": "other", "context": {"cluster": "c", "user": "bob", "namespace": "team-a"}},
    ]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "ada", "user": {"token": TOKEN}}, {"name": "bob", "user": {"token": OTHER_TOKEN}}],
        "contexts": contexts,
        "current-context": "tests",
    }
    path.write_text(yaml.safe_dump(document))
    return path
