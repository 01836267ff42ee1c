"""Agents that share connections of a PostgreSQL server by a PgBouncer in transaction mode, if there is one."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.study import StudyDirection
from sqlalchemy import make_url

from lightsweep.controller import Outcome, Sweep
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import StorageError
from lightsweep.storage import open_storage
from lightsweep.storage.postgresql_trials import PostgresqlTrials

PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
AGENTS, CONNECTIONS, RUNS = 6, 2, 40

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="apt-get install pgbouncer")]


@pytest.fixture
def pooled(postgresql: Callable[[], str]) -> Iterator[str]:
    """The URL of a database behind a pooler that has fewer connections than there are agents."""
    behind = make_url(postgresql())
    folder = str(behind.query["host"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o777)  # as root it runs as the user of the server, who alone may enter the folder of its socket
        (place / "pooler.ini").write_text(
            f"[databases]\n* = host={folder} user={behind.username}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {CONNECTIONS}\nlogfile = {place}/log\npidfile = {place}/pid\n"
        )
        account = ["-u", Path(folder).owner()] if os.geteuid() == 0 else []
        with (place / "output").open("wb") as output:
            process = subprocess.Popen(
                [str(PROGRAM), *account, str(place / "pooler.ini")], stdout=output, stderr=output
            )
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"postgresql://{behind.username}@127.0.0.1:{port}/{behind.database}"
        finally:
            process.terminate()
            process.wait()


def work(sweep_id: str, url: str, name: str) -> list[str]:
    sweep = Sweep.load(sweep_id, storage=url)
    writer = Writer(sweep.storage)
    claimer, reporter, found = RunClaimer(sweep, name), Reporter(sweep, writer), []
    while not isinstance(run := claimer.next_run(), NoRun):
        reporter.report(run, {"loss": 1.0})
        sweep.beat(run.trial_id)
        assert reporter.finish(run, Outcome("finished"))
        found.append(run.id)
    reporter.close()
    writer.close()
    sweep.storage.close()
    return found


def test_agents_share_connections(pooled: str) -> None:
    url = f"{pooled}?prepare_threshold=none"
    raw = {
        "method": "random",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "program": "train.py",
        "run_cap": RUNS,
    }
    sweep = Sweep.create(raw, storage=url)
    with ThreadPoolExecutor(AGENTS) as pool:
        found = list(pool.map(lambda number: work(sweep.id, url, f"agent {number}"), range(AGENTS)))
    assert sorted(itertools.chain.from_iterable(found)) == [f"{number:04d}" for number in range(1, RUNS + 1)]
    assert {run.state for run in sweep.runs} == {"finished"}
    sweep.storage.close()


def test_without_the_word_in_the_url_the_message_has_it(pooled: str) -> None:
    first, second = (PostgresqlTrials(open_storage(pooled)) for _ in range(2))
    study_id = first._storage.optuna.create_new_study([StudyDirection.MINIMIZE], "s")
    with pytest.raises(StorageError, match="prepare_threshold=none"), storage_errors():
        for _ in range(50):  # the driver prepares what it has sent five times, by the same name on either side
            first.changes(study_id, "none", None, {})
            second.changes(study_id, "none", None, {})
    for each in (first, second):
        each._storage.close()
