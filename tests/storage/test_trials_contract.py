"""Rows written in few statements equal the rows that Optuna writes."""

from __future__ import annotations

import json
import math
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from lightsweep.storage import Storage, trials_of
from lightsweep.storage.postgresql_trials import PostgresqlTrials
from lightsweep.storage.sql_trials import SqlTrials
from lightsweep.storage.trials import TrialRow

PARAMETERS = {
    "lr": (FloatDistribution(1e-5, 1.0, log=True), 1e-3),
    "layers": (IntDistribution(1, 9, step=2), 5),
    "kind": (CategoricalDistribution([None, True, 3, 2.5, "a.b 'ü'"]), "a.b 'ü'"),
}
ATTRIBUTES = {"a": {"deep": [1, "ü", None, 0.1]}, "b": "text"}
REPORTS = [0.5, math.nan, math.inf, -math.inf, -1e-300]
VALUES = [1.5, math.inf]
RUNNING = ("state", "running")
TABLES = (
    "trials",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_heartbeats",
)


def study(storage: Storage, directions: int = 1) -> int:
    directed = [optuna.study.StudyDirection.MINIMIZE] * directions
    made = int(storage.optuna.create_new_study(directed, f"study {directions}"))
    storage.optuna.set_study_user_attr(made, *RUNNING)
    return made


@pytest.fixture
def trials(storage: Storage) -> SqlTrials:
    return trials_of(storage)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_only_drivers_that_are_known_are_used_directly(driver: str) -> None:
    """Others write the parameters of a statement in another way."""
    dialect = SimpleNamespace(name="postgresql", driver=driver)
    found = trials_of(cast(Storage, SimpleNamespace(engine=SimpleNamespace(dialect=dialect))))
    assert isinstance(found, PostgresqlTrials) == (driver != "pg8000")


def begin(
    trials: SqlTrials, study_id: int, last: TrialRow | None = None, parameters: Any = None, reports: Any = ()
) -> int:
    with trials.claim(study_id, "none", last) as claim:
        return claim.add(ATTRIBUTES, parameters or {}, reports)


def after(trial_id: int, number: int) -> TrialRow:
    """A trial as the last one that is known."""
    return TrialRow(trial_id, number, "RUNNING")


def rows(storage: Storage, trial_id: int) -> dict[str, list[dict[str, Any]]]:
    """Everything that each table has of a trial, without the keys, which count up, and times, which go on."""
    found = {}
    with storage.engine.connect() as connection:
        for table in TABLES:
            query = sqlalchemy.text(f"SELECT * FROM {table} WHERE trial_id = :trial")
            all_rows = [dict(row._mapping) for row in connection.execute(query, {"trial": trial_id})]
            keys = {name for name in (all_rows[0] if all_rows else ()) if name.endswith("_id") and name != "study_id"}
            for row in all_rows:
                for name in (*keys, "number"):
                    row.pop(name, None)
                for name in ("datetime_start", "datetime_complete", "heartbeat"):
                    if row.get(name) is not None:
                        row[name] = near(row[name])
            found[table] = sorted(all_rows, key=repr)
    return found


def near(moment: Any) -> bool:
    """True if it is now, in UTC."""
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return abs(parsed - now) < timedelta(minutes=5)


def test_a_trial_is_begun_as_by_optuna(trials: SqlTrials, storage: Storage) -> None:
    study_id = study(storage)
    template = create_trial(
        state=TrialState.RUNNING,
        params={name: value for name, (_, value) in PARAMETERS.items()},
        distributions={name: distribution for name, (distribution, _) in PARAMETERS.items()},
        user_attrs=ATTRIBUTES,
        intermediate_values=dict(enumerate(REPORTS, start=1)),
    )
    peer = storage.optuna.create_new_trial(study_id, template)
    storage.optuna.record_heartbeat(peer)
    ours = begin(trials, study_id, parameters=PARAMETERS, reports=REPORTS)
    assert rows(storage, ours) == rows(storage, peer)
    first, second = storage.optuna.get_all_trials(study_id)
    assert (first.number, second.number) == (0, 1)
    assert (second.params, second.distributions, second.user_attrs) == (
        first.params,
        first.distributions,
        first.user_attrs,
    )
    assert repr(second.intermediate_values) == repr(first.intermediate_values)
    assert second.datetime_start is not None
    assert abs(second.datetime_start - datetime.now()) < timedelta(minutes=5)


@pytest.mark.parametrize("number", [0, 1])
def test_what_comes_later_is_written_as_by_optuna(trials: SqlTrials, storage: Storage, number: int) -> None:
    study_id = study(storage, 2)
    peer, ours = begin(trials, study_id), begin(trials, study_id)
    for name, (distribution, value) in PARAMETERS.items():
        storage.optuna.set_trial_param(peer, name, distribution.to_internal_repr(value), distribution)
    for step, value in enumerate(REPORTS, start=1):
        storage.optuna.set_trial_intermediate_value(peer, step, value)
    storage.optuna.set_trial_user_attr(peer, "end", {"state": "finished"})
    values = [VALUES[number], VALUES[1 - number]]
    storage.optuna.set_trial_state_values(peer, TrialState.COMPLETE, values)
    trials.set_parameters(ours, PARAMETERS)
    assert trials.report([(ours, step, value) for step, value in enumerate(REPORTS, start=1)]) == set()
    assert trials.end(ours, TrialState.COMPLETE, {"end": {"state": "finished"}}, values)
    assert rows(storage, ours) == rows(storage, peer)


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_an_end_without_values(trials: SqlTrials, storage: Storage, state: TrialState) -> None:
    study_id = study(storage)
    peer, ours = begin(trials, study_id), begin(trials, study_id)
    storage.optuna.set_trial_user_attr(peer, "end", 1)
    storage.optuna.set_trial_state_values(peer, state)
    assert trials.end(ours, state, {"end": 1})
    assert rows(storage, ours) == rows(storage, peer)


def test_a_trial_that_is_over_takes_nothing(trials: SqlTrials, storage: Storage) -> None:
    study_id = study(storage)
    over, running = begin(trials, study_id), begin(trials, study_id)
    assert trials.end(over, TrialState.FAIL, {"end": "lost"})
    before = rows(storage, over)
    assert trials.report([(over, 1, 0.5), (running, 1, 0.5), (10**6, 1, 0.5)]) == {over, 10**6}
    with pytest.raises(UpdateFinishedTrialError):
        trials.set_parameters(over, PARAMETERS)
    assert not trials.end(over, TrialState.COMPLETE, {"end": "finished"}, [1.0])
    assert not trials.end(10**6, TrialState.COMPLETE, {"end": "finished"}, [1.0])
    assert rows(storage, over) == before
    assert storage.optuna.get_trial(running).intermediate_values == {1: 0.5}


def test_what_was_committed_can_be_written_again(trials: SqlTrials, storage: Storage) -> None:
    trial_id = begin(trials, study(storage))
    assert trials.report([(trial_id, 1, 0.5), (trial_id, 2, 0.25)]) == set()
    assert trials.report([(trial_id, 2, 9.0), (trial_id, 2, 0.125), (trial_id, 3, math.nan)]) == set()
    assert repr(storage.optuna.get_trial(trial_id).intermediate_values) == "{1: 0.5, 2: 0.125, 3: nan}"
    for _ in range(2):
        assert trials.end(trial_id, TrialState.COMPLETE, {"end": {"of": ["ü", 0.1]}}, [0.125])
    assert storage.optuna.get_trial(trial_id).value == 0.125


def test_writing_again_keeps_the_reports_of_a_trial_that_has_ended(trials: SqlTrials, storage: Storage) -> None:
    study_id = study(storage)
    running, over = begin(trials, study_id), begin(trials, study_id)
    both = [(running, 1, 0.5), (over, 1, 0.25)]
    assert trials.report(both) == set()
    assert trials.end(over, TrialState.FAIL, {"end": "lost"})
    assert trials.report(both) == {over}  # as after a commit whose answer was lost
    assert [storage.optuna.get_trial(each).intermediate_values for each in (running, over)] == [{1: 0.5}, {1: 0.25}]


def test_a_report_waits_for_an_end_that_is_being_written(storage: Storage) -> None:
    trials = trials_of(storage)
    trial_id = begin(trials, study(storage))
    found: list[set[int]] = []
    reporter = threading.Thread(target=lambda: found.append(trials.report([(trial_id, 1, 0.5)])))
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE trials SET state = 'FAIL' WHERE trial_id = {trial_id}"))
        reporter.start()
        reporter.join(0.3)
        assert reporter.is_alive()
    reporter.join()
    assert found == [{trial_id}]
    assert storage.optuna.get_trial(trial_id).intermediate_values == {}


def test_a_claim_waits_for_another_one_and_sees_what_it_added(storage: Storage) -> None:
    study_id = study(storage)
    numbers: list[int] = []

    def second() -> None:
        with trials_of(storage).claim(study_id, "b", None) as claim:
            numbers.append(claim.number)
            claim.add(ATTRIBUTES, {}, ())

    other = threading.Thread(target=second)
    with trials_of(storage).claim(study_id, "b", None) as first:
        other.start()
        other.join(0.3)
        assert other.is_alive()
        first.add(ATTRIBUTES, {}, ())
    other.join()
    assert numbers == [1]
    assert [trial.number for trial in storage.optuna.get_all_trials(study_id)] == [0, 1]


def test_a_claim_that_fails_writes_nothing(storage: Storage) -> None:
    study_id = study(storage)
    with pytest.raises(RuntimeError), trials_of(storage).claim(study_id, "b", None) as claim:
        claim.add(ATTRIBUTES, {}, ())
        raise RuntimeError
    assert storage.optuna.get_all_trials(study_id) == []


def test_a_claim_tells_what_was_added_since(trials: SqlTrials, storage: Storage) -> None:
    study_id = study(storage)
    other = study(storage, 2)
    first = begin(trials, study_id)
    begin(trials, other)
    storage.optuna.create_new_trial(study_id)
    begin(trials, study_id)
    for key, last, expected in (
        ("b", None, ["text", None, "text"]),
        ("b", after(first, 0), [None, "text"]),
        ("none of them", after(first, 0), [None, None]),
    ):
        with trials.claim(study_id, key, last) as claim:
            assert (claim.number, claim.news) == (3, expected)


FRESH = {"kind": "fresh", "agent": "hüt'%s{}", "home": '/a\\b"c\udcff'}


def test_the_next_trial_begins_in_one_step(trials: SqlTrials, storage: Storage) -> None:
    """As by Optuna, but for its parameters; a storage that lacks the step says so, and writes nothing."""
    study_id = study(storage)
    found = trials.add_next(study_id, "a", None, FRESH, range(9), RUNNING)
    if not isinstance(trials, PostgresqlTrials):
        assert found is None
        assert storage.optuna.get_all_trials(study_id) == []
        return
    assert found is not None
    trial_id, ticket = found
    assert ticket == 0
    attempt = {**FRESH, "ticket": 0, "number": 0}
    template = create_trial(state=TrialState.RUNNING, user_attrs={"a": attempt})
    peer = storage.optuna.create_new_trial(study_id, template)
    storage.optuna.record_heartbeat(peer)
    ours, theirs = rows(storage, trial_id), rows(storage, peer)
    texts = [each.pop("trial_user_attributes")[0] for each in (ours, theirs)]
    assert ours == theirs
    assert [json.loads(each["value_json"]) for each in texts] == [attempt] * 2
    assert [each["key"] for each in texts] == ["a", "a"]
    assert storage.optuna.get_trial_number_from_id(trial_id) == 0


def test_the_next_trial_gets_the_ticket_after_those_of_other_agents(storage: Storage) -> None:
    trials = trials_of(storage)
    if not isinstance(trials, PostgresqlTrials):
        return
    study_id = study(storage)
    other = study(storage, 2)
    first = trials.add_next(study_id, "a", None, FRESH, range(5, 6), RUNNING)
    assert first is not None
    assert first[1] == 5  # there were other trials before
    last = after(first[0], 0)
    assert trials.add_next(other, "a", None, FRESH, range(1), RUNNING) is not None
    found = [trials.add_next(study_id, "a", last, FRESH, range(6, end), RUNNING) for end in (6, 7, 7, 8, 9)]
    assert [None if each is None else each[1] for each in found] == [None, 6, None, 7, 8]
    numbers = [storage.optuna.get_trial(each[0]).user_attrs["a"]["number"] for each in found if each]
    assert numbers == [1, 2, 3]
    storage.optuna.set_study_user_attr(study_id, "state", "paused")
    assert trials.add_next(study_id, "a", last, FRESH, range(6, 99), RUNNING) is None
    assert len(storage.optuna.get_all_trials(study_id)) == 4
    storage.optuna.delete_study(study_id)
    assert trials.add_next(study_id, "a", last, FRESH, range(6, 99), RUNNING) is None


@pytest.mark.parametrize(
    "news",
    [
        None,
        "text",
        [],
        {"ticket": 0, "number": 1},
        {"kind": "retry", "ticket": 0, "number": 1},
        {"kind": "fresh", "ticket": 0, "number": 7},
        {"kind": "fresh", "number": 1},
        {"kind": "fresh", "more": {"ticket": 0, "number": 1}},
    ],
)
def test_nothing_is_added_after_a_trial_that_tells_no_ticket(storage: Storage, news: Any) -> None:
    trials = trials_of(storage)
    if not isinstance(trials, PostgresqlTrials):
        return
    study_id = study(storage)
    first = trials.add_next(study_id, "a", None, FRESH, range(1), RUNNING)
    assert first is not None
    attributes = {} if news is None else {"a": news}
    storage.optuna.create_new_trial(study_id, create_trial(state=TrialState.RUNNING, user_attrs=attributes))
    assert trials.add_next(study_id, "a", after(first[0], 0), FRESH, range(1, 9), RUNNING) is None
    assert len(storage.optuna.get_all_trials(study_id)) == 2


def test_parameters_may_be_written_again(trials: SqlTrials, storage: Storage) -> None:
    if not isinstance(trials, PostgresqlTrials):
        return
    study_id = study(storage)
    trial_id = begin(trials, study_id)
    for _ in range(2):
        trials.set_parameters(trial_id, PARAMETERS)
    assert storage.optuna.get_trial(trial_id).params == {name: value for name, (_, value) in PARAMETERS.items()}


def test_a_study_that_was_deleted(trials: SqlTrials, storage: Storage) -> None:
    study_id = study(storage)
    storage.optuna.delete_study(study_id)
    with pytest.raises(KeyError), trials.claim(study_id, "b", None):
        pass
