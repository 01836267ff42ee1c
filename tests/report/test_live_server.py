"""The server of a live page: its token, the names it answers to, and nothing but GET."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from report_helpers import PARAMETERS, Worker

from lightsweep.controller import Sweep
from lightsweep.report import LivePage, PageServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    directory = tmp_path_factory.mktemp("served")
    config = {"method": "random", "metric": {"name": "val_loss"}, "run_cap": 3, "parameters": PARAMETERS}
    sweep = Sweep.create(config, storage=f"sqlite:///{directory}/lightsweep.db")
    with Worker(sweep) as worker:
        worker.log(worker.claim(), 0.5)
    with PageServer(LivePage(sweep, Path(directory)), "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()
    sweep.storage.close()


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def bearer(server: PageServer) -> str:
    return f"Bearer {server.token}"


def test_the_page_is_shown_at_its_address_with_the_token(server: PageServer) -> None:
    parts = urlsplit(server.url)
    answer, content = ask(server, f"{parts.path}?{parts.query}")
    assert answer.status == 200
    assert content.startswith(b"<!DOCTYPE html>")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert "Access-Control-Allow-Origin" not in answer.headers
    packed, content = ask(server, f"/?{parts.query}", Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(content).startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("path", ["/", "/news?since=0", "/run/0001", "/elsewhere"])
@pytest.mark.parametrize("token", ["", "?token=", "?token=wrong", "?token=%ff", "&token=wrong"])
def test_without_the_token_nothing_is_told(server: PageServer, path: str, token: str) -> None:
    answer, content = ask(server, path + token)
    assert answer.status == 403
    assert content == b"The token is missing or wrong: open the address that lightsweep has printed.\n"


def test_news_and_runs_are_json(server: PageServer) -> None:
    token = bearer(server)
    news = json.loads(ask(server, "/news?since=0", Authorization=token)[1])
    assert news["changed"]["row:0"][0] == "0001"
    for odd in ("x", "-1", "9" * 5000, "", "1&since=2"):
        assert ask(server, f"/news?since={odd}", Authorization=token)[0].status == 200
    run = json.loads(ask(server, "/run/0001", Authorization=token)[1])
    assert run["id"] == "0001"


@pytest.mark.parametrize(
    "path",
    [
        "/run/0099",
        "/run/../lightsweep.db",
        "/run/..%2f..%2fetc%2fpasswd",
        "/lightsweep.db",
        "/run/",
        "//etc/passwd",
        "/%00",
    ],
)
def test_no_file_is_found_by_its_path(server: PageServer, path: str) -> None:
    answer, _ = ask(server, path, Authorization=bearer(server))
    assert answer.status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_the_server_is_only_read(server: PageServer, method: str) -> None:
    answer, _ = ask(server, f"/?token={server.token}", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200),
        ("localhost", 200),
        ("LOCALHOST:8765", 200),
        ("[::1]:8765", 200),
        ("192.168.0.7:8765", 200),
        ("attacker.example", 403),
        ("127.0.0.1.attacker.example:8765", 403),
        ("", 403),
    ],
)
def test_a_page_elsewhere_cannot_ask_under_its_own_name(server: PageServer, host: str, status: int) -> None:
    assert ask(server, "/news", Authorization=bearer(server), Host=host)[0].status == status


def test_a_server_for_all_addresses_answers_to_the_name_of_its_machine(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "workstation")
    with PageServer(server.page, "0.0.0.0", 0) as everywhere:
        assert everywhere.url.startswith("http://workstation:")
        assert everywhere.knows("workstation:8765")
        assert not everywhere.knows("attacker.example")
    assert not server.knows("workstation")
