"""A server without a free connection: opening waits for one, and says what to do if there is none for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy

from lightsweep.errors import StorageError
from lightsweep.storage import open_storage, opening
from lightsweep.storage.url import parse


@contextmanager
def without_connections(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """A user of the database who may have four connections, and has them.

    Gives the URL of that user, and a function that closes them.
    """
    owner = sqlalchemy.create_engine(parse(url), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with owner.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE few LOGIN CONNECTION LIMIT 4")
        connection.exec_driver_sql("GRANT ALL ON SCHEMA public TO few")
        connection.exec_driver_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO few")
    few = parse(url).set(username="few")
    user = sqlalchemy.create_engine(few, poolclass=sqlalchemy.NullPool)
    held = ExitStack()
    for _ in range(4):
        held.enter_context(user.connect())
    try:
        yield few.render_as_string(hide_password=False), held.close
    finally:
        held.close()
        with owner.connect() as connection:
            connection.exec_driver_sql("DROP OWNED BY few")
            connection.exec_driver_sql("DROP ROLE few")


def test_opening_waits_for_a_connection(postgresql: Callable[[], str]) -> None:
    url = postgresql()
    open_storage(url).close()
    opened = []
    with without_connections(url) as (few, release):
        thread = threading.Thread(target=lambda: opened.append(open_storage(few)))
        thread.start()
        time.sleep(1.0)
        assert not opened
        release()
        thread.join(60)
        assert len(opened) == 1
        opened[0].close()


def test_if_none_is_free_for_long_the_message_says_what_to_do(
    postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_FULL_SECONDS", 0.0)
    url = postgresql()
    open_storage(url).close()
    with (
        without_connections(url) as (few, _),
        pytest.raises(StorageError, match=r"too many connections .*raise max_connections, or start fewer agents"),
    ):
        open_storage(few)
