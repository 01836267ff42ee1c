"""The engine 'kubernetes' through the official client, against a server of our own that speaks the API."""

from __future__ import annotations

import base64
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters.kube import OTHER_TOKEN, TOKEN, Cluster, certificate, serving, write_kubeconfig

from lightsweep import UsageError
from lightsweep.agents.engines import AgentJob, JobState, Launch, LostAnswerError
from lightsweep.agents.engines.kubernetes import KubernetesEngine, agents_of
from lightsweep.agents.engines.kubernetes_manifest import job

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


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_agents_are_submitted_as_a_job_with_a_secret(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    cluster, authority = Cluster(), certificate(tmp_path) if tls else None
    with serving(cluster, authority) as server:
        assert server.startswith("https:" if tls else "http:")
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "config", server, authority=authority)))
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


def test_a_server_with_another_certificate_is_not_trusted(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with serving(Cluster(), certificate(tmp_path)) as server:
        monkeypatch.setenv(
            "KUBECONFIG", str(write_kubeconfig(tmp_path / "config", server, authority=certificate(other)))
        )
        with pytest.raises(UsageError, match=r"(?i)certificate.verify.failed"):
            KubernetesEngine(SWEEP).submit(launch)


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
        engine.stop(job["metadata"]["name"])
        assert cluster.of("secrets", "team-a") == []
    assert cluster.tokens == {TOKEN, OTHER_TOKEN}  # each context has its own user


def test_the_namespace_of_the_current_context_is_the_usual_one(cluster: Cluster, launch: Launch) -> None:
    path = Path(os.environ["KUBECONFIG"])
    path.write_text(path.read_text().replace("user: ada\n", "user: ada\n    namespace: team-a\n", 1))
    submitted(launch)
    assert len(cluster.of("jobs", "team-a")) == 1


def test_a_job_without_its_secret_is_taken_back(cluster: Cluster, launch: Launch) -> None:
    cluster.forbidden = {("create", "secrets")}
    with pytest.raises(UsageError, match="Kubernetes does not let you create a Secret") as raised:
        KubernetesEngine(SWEEP).submit(launch)
    assert "s3cret" not in str(raised.value)
    assert cluster.of("jobs") == []


def test_a_refusal_of_the_secret_shows_no_password(cluster: Cluster, launch: Launch) -> None:
    cluster.denials["secrets"] = f'admission webhook "secrets" denied the request: {URL} is not encrypted'
    with pytest.raises(UsageError, match="is not encrypted") as raised:
        KubernetesEngine(SWEEP).submit(launch)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////home/ada/lightsweep.db", r"SQLite serves one host only.*\n.*`lightsweep storage serve`"),
        ("lightsweep.db", r"SQLite serves one host only"),
        ("postgresql://ada@localhost/sweeps", r"the host 'localhost' of its URL is the pod itself"),
        ("postgresql://ada@/sweeps?host=/run/postgresql", r"the host 'localhost' of its URL is the pod itself"),
    ],
)
def test_a_storage_that_no_pod_can_reach_is_refused(cluster: Cluster, launch: Launch, url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        KubernetesEngine(SWEEP).submit(changed(launch, storage_file=None, variables={"LIGHTSWEEP_STORAGE": url}))
    assert cluster.requests == []


@pytest.mark.parametrize("lost", [True, False], ids=["the answer", "the request"])
def test_a_job_whose_answer_is_lost_is_created_once(cluster: Cluster, launch: Launch, lost: bool) -> None:
    cluster.lost, cluster.unheard = int(lost), int(not lost)
    ids = KubernetesEngine(SWEEP).submit(launch)
    (job,), (secret,) = cluster.of("jobs"), cluster.of("secrets")
    assert ids[0] == f"{job['metadata']['name']}-0"
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]


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


def test_a_job_that_cannot_be_taken_back_is_not_lost(cluster: Cluster, launch: Launch) -> None:
    cluster.forbidden = {("create", "secrets"), ("delete", "jobs")}
    with pytest.raises(
        LostAnswerError, match=r"let you create a Secret: (?s:.*)\nthe Job lightsweep-.* is left: "
    ) as raised:
        KubernetesEngine(SWEEP).submit(launch)
    assert cluster.of("jobs")[0]["metadata"]["name"] in str(raised.value)


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
    engine.stop(third.id)
    assert states(engine) == ["running", "running", "failed"], "there is nothing to stop"
    cluster._remove(cluster.pod(2))
    assert engine.jobs()[2].reason.startswith(("given up after", "given up; its pods were deleted"))


def test_agents_that_have_ended_are_not_listed(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    cluster.sync()
    for index in range(3):
        cluster.end(index, 0)
        cluster.sync()
        assert len(engine.jobs()) == 2 - index
    assert cluster.of("jobs")[0]["status"]["conditions"] == [{"type": "Complete", "status": "True"}]


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


def test_a_suspended_job_waits(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    cluster.sync()
    cluster.of("jobs")[0]["spec"]["suspend"] = True
    cluster.sync()
    cluster.sync()
    cluster.sync()
    assert {(job.state, job.reason) for job in engine.jobs()} == {(JobState.QUEUED, "the Job is suspended")}


def test_an_index_that_has_run_is_listed_before_one_that_was_stopped() -> None:
    """A Job with less agents than indices, as somebody has changed it."""
    job = {"spec": {"completions": 3, "parallelism": 1}}
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    pod = {
        "metadata": {"name": "x-1-abcde", "annotations": {"batch.kubernetes.io/job-completion-index": "1"}},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Failed", "conditions": [condition]},
    }
    (agent,) = agents_of("x", job, [pod])
    assert (agent.id, agent.state) == ("x-1", JobState.PREEMPTED)
    assert agent.reason == "taken from node-1: TerminationByKubelet"


# --- stop


def test_one_agent_is_stopped_and_not_started_again(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    cluster.sync()
    engine.stop(engine.jobs()[1].id)
    assert states(engine) == ["running", "ending", "running"]
    for _ in range(3):
        cluster.sync()
    assert [job.id[-2:] for job in engine.jobs()] == ["-0", "-2"]
    engine.stop(engine.jobs()[0].id)
    engine.stop("no such job")
    for _ in range(3):
        cluster.sync()
    assert [job.id[-2:] for job in engine.jobs()] == ["-2"]
    engine.stop(engine.jobs()[0].id)
    assert states(engine) == ["ending"]
    assert cluster.of("jobs") == cluster.of("secrets") == []
    cluster.sync()
    assert engine.jobs() == []


def test_an_agent_that_was_stopped_does_not_work_when_another_one_has_ended(cluster: Cluster, launch: Launch) -> None:
    """Kubernetes then starts a pod for its index: a Job wants every index to succeed."""
    engine = submitted(launch)
    cluster.sync()
    engine.stop(engine.jobs()[1].id)
    engine.stop(f"{cluster.of('jobs')[0]['metadata']['name']}-1")  # again
    cluster.sync()
    cluster.sync()
    cluster.end(0, 0)
    cluster.sync()
    seen = []
    for _ in range(4):
        seen.append([(job.id[-2:], str(job.state)) for job in engine.jobs()])
        cluster.sync()
    assert cluster.pod(1)["status"]["phase"] == "Succeeded", "a second pod, whose agent has ended at once"
    assert all(("-2", "running") in each for each in seen)
    assert all(state == "ending" for each in seen for name, state in each if name == "-1")
    assert [job.id[-2:] for job in engine.jobs()] == ["-2"]
    cluster.end(2, 0)
    cluster.sync()
    assert engine.jobs() == []
    assert cluster.of("jobs")[0]["status"]["conditions"] == [{"type": "Complete", "status": "True"}]


def test_pods_that_wait_are_stopped_too(cluster: Cluster, launch: Launch) -> None:
    cluster._gpus = {"node-1": 1}
    engine = submitted(changed(launch, gpus_per_run=1))
    cluster.sync()
    assert states(engine) == ["running", "queued", "queued"]
    for index in (2, 1):
        engine.stop(engine.jobs()[index].id)
        cluster.sync()
    assert states(engine) == ["running"]


def test_all_agents_are_stopped_with_their_job(cluster: Cluster, launch: Launch) -> None:
    engine = submitted(launch)
    cluster.sync()
    name = cluster.of("jobs")[0]["metadata"]["name"]
    engine.stop(name)
    assert states(engine) == ["ending"] * 3
    assert cluster.of("jobs") == cluster.of("secrets") == []
    engine.stop(name)  # again
    engine._cluster.delete_job(name)  # as if another one had deleted them meanwhile
    engine._cluster.delete_pod("gone")


# --- what can go wrong


@pytest.mark.parametrize(
    ("verb", "kind", "message"),
    [
        ("create", "jobs", 'Kubernetes does not let you create a Job: jobs.batch is forbidden: User "ada" cannot'),
        ("list", "pods", 'Kubernetes does not let you list Pods: pods is forbidden: User "ada" cannot list'),
    ],
)
def test_a_missing_right_is_named(cluster: Cluster, launch: Launch, verb: str, kind: str, message: str) -> None:
    cluster.forbidden = {(verb, kind)}
    with pytest.raises(UsageError) as raised:
        submitted(launch).jobs()
    first, second = str(raised.value).splitlines()
    assert first.startswith(message)
    assert second == "ask for a role in namespace 'default' that may, such as the ClusterRole edit"


def test_a_missing_namespace_is_named(cluster: Cluster, launch: Launch) -> None:
    with pytest.raises(UsageError, match=r"has no namespace 'team-b'\nname yours after --, such as: -- --namespace"):
        submitted(changed(launch, options=(*IMAGE, "--namespace", "team-b")))


def test_credentials_that_have_expired_are_named(cluster: Cluster, launch: Launch, tmp_path: Path) -> None:
    path = Path(os.environ["KUBECONFIG"])
    path.write_text(path.read_text().replace("token-of-the-tests", "old"))
    with pytest.raises(UsageError, match=r"does not accept your credentials: Unauthorized\nlog in to it again"):
        submitted(launch)


def test_what_the_cluster_refuses_is_told_in_its_own_words(cluster: Cluster, launch: Launch) -> None:
    denial = 'admission webhook "images" denied the request: train:1 is not from registry.example.com'
    cluster.denials["jobs"] = denial
    with pytest.raises(UsageError) as raised:
        submitted(launch)
    assert str(raised.value) == f"Kubernetes did not create a Job (status 403): {denial}"


def test_a_field_that_the_schema_of_a_job_does_not_have_is_refused(cluster: Cluster, launch: Launch) -> None:
    """The server of the tests is as strict as Kubernetes."""
    body = job(launch, "x")
    body["spec"]["backoffLimitPerindex"] = 3
    path = "/apis/batch/v1/namespaces/default/jobs"
    assert cluster.answer("POST", path, {}, body, TOKEN)[0] == 422


def test_a_cluster_that_does_not_answer_is_named(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "config", server)))
    with pytest.raises(UsageError, match=rf"the Kubernetes cluster at {server} does not answer: .*refused"):
        KubernetesEngine(SWEEP).jobs()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no Kubernetes cluster is known: .*\nwrite the kubeconfig file that your cluster gives you"),
        ("a: [", "no Kubernetes cluster is known: "),
        ("kind: Config", "no Kubernetes cluster is known: "),
    ],
)
def test_a_missing_or_broken_kubeconfig_is_named(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(UsageError, match=message):
        submitted(launch)


def test_an_unknown_context_is_refused_with_those_that_there_are(cluster: Cluster, launch: Launch) -> None:
    with pytest.raises(UsageError, match=r"--context 'othr'.*; did you mean 'other'\? There are: tests, other"):
        submitted(changed(launch, options=(*IMAGE, "--context", "othr")))


def test_without_its_client_the_engine_still_plans(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    engine = KubernetesEngine(SWEEP)
    assert "kind: Job" in engine.plan(launch)
    with pytest.raises(UsageError, match=r"install it with: pip install 'lightsweep\[kubernetes\]'"):
        engine.submit(launch)
