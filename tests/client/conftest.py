from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # where scripted.py lies, which other suites use too

from lightsweep.channel.messages import Handler
from lightsweep.channel.server import ChannelServer
from scripted import ScriptedHandler

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def outside_of_any_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LIGHTSWEEP_CHANNEL", "LIGHTSWEEP_RUN", "LIGHTSWEEP_TOKEN", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    with ChannelServer() as server:
        yield server


@pytest.fixture
def handler() -> ScriptedHandler:
    return ScriptedHandler()


@pytest.fixture
def script(server: ChannelServer, tmp_path: Path) -> Script:
    """Run a training script as a process, like an agent."""

    def run(handler: Handler, source: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "train.py"
        path.write_text(textwrap.dedent(source))
        variables = {**os.environ, **server.register("0007", handler), **environ}
        try:
            return subprocess.run(
                [sys.executable, str(path), *arguments],
                env=variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            server.unregister("0007")

    return run
