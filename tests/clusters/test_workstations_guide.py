"""The commands of docs/clusters/workstations.md, with a program in the place of ssh."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sandboxes import Sandbox, wait_until

from lightsweep.agents.drain import job_end
from lightsweep.schema import SweepConfig

CLUSTERS = Path(__file__).parents[2] / "docs" / "clusters"

SSH = """#!/bin/bash
# ssh HOST COMMAND: run a command in the home of another machine, which is a folder beside this one.
host=$1; shift
cd "$MACHINES/$host" && env -u LIGHTSWEEP_STORAGE_FILE HOME="$MACHINES/$host" bash -c "$*"
"""

TRAIN = """
    import os, time, lightsweep
    with lightsweep.init() as run:
        while run.config.x > 3 and not os.path.exists(os.environ["MACHINES"] + "/go"):
            time.sleep(0.1)
        run.log({"loss": run.config.x})
        print("on", os.path.basename(os.path.dirname(os.getcwd())))
    """


def blocks(page: str, language: str = "sh") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (CLUSTERS / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def open_sandbox() -> Iterator[Sandbox]:
    """A sandbox that the user of PostgreSQL may enter."""
    home = Path(tempfile.mkdtemp(prefix="lightsweep-"))
    home.chmod(0o755)
    made = Sandbox(home)
    yield made
    made.close()
    shutil.rmtree(home)


@pytest.mark.slow
def test_each_command_of_the_page_works(open_sandbox: Sandbox) -> None:
    sandbox = open_sandbox
    machines, first = sandbox.directory / "machines", sandbox.directory / "first"
    programs = sandbox.directory / "bin"
    for path in (first, programs, *(machines / name / "sweep" / ".venv" / "bin" for name in ("alice", "bob"))):
        path.mkdir(parents=True)
        if path.name == "bin":
            (path / "lightsweep").write_text(f'#!/bin/sh\nexec {sys.executable} -m lightsweep "$@"\n')
            (path / "lightsweep").chmod(0o755)
    (programs / "ssh").write_text(SSH)
    (programs / "ssh").chmod(0o755)
    environment = {**sandbox.environment, "PATH": f"{programs}:{os.environ['PATH']}", "MACHINES": str(machines)}
    sandbox.write("first/train.py", TRAIN)
    values = ", ".join(map(str, range(10)))
    parameters = f"parameters: {{x: {{values: [{values}]}}}}"
    (first / "sweep.yaml").write_text(f"program: train.py\nmethod: grid\nmetric: {{name: loss}}\n{parameters}\n")

    prepare, serve, *others, tunnel = blocks("workstations.md")
    assert "pip install" in prepare
    assert "ssh -f -N -R" in tunnel
    assert len(others) == 3
    log = sandbox.directory / "serve.log"
    with log.open("w") as opened:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {serve.strip()} --port 0"], cwd=first, env=environment, stdout=opened, stderr=opened
        )
    try:
        wait_until(lambda: "stop it with" in log.read_text() or server.poll() is not None, "the database")
        script = "\n".join(["set -e", others[0], 'echo "the id: $ID"', *others[1:]])
        done = subprocess.run(
            ["bash", "-c", script], cwd=first, env=environment, capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        sweep_id = re.findall(r"the id: (\w+)", done.stdout)[0]
        assert "told to end: local agent-" in done.stdout
        password = (first / "lightsweep_storage" / "url").read_text().partition("@")[0].rpartition(":")[2]
        assert password not in done.stdout + done.stderr
        for name in ("alice", "bob"):
            assert (machines / name / "sweep" / "storage-url").stat().st_mode & 0o777 == 0o600
            assert not (machines / name / "sweep" / "lightsweep_storage").exists()
        # One host is all machines here, so that the agents of both were told to end; one comes back.
        (machines / "go").touch()
        again = next(line for line in others[0].splitlines() if " launch " in line)
        back = {**environment, "HOST": "bob", "ID": sweep_id}
        subprocess.run(["bash", "-c", again], cwd=first, env=back, capture_output=True, check=True)
        found = {**environment, "LIGHTSWEEP_STORAGE_FILE": str(first / "lightsweep_storage" / "url")}

        def ended() -> bool:
            said = subprocess.run(
                ["lightsweep", "status", sweep_id, "--json"], cwd=first, env=found, capture_output=True, check=True
            )
            return bool(json.loads(said.stdout)["state"] == "finished")

        wait_until(ended, "bob to finish the sweep", 90)
        outputs = [path.read_text() for path in machines.glob(f"*/sweep/lightsweep_runs/{sweep_id}/*/output.log")]
        assert {line for text in outputs for line in text.splitlines()} <= {"on alice", "on bob"}
        assert {"on alice\n", "on bob\n"} <= set(outputs)
    finally:
        server.terminate()
        assert server.wait(60) == 0, log.read_text()


def test_what_the_page_about_spot_instances_says_is_understood() -> None:
    settings, sky = blocks("spot.md", "yaml")
    config = SweepConfig.load(
        {
            "program": "a.py",
            "method": "random",
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            **yaml.safe_load(settings),
        }
    )
    assert (config.options.max_preemptions, config.options.lease) == (50, 30)
    assert "lightsweep agent $SWEEP --stay" in yaml.safe_load(sky)["run"]
    command = re.findall(r"`LIGHTSWEEP_JOB_END=\$\((.*?)\)`", (CLUSTERS / "spot.md").read_text())[0]
    end = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    found = job_end({"LIGHTSWEEP_JOB_END": end})
    assert found is not None
    assert abs(found - time.time() - 6 * 3600) < 60
    for block in blocks("spot.md"):
        subprocess.run(["bash", "-n", "-c", block], check=True)
