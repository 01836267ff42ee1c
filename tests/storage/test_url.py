"""Storage URLs: the driver of a bare scheme, tested without a server or that driver."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec

import pytest

from lightsweep.errors import StorageError
from lightsweep.storage import mask
from lightsweep.storage.url import parse

Install = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes the named modules, and no others, look installed."""

    def install(*names: str) -> None:
        def find(name: str, _package: str | None = None) -> ModuleSpec | None:
            return ModuleSpec(name, None) if name in names else None

        monkeypatch.setattr(importlib.util, "find_spec", find)

    return install


@pytest.mark.parametrize(
    ("scheme", "modules", "driver"),
    [
        ("mysql", ["pymysql"], "mysql+pymysql"),
        ("mysql", ["MySQLdb"], "mysql+mysqldb"),
        ("mysql", ["MySQLdb", "pymysql"], "mysql+pymysql"),
        ("mysql", [], "mysql"),
        ("mysql+mysqldb", ["pymysql"], "mysql+mysqldb"),
        ("mariadb", ["pymysql"], "mariadb+pymysql"),
        ("mariadb", ["MySQLdb"], "mariadb+mysqldb"),
        ("postgresql", ["psycopg", "psycopg2"], "postgresql+psycopg"),
        ("postgresql", ["psycopg2"], "postgresql+psycopg2"),
        ("postgres", ["psycopg"], "postgresql+psycopg"),
    ],
)
def test_a_bare_scheme_means_an_installed_driver(
    scheme: str, modules: list[str], driver: str, installed: Install
) -> None:
    installed(*modules)
    assert parse(f"{scheme}://host/sweeps").drivername == driver


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_the_rest_of_the_url_stays_as_it_is(scheme: str, installed: Install) -> None:
    installed("pymysql")
    url = parse(f"{scheme}://me:p%40ss%2Fword@db.example:3307/sweeps?charset=utf8mb4")
    assert (url.username, url.password, url.host, url.port) == ("me", "p@ss/word", "db.example", 3307)
    assert (url.database, dict(url.query)) == ("sweeps", {"charset": "utf8mb4"})
    # What the engine is made from has the password, escaped again; what is shown has not.
    assert parse(url.render_as_string(hide_password=False)) == url
    assert "word" not in mask(url.render_as_string(hide_password=False))
    assert url.get_dialect().name in {"mysql", "mariadb"}


def test_a_file_is_told_from_a_url_without_its_slashes() -> None:
    assert parse("some@where/sweeps.db").drivername == "sqlite"
    with pytest.raises(StorageError, match="is not a database URL"):
        parse("me:secret@host/sweeps.db")


def test_an_at_sign_in_a_password_is_named() -> None:
    with pytest.raises(StorageError, match=r"'postgresql://\*\*\*' has an '@' .* write it as %40"):
        parse("postgresql://me:sec@ret@host/db")


def test_a_port_that_is_no_number_shows_no_password() -> None:
    with pytest.raises(StorageError, match="is not a database URL") as refused:
        parse("mysql://me:secret@host:port/sweeps")
    assert "secret" not in str(refused.value)
