"""``lightsweep report --serve``: its address, Ctrl-C, and what goes wrong."""

from __future__ import annotations

import json
import re
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from sandboxes import PATIENCE_SECONDS, Sandbox

from lightsweep.cli import main, report


def test_it_shows_the_sweep_and_ends_with_ctrl_c(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep("")
    served = sandbox.follow("report", "latest", "--serve", "--port", "0")
    served.until("Ctrl-C ends it")
    (url,) = re.findall(r"^http://127\.0\.0\.1:\d+/\?token=\S+$", served.said, re.MULTILINE)
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        assert sweep_id in answer.read().decode()
    request = urllib.request.Request(url.replace("?", "news?since=0&"))
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        assert json.loads(answer.read())["rows"] == 0
    served.interrupt("ended")
    code, said = served.end()
    assert code == 0
    assert said.splitlines()[1:] == [
        f"showing sweep {sweep_id} of sqlite:///lightsweep.db live; Ctrl-C ends it",
        "ended; the sweep goes on",
    ]
    assert not list(sandbox.directory.glob("report-*"))


def test_a_port_that_is_taken(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.sweep("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["report", "latest", "--serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: port {port} cannot be used: Address already in use",
        "error: choose another one with --port; 0 takes any free one",
    ]


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 300])
def test_an_address_of_another_machine(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], host: str) -> None:
    sandbox.sweep("")
    assert main(["report", "latest", "--serve", "--host", host]) == 2
    assert f"--host {host!r} is not an address of this machine" in capsys.readouterr().err


def test_a_live_page_is_no_file(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.sweep("")
    assert main(["report", "latest", "--serve", "-o", "report.html"]) == 2
    assert main(["report", "latest", "--serve", "--format", "svg"]) == 2
    assert capsys.readouterr().err.count("leave out --output and --format") == 2
    assert main(["report", "latest", "--port", "9000"]) == 2
    assert capsys.readouterr().err == "error: --host and --port are those of the live page; add --serve\n"
    assert not list(sandbox.directory.glob("report*"))


@pytest.mark.parametrize(
    ("host", "ssh", "words"),
    [
        ("127.0.0.1", False, None),
        ("localhost", True, "ssh -N -L 8765:localhost:8765 workstation"),
        ("0.0.0.0", False, "nothing is encrypted"),
    ],
)
def test_it_says_who_can_see_the_page(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    ssh: bool,
    words: str | None,
) -> None:
    class Server:
        url = "http://x/?token=y"
        server_port = 8765

        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def serve_forever(self) -> None:
            raise KeyboardInterrupt

    opened: list[str] = []
    monkeypatch.setattr("lightsweep.report.PageServer", Server)
    monkeypatch.setattr(report.webbrowser, "open", opened.append)
    monkeypatch.setattr("socket.gethostname", lambda: "workstation")
    monkeypatch.setenv("SSH_CONNECTION", "x") if ssh else monkeypatch.delenv("SSH_CONNECTION", raising=False)
    sandbox.sweep("")
    capsys.readouterr()
    assert main(["report", "latest", "--serve", "--host", host, "--open"]) == 0
    err = capsys.readouterr().err.splitlines()
    assert opened == [Server.url]
    assert err[-2:] == ["no browser was found on this machine; open the address in one", "ended; the sweep goes on"]
    assert err[1:-2] == [] if words is None else words in err[1]


def test_a_written_page_is_opened_too(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(report.webbrowser, "open", lambda url: opened.append(url) or True)
    sweep_id = sandbox.sweep("")
    assert main(["report", "latest", "--open"]) == 0
    assert opened == [Path(f"report-{sweep_id}.html").absolute().as_uri()]
    assert capsys.readouterr().err == ""


def test_it_says_how_to_get_what_is_not_installed(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    sandbox.sweep("")
    assert main(["report", "latest", "--serve"]) == 2
    assert "pip install 'lightsweep[analysis]'" in capsys.readouterr().err
