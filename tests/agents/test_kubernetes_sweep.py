"""From a sweep file to a finished sweep on Kubernetes, as a user does it: by the command line.

The cluster is a server of our own, which runs the pods' commands as processes of this machine. The database is real.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from clusters.kube import Cluster, serving, working, write_kubeconfig
from others_eyes import seen_by_others
from sandboxes import Sandbox, wait_until
from storage.serving import Serving, open_place

from lightsweep import Sweep

pytestmark = pytest.mark.slow

SCRIPT = """
    import os, time, lightsweep
    with lightsweep.init() as run:
        assert not [name for name in os.environ if name.startswith("LIGHTSWEEP_STORAGE")]
        while not os.path.exists("go"):
            time.sleep(0.05)
        for step in range(4):
            run.log({"loss": run.config.x / (step + 1)})
    """
POINTS = 12
OWN = ("--", "--image", "train:1", "--python", sys.executable)


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server with a password, at an address that is not the one of every pod itself."""
    with open_place() as place:
        server = Serving(place, "--host", "127.0.0.2", "--port", "0").ready()
        try:
            yield server.url
        finally:
            server.end()


@pytest.fixture
def cluster(sandbox: Sandbox, database: str) -> Iterator[Cluster]:
    """A cluster whose pods work in the sandbox."""
    made = Cluster(directory=sandbox.directory, runs=True)
    with serving(made) as server, working(made):
        config = write_kubeconfig(sandbox.directory / "kubeconfig", server)
        sandbox.environment |= {"KUBECONFIG": str(config), "LIGHTSWEEP_STORAGE": database}
        yield made


def agents(sandbox: Sandbox, sweep_id: str) -> list[dict[str, Any]]:
    done = sandbox.call("status", sweep_id, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["engines_not_asked"] == {}
    return list(document["agents"])


def password(url: str) -> str:
    found = re.search(r":([^:@/]+)@", url)
    assert found
    return found[1]


def running(cluster: Cluster, index: int) -> Callable[[], bool]:
    """Whether the agent of an index has a run."""

    def has_one() -> bool:
        process = cluster.processes.get(cluster.pod(index)["metadata"]["uid"])
        return process is not None and any("train.py" in child.cmdline() for child in _children(process))

    return has_one


def _children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return [each for each in psutil.Process(process.pid).children(recursive=True) if each.is_running()]
    except psutil.Error:
        return []


def test_a_sweep_is_launched_disrupted_and_completed(cluster: Cluster, sandbox: Sandbox, database: str) -> None:
    sandbox.write("train.py", SCRIPT)
    sandbox.write(
        "sweep.yaml",
        f"""
        program: train.py
        method: grid
        metric: {{name: loss}}
        parameters:
          x: {{values: {list(range(1, POINTS + 1))}}}
        lightsweep: {{lease: 10}}
        """,
    )
    launched = sandbox.call("launch", "sweep.yaml", "--on", "kubernetes", "--agents", "3", *OWN)
    assert launched.returncode == 0, launched.stderr
    said = launched.stdout + launched.stderr
    sweep_id = re.search(r"lightsweep status (\w+)", said)[1]  # type: ignore[index]
    assert f"submitted 3 agents on kubernetes: lightsweep-{sweep_id}-" in said

    wait_until(lambda: all(running(cluster, index)() for index in range(3)), "three runs")
    found = agents(sandbox, sweep_id)
    assert [(each["engine"], each["state"]) for each in found] == [("kubernetes", "running")] * 3
    assert {each["node"] for each in found} == {"node-1", "node-2"}
    text = sandbox.call("status", sweep_id).stdout
    assert "agents: 3 running" in text

    # The password is in the Secret alone: neither in the Job, nor in the processes' arguments, nor in what was printed.
    secret = password(database)
    arguments = [psutil.Process(each.pid).cmdline() for each in cluster.processes.values()]
    jobs = [body for _, path, body in cluster.requests if path.endswith("/jobs")]
    assert secret not in f"{jobs} {arguments} {said} {text} {cluster.of('pods')}"
    assert seen_by_others(secret) == []

    cluster.preempt(0)  # SIGTERM, with notice
    cluster.processes[cluster.pod(1)["metadata"]["uid"]].kill()  # SIGKILL, as by the kernel
    wait_until(lambda: len(cluster.processes) == 5, "two agents to be started again")
    (sandbox.directory / "go").touch()
    (job,) = cluster.of("jobs")
    wait_until(lambda: "conditions" in job["status"], "all agents to end", 120)
    assert job["status"]["conditions"] == [{"type": "Complete", "status": "True"}]
    assert agents(sandbox, sweep_id) == []
    runs = Sweep.load(sweep_id, storage=database).runs
    assert Counter(run.state.value for run in runs) == {"finished": POINTS}
    assert sorted(run.values["x"] for run in runs) == list(range(1, POINTS + 1))
    assert sum(run.attempt > 1 for run in runs) == 2
    logs = "".join(path.read_text() for path in sandbox.directory.glob("lightsweep-*.log"))
    assert "lost: the agent was told to end (SIGTERM)" in logs
    assert secret not in logs


def test_the_commands_of_the_guide(cluster: Cluster, sandbox: Sandbox, database: str) -> None:
    """Each block as it is on the page; the pods' image has the same command as here."""
    guide = (Path(__file__).parents[2] / "docs" / "clusters" / "kubernetes.md").read_text()
    blocks = re.findall(r"```(\w*)\n(.*?)```", guide, re.DOTALL)
    (launches,) = [text for kind, text in blocks if not kind and "lightsweep launch" in text]
    (settings,) = [text for kind, text in blocks if kind == "yaml" and text.startswith("on: ")]
    sandbox.write("train.py", SCRIPT)
    sandbox.write(
        "sweep.yaml", "{program: train.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1]}}}\n"
    )
    dry, real = launches.splitlines()
    planned = sandbox.call(*shlex.split(dry)[1:])
    assert planned.returncode == 0, planned.stderr
    assert yaml.safe_load(planned.stdout)["kind"] == "Job"
    assert cluster.requests == []
    done = sandbox.call(*shlex.split(real)[1:])
    assert done.returncode == 0, done.stderr
    sweep_id = re.search(r"lightsweep status (\w+)", done.stderr)[1]  # type: ignore[index]
    sandbox.write("lightsweep.launch.yaml", settings)
    again = sandbox.call("launch", sweep_id)
    assert again.returncode == 0, again.stderr
    assert [job["spec"]["completions"] for job in cluster.of("jobs")] == [4, 4]
    wait_until(lambda: len(cluster.of("pods")) == 8, "the pods")
    wait_until(lambda: all(each["status"].get("containerStatuses") for each in cluster.of("pods")), "the kubelet")
    text = sandbox.call("status", sweep_id).stdout
    assert "agents: 8 queued" in text
    assert "ImagePullBackOff" in text  # the reason, and its remedy on the page
    assert "`ImagePullBackOff`" in guide
    assert sandbox.call("launch", "--stop", sweep_id).returncode == 0
    assert cluster.of("jobs") == cluster.of("pods") == cluster.of("secrets") == []
    (sandbox.directory / "kubeconfig").unlink()
    assert "no Kubernetes cluster is known" in sandbox.call("status", sweep_id).stdout
