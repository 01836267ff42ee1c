"""``lightsweep dashboard``: on this machine only, and gone with Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import optuna
import pytest
from sandboxes import Sandbox

from lightsweep.cli import main
from lightsweep.cli.report import only_here
from lightsweep.storage import open_storage


@pytest.fixture
def served(sandbox: Sandbox) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its URL, and the id of the sweep that it shows."""
    sweep_id = sandbox.sweep("")
    process = subprocess.Popen(
        [sys.executable, "-m", "lightsweep", "dashboard", "--port", "0"],
        cwd=sandbox.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip(), sweep_id
    finally:
        process.kill()
        process.communicate(timeout=30)


def get(url: str, host: str | None = None) -> str:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_it_shows_the_sweeps_and_ends_with_ctrl_c(served: tuple[subprocess.Popen[str], str, str]) -> None:
    process, url, sweep_id = served
    assert url.startswith("http://127.0.0.1:")
    assert "<title>Optuna Dashboard</title>" in get(f"{url}dashboard/")
    assert sweep_id in get(f"{url}api/studies")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(f"{url}api/studies", host="attacker.example:80")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Ctrl-C ends it" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8", "200"),
        ("localhost:8", "200"),
        ("LOCALHOST:8", "200"),
        ("127.0.0.1", "200"),
        ("localhost", "200"),
        ("", "403"),
        ("x:8", "403"),
        ("x", "403"),
        ("localhost:8.x", "403"),
        ("x:localhost", "403"),
        ("localhost.x:8", "403"),
    ],
)
def test_only_requests_to_this_machine_are_answered(host: str, status: str) -> None:
    found: list[str] = []

    def start(line: str, headers: object) -> None:
        found.append(line)

    def app(environ: object, start: object) -> list[bytes]:
        found.append("200")
        return []

    list(only_here(app)({"HTTP_HOST": host}, start))
    assert found[0].startswith(status)


def test_it_shows_the_names_of_the_sweep_and_of_its_metrics(sandbox: Sandbox) -> None:
    metrics = [{"name": "loss"}, {"name": "seconds", "goal": "minimize"}]
    one = sandbox.sweep("", name="digits")
    several = sandbox.sweep("", method="random", run_cap=3, metric=None, metrics=metrics)
    storage = open_storage(sandbox.storage)
    study = optuna.load_study(study_name=one, storage=storage.optuna)
    assert study.metric_names == ["loss"]
    assert study.user_attrs["name"] == "digits"
    assert optuna.load_study(study_name=several, storage=storage.optuna).metric_names == ["loss", "seconds"]
    storage.close()


def test_a_port_that_is_taken(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.sweep("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["dashboard", "--port", str(port)]) == 2
    assert (
        capsys.readouterr().err
        == f"error: port {port} cannot be used: Address already in use; choose another one with --port\n"
    )


def test_it_says_how_to_get_what_is_not_installed(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ModuleNotFoundError("No module named 'optuna_dashboard'", name="optuna_dashboard")

    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == "optuna_dashboard":
                raise error

    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna_dashboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    assert main(["dashboard"]) == 2
    assert "pip install 'lightsweep[dashboard]'" in capsys.readouterr().err
