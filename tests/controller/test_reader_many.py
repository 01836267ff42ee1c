"""The cost of a sweep of some thousand runs, in statements: they grow by blocks of runs, and not by runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from optuna.distributions import IntDistribution, distribution_to_json

from lightsweep.cli.main import main
from lightsweep.controller import Outcome, RunState, Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import ClaimedRun, Reporter, Writer
from lightsweep.controller.runs import ATTEMPT, SUMMARY
from lightsweep.controller.summary import summarize

RUNS = 4_500
BLOCK = 450
"""Runs whose rows one statement reads from SQLite."""


@pytest.fixture
def sweep_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sweep with so many finished runs, written by SQL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    made = Sweep.create(
        {
            "program": "train.py",
            "method": "random",
            "metric": {"name": "loss"},
            "early_terminate": {"type": "hyperband", "min_iter": 2},
            "parameters": {"x": {"min": 1, "max": 100_000}},
        }
    )
    made.storage.close()
    summary = {
        "state": "finished",
        "reason": "",
        "metrics": {"loss": {"min": 1.0, "max": 2.0, "last": 1.0}},
        "unread": [],
    }
    attributes = [(ATTEMPT, json.dumps({"kind": "fresh", "agent": "a:1:b"})), (SUMMARY, json.dumps(summary))]
    distribution = distribution_to_json(IntDistribution(1, 100_000))
    times = ("2026-01-01 12:00:00.000000", "2026-01-01 12:01:00.000000")
    numbers = range(1, RUNS + 1)
    with closing(sqlite3.connect("lightsweep.db")) as connection, connection:
        for table, rows in {
            "trials(trial_id, number, study_id, state, datetime_start, datetime_complete)": [
                (number, number - 1, made.study_id, "COMPLETE", *times) for number in numbers
            ],
            "trial_params(trial_id, param_name, param_value, distribution_json)": [
                (number, "x", number, distribution) for number in numbers
            ],
            "trial_user_attributes(trial_id, key, value_json)": [
                (number, *each) for number in numbers for each in attributes
            ],
            "trial_values(trial_id, objective, value, value_type)": [(number, 0, 1.0, "FINITE") for number in numbers],
            "trial_intermediate_values(trial_id, step, intermediate_value, intermediate_value_type)": [
                (number, step, 2.0 / step + number, "FINITE") for number in numbers for step in (1, 2)
            ],
        }.items():
            marks = ", ".join("?" * (table.count(",") + 1))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    return made.id


@contextmanager
def statements(sweep: Sweep) -> Iterator[list[str]]:
    """The statements that are sent in the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    sqlalchemy.event.listen(sweep.storage.engine, "before_cursor_execute", note)
    yield sent
    sqlalchemy.event.remove(sweep.storage.engine, "before_cursor_execute", note)


def test_a_first_look_reads_by_blocks_and_a_second_one_nothing(sweep_id: str) -> None:
    sweep = Sweep.load(sweep_id)
    with statements(sweep) as sent:
        sweep.refresh()
        assert summarize(sweep).total == RUNS
    assert len(sent) <= 3 * RUNS / BLOCK + 6  # of attributes, parameters and reports
    with statements(sweep) as sent:
        sweep.refresh()
        assert summarize(sweep, 20).total == RUNS
    assert len(sent) <= 4
    sweep.storage.close()


def test_claims_reports_and_ends_cost_the_same_however_many_runs_there_are(sweep_id: str) -> None:
    sweep = Sweep.load(sweep_id)
    writer = Writer(sweep.storage)
    claimer, reporter = RunClaimer(sweep, "a:1:b"), Reporter(sweep, writer)

    def work() -> None:
        run = claimer.next_run()
        assert isinstance(run, ClaimedRun)
        for value in (1e6, 0.5):  # the second one is at a band
            reporter.report(run, {"loss": value})
        assert reporter.finish(run, Outcome(RunState.FINISHED))

    work()  # the first look
    with statements(sweep) as sent:
        work()
    reporter.close()
    writer.close()
    sweep.storage.close()
    assert len(sent) <= 40, sent


def test_the_commands_show_them(sweep_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["ls"], ["status", sweep_id], ["best", sweep_id], ["storage", "check"]):
        assert main(command) == 0
    output = capsys.readouterr().out
    assert "4,500 finished" in output
    assert "the best 10 of 4,500 runs; all: lightsweep runs" in output
    assert main(["export", sweep_id]) == 0
    assert len(capsys.readouterr().out.splitlines()) == RUNS + 1
