"""The engine 'kubernetes' through the official client, against a server of our own that speaks the API."""

from __future__ import annotations

import base64
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters.kube import OTHER_TOKEN, TOKEN, Cluster, serving, write_kubeconfig

from lightsweep import UsageError
from lightsweep.agents.engines import AgentJob, JobState, Launch, LostAnswerError
from lightsweep.agents.engines.kubernetes import KubernetesEngine

SWEEP = "ab12cd34"
URL = "postgresql://ada:s3cret@db.example.com/sweeps"
IMAGE = ("--image", "train:1")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that a kubeconfig file names."""
    made = Cluster()
    with serving(made) as server:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "config", server)))
        yield made


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Three agents, with the storage's URL in a file."""
    file = tmp_path / "storage-url"
    file.touch(0o600)
    file.write_text(f"{URL}\n")
    return Launch(SWEEP, 3, tmp_path, options=IMAGE, storage_file=file)


def submitted(launch: Launch) -> KubernetesEngine:
    engine = KubernetesEngine(SWEEP, launch.options)
    engine.submit(launch)
    return engine


def states(engine: KubernetesEngine) -> list[str]:
    return [str(job.state) for job in engine.jobs()]


def changed(launch: Launch, **changes: Any) -> Launch:
    return Launch(**{**launch.__dict__, **changes})


# --- submit


def test_agents_are_submitted_as_a_job_with_a_secret(cluster: Cluster, launch: Launch) -> None:
    engine = KubernetesEngine(SWEEP)
    plan = engine.plan(launch)
    ids = engine.submit(launch)
    (job,), (secret,) = cluster.of("jobs"), cluster.of("secrets")
    name = job["metadata"]["name"]
    assert ids == [f"{name}-0", f"{name}-1", f"{name}-2"]
    assert name in plan  # what was planned
    assert base64.b64decode(secret["data"]["url"]).decode() == URL
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == job["metadata"]["uid"]
    assert [(method, path) for method, path, _ in cluster.requests] == [
        ("POST", "/apis/batch/v1/namespaces/default/jobs"),
        ("POST", "/api/v1/namespaces/default/secrets"),
    ]
    assert "s3cret" not in str(cluster.requests[0]) + plan


def test_two_launches_of_a_sweep_are_two_jobs(cluster: Cluster, launch: Launch) -> None:
    engine = KubernetesEngine(SWEEP)
    first, second = engine.submit(launch), engine.submit(launch)
    assert not set(first) & set(second)
    cluster.sync()
    assert {job.id for job in engine.jobs()} == {*first, *second}
    assert KubernetesEngine("other").jobs() == []


def test_the_namespace_is_that_of_the_option_or_of_the_context(
    cluster: Cluster, launch: Launch, tmp_path: Path
) -> None:
    for options in (("--namespace", "team-a"), ("--context", "other")):
        engine = submitted(changed(launch, options=(*IMAGE, *options)))
        cluster.sync()
        assert len(engine.jobs()) == 3
        assert KubernetesEngine(SWEEP).jobs() == []
        assert cluster.of("jobs") == []
        (job,) = cluster.of("jobs", "team-a")
        engine.stop(f"{job['metadata']['name']}-0")
        assert cluster.of("secrets", "team-a") == []
    assert cluster.tokens == {TOKEN, OTHER_TOKEN}  # each context has its own user
    with pytest.raises(UsageError, match=r"--context 'othr'.*; did you mean 'other'\? There are: tests, other"):
        submitted(changed(launch, options=(*IMAGE, "--context", "othr")))


def test_a_storage_that_no_pod_can_reach_is_refused(cluster: Cluster, launch: Launch) -> None:
    variables = {"LIGHTSWEEP_STORAGE": "postgresql://ada@localhost/sweeps"}
    with pytest.raises(UsageError, match=r"the host 'localhost' of its URL is the pod itself"):
        KubernetesEngine(SWEEP).submit(changed(launch, storage_file=None, variables=variables))
    assert cluster.requests == []


@pytest.mark.parametrize("left", [False, True], ids=["taken back", "left"])
def test_a_job_without_its_secret_is_taken_back_or_named(cluster: Cluster, launch: Launch, left: bool) -> None:
    cluster.forbidden = {("create", "secrets")} | ({("delete", "jobs")} if left else set())
    told = r"let you create a Secret: (?s:.*)\nthe Job lightsweep-.* is left: " if left else "let you create a Secret"
    with pytest.raises(LostAnswerError if left else UsageError, match=told) as raised:
        KubernetesEngine(SWEEP).submit(launch)
    assert [job["metadata"]["name"] in str(raised.value) for job in cluster.of("jobs")] == [True] * left
    assert "s3cret" not in str(raised.value)


def test_a_cluster_that_never_answers_may_have_created_the_job(cluster: Cluster, launch: Launch) -> None:
    cluster.lost = 9
    with pytest.raises(LostAnswerError, match=r"the Kubernetes cluster at http://127.* does not answer"):
        KubernetesEngine(SWEEP).submit(launch)
    assert len(cluster.of("jobs")) == 1
    engine = KubernetesEngine(SWEEP)
    cluster.sync()
    assert [job.reason for job in engine.jobs()] == ["CreateContainerConfigError: secret not found"] * 3
    for each in engine.jobs():
        engine.stop(each.id)
    assert cluster.of("jobs") == []


# --- states


def test_an_agent_waits_runs_is_taken_away_and_runs_again(cluster: Cluster, launch: Launch) -> None:
    cluster._gpus = {"node-1": 1, "node-2": 1}
    engine = submitted(changed(launch, gpus_per_run=1))
    assert [(job.state, job.reason) for job in engine.jobs()] == [(JobState.QUEUED, "no pod yet")] * 3
    cluster.sync()
    first, second, third = engine.jobs()
    name = cluster.pod(0)["metadata"]["name"]
    assert first == AgentJob(
        first.id, JobState.RUNNING, node="node-1", output=f"kubectl logs --namespace default {name}"
    )
    assert (second.state, second.node) == (JobState.RUNNING, "node-2")
    assert (third.state, third.node) == (JobState.QUEUED, "")
    assert third.reason == "Unschedulable: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu."

    cluster.preempt(0)
    first = engine.jobs()[0]
    assert (first.state, first.node) == (JobState.PREEMPTED, "node-1")
    assert first.reason.startswith("taken from node-1: PreemptionByScheduler: default-scheduler: preempting")
    cluster._gpus = {"node-2": 1}
    cluster.sync()
    cluster.sync()
    first, second, third = engine.jobs()
    assert first.state == JobState.PREEMPTED
    assert first.reason.startswith("taken away before; Unschedulable: 0/1 nodes")
    assert [second.state, third.state] == [JobState.RUNNING, JobState.QUEUED]
    cluster._gpus = {"node-1": 2, "node-2": 1}
    cluster.sync()
    assert states(engine) == ["running"] * 3


def test_disruptions_never_use_up_the_retries_of_an_agent_and_failures_do(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    for _ in range(10):
        cluster.sync()
        cluster.preempt(0)  # with the condition
        cluster._delete_pod(cluster.pod(1))  # SIGTERM without it, as by a suspended Job
        cluster.sync()
        cluster.sync()
    assert states(engine) == ["running"] * 3
    for retry in range(6):
        assert cluster.pod(2)["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == str(retry)
        cluster.end(2, 1 + retry % 2)  # 2: also if the database cannot be reached at the start
        assert engine.jobs()[2].reason == f"failed (Error, exit code {1 + retry % 2}), will be retried"
        cluster.sync()
    first, second, third = engine.jobs()
    assert (first.state, second.state, third.state) == (JobState.RUNNING, JobState.RUNNING, JobState.FAILED)
    assert third.reason == "given up after 6 failures, the last: Error, exit code 2"
    assert third.output == f"kubectl logs --namespace default {cluster.pod(2)['metadata']['name']}"
    cluster._remove(cluster.pod(2))
    assert engine.jobs()[2].reason.startswith(("given up after", "given up; its pods were deleted"))


@pytest.mark.parametrize(
    ("image", "reason"),
    [("trian:1", 'ImagePullBackOff: Back-off pulling image "trian:1"'), ("train:1", "CreateContainerConfigError: .*")],
)
def test_what_a_container_waits_for_is_the_reason(cluster: Cluster, launch: Launch, image: str, reason: str) -> None:
    engine = submitted(changed(launch, agents=1, options=("--image", image)))
    if image == "train:1":
        del cluster.objects["default", "secrets", cluster.of("secrets")[0]["metadata"]["name"]]
    cluster.sync()
    (agent,) = engine.jobs()
    assert agent.state == JobState.QUEUED
    assert re.fullmatch(reason, agent.reason)


def test_a_quota_is_the_reason_why_there_is_no_pod(cluster: Cluster, launch: Launch) -> None:
    cluster.quota = 1
    engine = submitted(launch)
    cluster.sync()
    first, second, third = engine.jobs()
    assert first.state == JobState.RUNNING
    assert second.state == third.state == JobState.QUEUED
    assert second.reason == third.reason
    assert "exceeded quota: compute, limited: pods=1" in second.reason
    cluster.forbidden = {("list", "events")}
    assert engine.jobs()[1].reason == "no pod yet"


# --- stop


def test_a_launch_is_stopped_by_any_of_its_agents(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    cluster.sync()
    other = engine.submit(launch)
    first = engine.jobs()[1].id
    engine.stop(first)
    assert states(engine) == ["queued"] * 3 + ["ending"] * 3
    assert len(cluster.of("jobs")) == len(cluster.of("secrets")) == 1
    cluster.sync()
    engine.stop(first)  # which has ended
    assert [job.id for job in engine.jobs()] == other
    engine.stop("no such job")


# --- what can go wrong


WEBHOOK = 'admission webhook "images" denied the request: train:1 is not from registry.example.com'


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"forbidden": {("list", "pods")}},
            (),
            r'does not let you list Pods: pods is forbidden: User "ada" cannot list .*'
            r"\nask for a role in namespace 'default' that may, such as the ClusterRole edit$",
        ),
        (
            {"namespaces": {"default"}},
            ("--namespace", "team-a"),
            r"has no namespace 'team-a'\nname yours after --",
        ),
        ({"accepted": set()}, (), r"does not accept your credentials: Unauthorized\nlog in to it again"),
        ({"denials": {"jobs": WEBHOOK}}, (), rf"^Kubernetes did not create a Job \(status 403\): {WEBHOOK}$"),
        ({"denials": {"secrets": f"{URL} is not encrypted"}}, (), r"db\.example\.com/sweeps is not encrypted"),
    ],
    ids=["right", "namespace", "credentials", "webhook", "webhook of secrets"],
)
def test_what_the_cluster_refuses_is_told_in_its_own_words(
    cluster: Cluster, launch: Launch, change: dict[str, Any], options: tuple[str, ...], message: str
) -> None:
    for name, value in change.items():
        setattr(cluster, name, value)
    with pytest.raises(UsageError, match=message) as raised:
        submitted(changed(launch, options=(*IMAGE, *options))).jobs()
    assert "s3cret" not in str(raised.value)


def test_a_cluster_that_does_not_answer_is_named(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "config", server)))
    with pytest.raises(UsageError, match=rf"the Kubernetes cluster at {server} does not answer: .*refused"):
        KubernetesEngine(SWEEP).jobs()


@pytest.mark.parametrize("text", [None, "a: [", "kind: Config"])
def test_a_missing_or_broken_kubeconfig_is_named(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(UsageError, match=r"no Kubernetes cluster is known: "):
        submitted(launch)


def test_without_its_client_the_engine_still_plans(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    engine = KubernetesEngine(SWEEP)
    assert "kind: Job" in engine.plan(launch)
    with pytest.raises(UsageError, match=r"install it with: pip install 'lightsweep\[kubernetes\]'"):
        engine.submit(launch)
