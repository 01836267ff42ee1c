"""Connections to database servers: always in one time zone, and with a limit on waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket

import optuna
import pytest

from lightsweep.errors import StorageError
from lightsweep.storage import open_storage, trials_of
from lightsweep.storage import opening as servers
from lightsweep.storage.trial_reader import TrialReader
from lightsweep.storage.url import parse


@pytest.mark.parametrize("zones", [("Asia/Kathmandu", "UTC"), ("America/St_Johns", "Pacific/Apia")])
def test_heartbeats_are_understood_in_every_time_zone(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch, zones: tuple[str, str]
) -> None:
    url = postgresql()
    monkeypatch.setenv("PGTZ", zones[0])  # the session's zone, as libpq takes it
    one = open_storage(url)
    study = optuna.create_study(storage=one.optuna)
    trial = study.ask()
    one.optuna.record_heartbeat(trial._trial_id)
    monkeypatch.setenv("PGTZ", zones[1])
    two = open_storage(url)
    ledger = TrialReader(trials_of(two), study._study_id)
    ledger.take(ledger.read("none")[1])
    assert ledger.stale(30.0) == []
    time.sleep(1.1)
    assert len(ledger.stale(1.0)) == 1
    two.optuna.record_heartbeat(trial._trial_id)  # Optuna writes later ones by another statement
    assert ledger.stale(30.0) == []
    one.close()
    two.close()


def test_connections_that_the_server_closed_are_replaced(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_IDLE_SECONDS", 0.0)  # connections that were just used are not tested
    url = postgresql()
    one, two = open_storage(url), open_storage(url)
    assert one.optuna.get_all_studies() == []
    with two.engine.begin() as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        assert connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {others}").scalars().all() == [True]
    with one.reading() as connection:
        assert connection.exec_driver_sql("SHOW TIME ZONE").scalar_one() == "UTC"
    assert one.optuna.get_all_studies() == []
    one.close()
    two.close()


def test_idle_connections_are_asked_only_if_the_server_may_have_closed_them(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_IDLE_SECONDS", 0.0)
    storage = open_storage(postgresql())
    asked: list[object] = []
    monkeypatch.setattr(storage.engine.dialect, "do_ping", asked.append)
    for _ in range(2):  # the first call connects
        assert storage.optuna.get_all_studies() == []
    assert asked == []
    monkeypatch.setattr(servers, "_FORGOTTEN_SECONDS", 0.0)
    assert storage.optuna.get_all_studies() == []
    assert len(asked) == 1
    storage.close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(servers._LIBPQ, "connect_timeout", 2)
    with silent_port() as port:
        began = time.monotonic()
        with pytest.raises(StorageError, match="check the URL and the server"):
            open_storage(f"postgresql://u:secret@127.0.0.1:{port}/d")
    assert time.monotonic() - began < 30


def test_settings_in_the_url_count_more() -> None:
    given = servers.engine_options(parse("postgresql+psycopg://u@h/d?connect_timeout=3"))["connect_args"]
    assert "connect_timeout" not in given
    assert given["tcp_user_timeout"] == 30_000
    assert servers.engine_options(parse("mysql+pymysql://u@h/d"))["connect_args"]["read_timeout"] == 30
