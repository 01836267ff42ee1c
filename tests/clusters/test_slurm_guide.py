"""The commands of docs/clusters/slurm.md, one after the other, on a real Slurm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_slurm import Cluster
from sandboxes import wait_until

from lightsweep.schema.launching import SETTINGS_FILE

pytestmark = pytest.mark.slow

GUIDE = Path(__file__).parents[2] / "docs" / "clusters" / "slurm.md"
TRAIN = """
import time, lightsweep
with lightsweep.init() as run:
    time.sleep(0.5)
    run.log({"loss": run.config.x})
"""
SWEEP = """
program: train.py
method: grid
metric: {name: loss}
parameters: {x: {values: [1, 2, 3, 4, 5, 6]}}
"""


def blocks() -> list[tuple[str, str]]:
    """The language and the text of each block of the page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@contextmanager
def served(cluster: Cluster, command: str) -> Iterator[None]:
    """Keep the server of the first block in a terminal that stays open."""
    log = cluster.folder / "terminal"
    with log.open("w") as opened:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=cluster.folder, env=cluster.environment, stdout=opened, stderr=opened
        )
    try:
        wait_until(lambda: "stop it with" in log.read_text() or server.poll() is not None, "the database")
        yield
    finally:
        server.terminate()
        assert server.wait(60) == 0, log.read_text()


def test_each_command_of_the_page_works(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster.folder / "train.py").write_text(TRAIN)
    (cluster.folder / "sweep.yaml").write_text(SWEEP)
    monkeypatch.delitem(cluster.environment, "LIGHTSWEEP_STORAGE")
    monkeypatch.setitem(cluster.environment, "PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (first, *others) = blocks()
    assert first[1].startswith("lightsweep storage serve")
    assert [language for language, _ in others].count("sh") >= 5
    script = ["set -e"]
    for language, text in others:
        script.append(text if language == "sh" else f"cat > {SETTINGS_FILE} <<'END'\n{text}END\n")
    script += ["echo the id: $ID"]
    with served(cluster, first[1].strip()):
        said = cluster.call("bash", "-c", "\n".join(script), seconds=400)
        assert re.search(r"agents: .*(running|queued|have ended)", said)
        assert re.search("told to end: slurm |is left to end", said), "they may have ended before"
        assert "#SBATCH --gres=gpu:1" in said
        ids = re.findall(r"^([a-z0-9]{8})$", said, re.MULTILINE) + re.findall(r"the id: (\w+)", said)
        assert len(ids) == 2
        monkeypatch.setitem(
            cluster.environment, "LIGHTSWEEP_STORAGE_FILE", str(cluster.folder / "lightsweep_storage/url")
        )
        for sweep_id in ids:
            runs = cluster.finish(sweep_id, 120)
            assert [run["state"] for run in runs] == ["finished"] * 6
