"""The manifest of a launch on Kubernetes: valid for each version that has its fields, and without the storage's URL."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lightsweep import UsageError
from lightsweep.agents.engines import Launch, kubernetes
from lightsweep.agents.engines.kubernetes import KubernetesEngine
from lightsweep.agents.engines.kubernetes_manifest import job_name, manifest, read_options, secret
from lightsweep.agents.launches import make_launch
from lightsweep.schema.launching import LaunchSettings

IMAGE = ("--image", "train:1")
ALL = (
    *("--image", "registry.example.com/train:1", "--namespace", "team-a", "--pvc", "project", "--mount", "/work"),
    *("--workdir", "/work/digits", "--python", "/opt/venv/bin/python", "--service-account", "trainer"),
    *("--memory", "16Gi", "--node-selector", "gpu=a100", "--node-selector=zone=b", "--toleration", "spot"),
    *("--toleration=nvidia.com/gpu=present:NoSchedule", "--toleration", "slow:NoExecute", "--context", "big"),
    *("--run-as-user", "1000", "--security", "restricted"),
)


def launch(*options: str, **more: Any) -> Launch:
    return Launch("ab12cd34", more.pop("agents", 2), Path("/here"), options=options or IMAGE, **more)


def job(made: Launch) -> dict[str, Any]:
    return dict(yaml.safe_load(manifest(made, "x")))


def pod(*options: str, **more: Any) -> dict[str, Any]:
    return dict(job(launch(*options, **more))["spec"]["template"]["spec"])


def container(*options: str, **more: Any) -> dict[str, Any]:
    (found,) = pod(*options, **more)["containers"]
    return dict(found)


def versions() -> list[str]:
    """The versions of Kubernetes whose Jobs have a limit of failures for each index."""
    found = {tuple(map(int, each.split(".")[:2])) for each in kubernetes_validate.utils.all_versions()}
    return [f"{major}.{minor}" for major, minor in sorted(found) if (major, minor) >= (1, 29)]


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("options", [IMAGE, ALL], ids=["image", "all"])
def test_kubernetes_takes_the_manifest(version: str, options: tuple[str, ...]) -> None:
    made = job(launch(*options, gpus_per_run=2, cpus_per_run=1.5, jobs_per_agent=2))
    kubernetes_validate.validate(made, version, strict=True)
    kubernetes_validate.validate(secret("postgresql://h/d", {"metadata": {"name": "x", "uid": "1"}}), version)


def test_each_agent_is_an_index_that_is_started_again_if_the_cluster_takes_it_away() -> None:
    spec = job(launch(agents=3))["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    taken, told = spec["podFailurePolicy"]["rules"]
    assert taken == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (told["action"], told["onExitCodes"]["values"]) == ("Ignore", [143])
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # which the policy needs
    assert spec["backoffLimitPerIndex"] == 5


def test_a_pod_needs_no_option_but_an_image_and_has_what_training_needs() -> None:
    spec, found = pod(), container()
    assert found["image"] == "train:1"
    assert found["command"] == ["python", "-m", "lightsweep", "agent", "ab12cd34"]
    assert found["workingDir"] == "", "the image's"
    assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in spec["volumes"]  # for DataLoader workers
    assert {"name": "shm", "mountPath": "/dev/shm"} in found["volumeMounts"]
    assert spec["shareProcessNamespace"] is True  # orphans are reaped
    assert spec["enableServiceLinks"] is False  # no variables of the namespace's services
    claimed = container(*IMAGE, "--pvc", "project", cpus_per_run=1.5, jobs_per_agent=2)
    assert claimed["workingDir"] == "/workspace"
    assert {"name": "work", "mountPath": "/workspace"} in claimed["volumeMounts"]
    assert claimed["resources"] == {"limits": {}, "requests": {"cpu": "3"}}, "more may be used"


def test_every_option_has_its_place() -> None:
    manifest, found = job(launch(*ALL)), container(*ALL)
    spec = manifest["spec"]["template"]["spec"]
    assert manifest["metadata"]["namespace"] == "team-a"
    assert found["image"] == "registry.example.com/train:1"
    assert found["command"][0] == "/opt/venv/bin/python"
    assert found["workingDir"] == "/work/digits"
    assert {"name": "work", "mountPath": "/work"} in found["volumeMounts"]
    assert {"name": "work", "persistentVolumeClaim": {"claimName": "project"}} in spec["volumes"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("trainer", True)
    assert pod(*IMAGE)["automountServiceAccountToken"] is False
    assert spec["nodeSelector"] == {"gpu": "a100", "zone": "b"}
    assert spec["tolerations"] == [
        {"key": "spot", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"},
        {"key": "slow", "operator": "Exists", "effect": "NoExecute"},
    ]
    assert found["resources"]["limits"] == {"memory": "16Gi"}


def test_a_pod_satisfies_the_restricted_pod_security_standard() -> None:
    """By the list of https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    for options in (IMAGE, ALL):
        spec, found = pod(*options), container(*options)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser") != 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert found["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"emptyDir", "persistentVolumeClaim"}


def test_the_user_of_the_pods_may_be_chosen() -> None:
    assert set(pod()["securityContext"]) == {"seccompProfile", "runAsNonRoot"}  # the user of the image
    chosen = pod(*IMAGE, "--run-as-user", "1000", "--pvc", "project")["securityContext"]
    assert (chosen["runAsUser"], chosen["fsGroup"]) == (1000, 1000), "who may write to the volume"
    root = pod(*IMAGE, "--run-as-user", "0", "--pvc", "project")["securityContext"]
    assert root == {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 0, "runAsGroup": 0}
    none = ("--security", "none")
    assert pod(*IMAGE, *none)["securityContext"] == container(*IMAGE, *none)["securityContext"] == {}


@pytest.mark.parametrize(
    ("asked", "gpus", "options"),
    [
        ({"gpus_per_run": 2}, "2", []),
        ({"gpus_per_run": 2, "jobs_per_agent": 2}, "4", ["--gpus", "all", "--gpus-per-run", "2"]),
        ({"gpus_per_run": 0.5, "jobs_per_agent": 2}, "1", ["--jobs", "2"]),
    ],
)
def test_an_agent_divides_its_gpus_among_its_runs(asked: dict[str, Any], gpus: str, options: list[str]) -> None:
    found = container(*IMAGE, **asked)
    assert found["resources"]["limits"]["nvidia.com/gpu"] == gpus
    assert found["command"][5:] == options


@pytest.mark.parametrize(
    ("options", "seconds"),
    [((), 60), (("--term-timeout", "300"), 330), (("--stay", "--term-timeout=90.5"), 120)],
)
def test_a_pod_has_more_time_to_end_than_its_agent_gives_to_runs(options: tuple[str, ...], seconds: int) -> None:
    assert pod(*IMAGE, agent_options=options)["terminationGracePeriodSeconds"] == seconds


def test_the_url_goes_into_a_secret_by_a_pipe_if_that_is_done_by_hand(tmp_path: Path) -> None:
    """The line of the manifest is run as it is, with a program in kubectl's place."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$*" > arguments\nfor last; do :; done\ncat "${last#--from-file=url=}" > url\n')
    kubectl.chmod(0o755)
    text = KubernetesEngine("ab12cd34").plan(launch(*IMAGE, "--namespace", "team-a"))
    name = yaml.safe_load(text)["metadata"]["name"]
    (line,) = [each.removeprefix("#") for each in text.splitlines() if "create secret" in each]
    url = "postgresql://ada:s3cret%24@db.example.com/sweeps"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LIGHTSWEEP_STORAGE": url}
    subprocess.run(line, shell=True, check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "url").read_text() == url
    given = f"create secret generic {name} --namespace team-a --from-file=url=/dev/stdin\n"
    assert (tmp_path / "arguments").read_text() == given


@pytest.mark.parametrize("sweep_id", ["My sweep_of.all", "x" * 100, "-"])
def test_names_are_names_of_kubernetes(sweep_id: str) -> None:
    name = job_name(sweep_id, "a1b2c3")
    assert name.replace("-", "").isalnum()
    assert name == name.lower()
    assert len(f"{name}-9999") < 63  # the host name of a pod


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--imge", "x"], "'--imge' is unknown; did you mean '--image'?"),
        (["--image"], "--image: expected one argument"),
        (["--mount", "/w"], "--mount is the place of a volume; name the volume's claim by --pvc"),
        (["--pvc", "p", "--mount", "w"], "--mount: 'w' is not an absolute path, such as /workspace"),
        (["--memory", "16GB"], "--memory: '16GB' is not a quantity of memory, such as 16Gi"),
        (["--node-selector", "a100"], "--node-selector: 'a100' is not a label of a node, such as gpu=a100"),
        (
            ["--toleration", "a:Never"],
            "or its key alone\nthe effect is NoSchedule",
        ),
        (["--run-as-user", "ada"], "--run-as-user: 'ada' is not the number of a user, such as 1000"),
        (["--security", "baseline"], "--security: invalid choice: 'baseline'"),
        (["--security", "none", "--run-as-user", "0"], "--run-as-user needs the security context that --security none"),
    ],
)
def test_a_wrong_option_is_refused_with_the_remedy(options: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_options(options)
    assert str(raised.value).startswith("options of the engine 'kubernetes': ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "asked", "message"),
    [
        (("--memory", "1Gi"), {}, r"needs an image with Python, lightsweep and what the program imports\n.*-- --image"),
        (IMAGE, {"gpus_per_run": 0.5}, r"--gpus-per-run 0.5, --jobs-per-agent 1: Kubernetes gives whole GPUs"),
        (IMAGE, {"nodes_per_run": 2}, r"--nodes-per-run: on Kubernetes an agent and its runs are one pod"),
        (IMAGE, {"drain": 600.0}, r"--drain: a pod has no end that is known before"),
    ],
)
def test_what_kubernetes_cannot_do_is_refused(options: tuple[str, ...], asked: dict[str, Any], message: str) -> None:
    engine = KubernetesEngine("ab12cd34", options)
    settings = LaunchSettings(on="kubernetes", options=options, **asked)
    with pytest.raises(UsageError, match=message):
        engine.plan(make_launch(settings, "ab12cd34", "postgresql://db.example.com/sweeps", engine))


# --- the guide


GUIDE = (Path(__file__).parents[2] / "docs" / "clusters" / "kubernetes.md").read_text()


def test_the_guide_has_every_option_and_no_other() -> None:
    table = GUIDE.partition("## Options of the engine")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(--[\w-]+)", table, re.MULTILINE)
    with pytest.raises(UsageError) as raised:
        read_options(["--?"])
    assert sorted(named) == sorted(re.findall(r"--\w[\w-]*", str(raised.value)))


def test_the_claim_of_the_guide_is_valid() -> None:
    (claim,) = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(apiVersion.*?)```", GUIDE, re.DOTALL)]
    for version in (versions()[0], versions()[-1]):
        kubernetes_validate.validate(claim, version, strict=True)


def test_the_guide_names_the_versions_whose_schemas_were_used() -> None:
    assert f"the schemas of Kubernetes {versions()[0]} to {versions()[-1]}" in GUIDE
    assert f"- Kubernetes {versions()[0]} or newer." in GUIDE


def test_the_guide_shows_the_manifest_as_it_is() -> None:
    template = Path(kubernetes.__file__).with_suffix(".yaml").read_text()
    assert f"```yaml\n{template}```" in GUIDE
