"""A study is copied whole or not at all, row by row, and never while agents work on it."""

from __future__ import annotations

import math
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from lightsweep import Sweep
from lightsweep.controller import Sweep as Controlled
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import ClaimedRun, Outcome, Reporter, Writer
from lightsweep.errors import LightsweepError, NotFoundError, UsageError
from lightsweep.sampler import RunState
from lightsweep.storage import Storage, open_storage
from lightsweep.storage.copying import copy_study

OLD = Path(__file__).parent / "old" / "887819d.db"
LEASE = 60.0
CONFIG: dict[str, Any] = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": [None, True, 3, 2.5, "ü"]}},
    "run_cap": 6,
    "lightsweep": {"seed": 1},
}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(f"sqlite:///{tmp_path}/source.db")
    yield opened
    opened.close()


@pytest.fixture
def sweep(source: Storage) -> str:
    """A sweep with a finished run, one that was stopped, one that failed, odd numbers, and a prior run."""
    before = Sweep.create(CONFIG, storage=source).id
    work(before, source, 1)
    raw = {**CONFIG, "method": "bayes"}
    made = Sweep.create(raw, storage=source)
    made.add_prior_runs(before)
    work(made.id, source, 3)
    return made.id


def work(name: str, storage: Storage, runs: int, *, leave: bool = False) -> list[str]:
    """Begin so many runs and end them, the last one unless ``leave``; return their ids."""
    opened = Controlled.load(name, storage=storage)
    writer = Writer(storage)
    claimer, reporter = RunClaimer(opened, "host:1:abcd"), Reporter(opened, writer)
    begun = []
    states = [RunState.FINISHED, RunState.PRUNED, RunState.FAILED]
    for place in range(runs):
        run = claimer.next_run()
        assert isinstance(run, ClaimedRun)
        begun.append(run.id)
        for value in (0.5, math.nan, math.inf, -1e-300 * place):
            reporter.report(run, {"loss": value, "other": 2.0})
        if not leave or place < runs - 1:
            assert reporter.finish(run, Outcome(states[place % 3], "as told"))
    reporter.close()
    writer.close()
    return begun


def content(path: Path) -> list[str]:
    """All rows of an SQLite file as text; SQLite's own clock writes no fractions of a second."""
    with closing(sqlite3.connect(path)) as connection:
        lines = [line for line in connection.iterdump() if line.startswith("INSERT")]
    return sorted(re.sub(r"(:\d\d)\.0+'", r"\1'", line) for line in lines)


def names(storage: Storage) -> list[str]:
    return [study.study_name for study in storage.optuna.get_all_studies()]


@pytest.mark.slow
def test_every_kind_of_sweep_is_the_same_after_two_copies(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(OLD, tmp_path / "first.db")
    shutil.copy(OLD.parent / "space.py", tmp_path)
    first, between, last = (open_storage(each) for each in ("first.db", url, "last.db"))
    for name in names(first):  # in the order of their keys, so that the copies of the copies get the same ones
        copied = copy_study(first, between, name, LEASE)
        assert copy_study(between, last, name, LEASE) == copied
    sweeps = Sweep.all(storage="first.db")
    assert len(sweeps) > 4
    for each in sweeps:
        assert repr(Sweep.load(each.id, storage=url).runs) == repr(each.runs)
        assert Sweep.load(each.id, storage="last.db").state == each.state
    for storage in (first, between, last):
        storage.close()
    assert content(tmp_path / "last.db") == content(tmp_path / "first.db")


def test_a_copy_keeps_prior_runs_and_odd_numbers_and_goes_on(source: Storage, sweep: str, storage: Storage) -> None:
    optuna.create_study(storage=storage.optuna, study_name="another").ask()  # so that no key is the same
    copied = copy_study(source, storage, sweep, LEASE)
    assert copied.trials == 4
    before, after = (Sweep.load(sweep, storage=each.url) for each in (source, storage))
    assert repr(after.runs) == repr(before.runs)
    assert [run.id for run in after.runs if run.prior] == ["p0001"]
    assert work(sweep, storage, 1) == ["0004"]
    assert len(Sweep.load(sweep, storage=source.url).runs) == 4


def test_a_kill_leaves_nothing(source: Storage, sweep: str, storage: Storage) -> None:
    program = (
        "import os, signal, sys\n"
        "from lightsweep.storage import open_storage\n"
        "from lightsweep.storage.copying import copy_study\n"
        "def end(rows):\n"
        "    if rows > 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "copy_study(open_storage(sys.argv[1]), open_storage(sys.argv[2]), sys.argv[3], 60.0, end)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, source.url, storage.url, sweep], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert names(storage) == []
    copy_study(source, storage, sweep, LEASE)
    assert names(storage) == [sweep]


def test_a_row_that_is_read_back_as_another_one_ends_the_copy(source: Storage, sweep: str, tmp_path: Path) -> None:
    target = open_storage(f"sqlite:///{tmp_path}/target.db")
    with target.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER wrong AFTER INSERT ON trial_params BEGIN "
            "UPDATE trial_params SET param_value = param_value + 1e-12 WHERE param_id = NEW.param_id; END"
        )
    with pytest.raises(LightsweepError, match=r"row 1 of trial_params is read back as .*nothing was written"):
        copy_study(source, target, sweep, LEASE)
    assert names(target) == []
    target.close()


def test_a_sweep_with_a_living_agent_is_refused(source: Storage, sweep: str, storage: Storage) -> None:
    (run,) = work(sweep, source, 1, leave=True)
    with pytest.raises(
        UsageError, match=r"1 run in .* sent a heartbeat within the lease of 60 s; end its agents first"
    ):
        copy_study(source, storage, sweep, LEASE)
    assert names(storage) == []
    age(source)
    copy_study(source, storage, sweep, LEASE)
    assert {each.id: each.state for each in Sweep.load(sweep, storage=storage.url).runs}[run] == "running"


def test_a_run_of_a_dead_agent_is_retried_where_it_was_copied_to(source: Storage, sweep: str, storage: Storage) -> None:
    run = work(sweep, source, 1, leave=True)
    age(source)
    copy_study(source, storage, sweep, LEASE)
    assert work(sweep, storage, 1) == run


def age(storage: Storage) -> None:
    """Let every heartbeat be of last year."""
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = '2025-01-01 00:00:00'")


def test_an_agent_that_begins_meanwhile_ends_the_copy(source: Storage, sweep: str, storage: Storage) -> None:
    begun: list[str] = []

    def begin(_rows: int) -> None:
        if not begun:
            begun.extend(work(sweep, source, 1))

    with pytest.raises(UsageError, match=r"an agent worked on it in .* meanwhile"):
        copy_study(source, storage, sweep, LEASE, begin)
    assert begun == ["0004"]
    assert names(storage) == []


def test_a_sweep_that_is_there_is_refused_and_stays(source: Storage, sweep: str, storage: Storage) -> None:
    copy_study(source, storage, sweep, LEASE)
    work(sweep, storage, 1)
    with pytest.raises(UsageError, match="already has a study of that name"):
        copy_study(source, storage, sweep, LEASE)
    assert len(Sweep.load(sweep, storage=storage.url).runs) == 5
    with pytest.raises(NotFoundError, match="no sweep 'nothing'"):
        copy_study(source, storage, "nothing", LEASE)
