"""The reader returns what Optuna returns, and reads each finished trial once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import optuna
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.storage import Storage, open_storage, trials_of
from lightsweep.storage.trial_reader import TrialReader
from lightsweep.storage.trials import StoredAttributes, TrialRow

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1.0, 1.0),
    "log": FloatDistribution(1e-5, 1.0, log=True),
    "step": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(1, 9),
    "int log": IntDistribution(1, 9, log=True),
    "int step": IntDistribution(1, 9, step=2),
    "choice": CategoricalDistribution([None, True, 3, 2.5, "a.b 'ü'"]),
}
PARAMS = [
    {"float": -0.125, "log": 1e-5, "step": 0.75, "int": 9, "int log": 3, "int step": 5, "choice": choice}
    for choice in (None, True, 3, 2.5, "a.b 'ü'")
]
REPORTS = {1: 0.5, 2: math.nan, 3: math.inf, 7: -math.inf, 8: -1e-300}


@pytest.fixture
def study(storage: Storage) -> optuna.Study:
    return optuna.create_study(storage=storage.optuna, study_name="s")


def ledger_of(storage: Storage, study: optuna.Study, **options: Any) -> TrialReader:
    return TrialReader(trials_of(storage), storage.optuna.get_study_id_from_name(study.study_name), **options)


def look(ledger: TrialReader) -> list[TrialRow]:
    return ledger.take(ledger.read("none")[1])


def number_of(study: optuna.Study, storage: Storage, number: int) -> int:
    study_id = storage.optuna.get_study_id_from_name(study.study_name)
    return storage.optuna.get_trial_id_from_study_id_trial_number(study_id, number)


def assert_same(records: list[TrialRow], trials: list[FrozenTrial]) -> None:
    assert [record.number for record in records] == [trial.number for trial in trials]
    for record, trial in zip(records, trials, strict=True):
        assert record.state == trial.state.name
        assert record.parameters == trial.params
        assert {name: type(value) for name, value in record.parameters.items()} == {
            name: type(value) for name, value in trial.params.items()
        }
        assert record.attributes == trial.user_attrs
        expected = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        assert [repr(value) for value in record.reports] == [repr(float(value)) for value in expected]
        assert record.last_step == max(trial.intermediate_values, default=-(2**31))
        for mine, theirs in ((record.started, trial.datetime_start), (record.ended, trial.datetime_complete)):
            assert mine == (None if theirs is None else theirs.astimezone(timezone.utc))


def test_every_field_is_what_optuna_reads(storage: Storage, study: optuna.Study) -> None:
    for state in TrialState:
        for params in PARAMS:
            study.add_trial(
                create_trial(
                    state=state,
                    params=params,
                    distributions=DISTRIBUTIONS,
                    user_attrs={"note": {"deep": [1, None, "ü"]}, "other": 2.5},
                    intermediate_values=REPORTS,
                    value=math.inf if state == TrialState.COMPLETE else None,
                )
            )
        study.add_trial(create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None))
    ledger = ledger_of(storage, study)
    assert look(ledger) == ledger.records
    assert_same(ledger.records, optuna.load_study(storage=storage.optuna, study_name="s").trials)


def test_times_are_utc_whatever_the_time_zone(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        try:
            study = optuna.create_study(storage=storage.optuna)
            study.add_trial(create_trial(value=1.0))
            study.ask()
            ledger = ledger_of(storage, study)
            look(ledger)
        finally:
            zone.undo()
            time.tzset()
    started = [record.started for record in ledger.records]
    assert all(moment and abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=2) for moment in started)


def test_it_follows_what_another_storage_object_writes(url: str, storage: Storage, study: optuna.Study) -> None:
    ledger = ledger_of(storage, study)
    other = open_storage(url)
    writing = optuna.load_study(storage=other.optuna, study_name="s")
    assert look(ledger) == []
    one, two = writing.ask({"x": FloatDistribution(0.0, 1.0)}), writing.ask()
    one.report(3.0, 1)
    assert [record.number for record in look(ledger)] == [0, 1]
    kept = ledger.records[0]
    one.report(2.0, 2)
    two.report(math.nan, 1)
    one.report(1.0, 3)
    two.set_user_attr("k", "v")
    look(ledger)
    assert_same(ledger.records, study.trials)
    two.suggest_int("late", 1, 3)
    writing.tell(one, state=TrialState.PRUNED)
    three = writing.ask()
    assert [record.number for record in look(ledger)] == [0, 1, 2]
    assert_same(ledger.records, study.trials)
    writing.tell(two, 1.0)
    writing.tell(three, state=TrialState.FAIL)
    assert [record.number for record in look(ledger)] == [1, 2]
    assert look(ledger) == []
    assert_same(ledger.records, study.trials)
    assert ledger.records[0] is kept
    other.close()


STEPS = st.lists(st.sampled_from(["ask", "report", "complete", "prune", "fail", "look"]), max_size=30)


@given(STEPS, st.randoms(use_true_random=False))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_many_looks_see_what_optuna_reads(storage: Storage, steps: list[str], random: Random) -> None:
    study = optuna.create_study(storage=storage.optuna)
    ledger = ledger_of(storage, study)
    running: list[optuna.Trial] = []
    for step in steps:
        if step == "ask":
            running.append(study.ask({"x": FloatDistribution(0.0, 1.0), "y": IntDistribution(1, 3)}))
            running[-1].set_user_attr("from the start", random.random())
        elif step == "look":
            look(ledger)
        elif running:
            trial = running[random.randrange(len(running))]
            if step == "report":
                done = study.trials[trial.number].intermediate_values
                trial.report(random.random(), len(done) + 1)
            else:
                running.remove(trial)
                trial.set_user_attr("at the end", step)
                state = {"complete": TrialState.COMPLETE, "prune": TrialState.PRUNED, "fail": TrialState.FAIL}[step]
                study.tell(trial, 1.0 if step == "complete" else None, state=state)
    look(ledger)
    assert_same(ledger.records, study.trials)
    assert not [record for record in look(ledger) if record.state != "RUNNING"]


def test_parameters_of_a_running_trial_are_read_once(storage: Storage, study: optuna.Study) -> None:
    ledger = ledger_of(storage, study)
    study.ask({"x": FloatDistribution(0.0, 1.0)}).report(1.0, 1)
    look(ledger)
    before = ledger.records[0].parameters
    look(ledger)
    assert ledger.records[0].parameters is before


def test_other_studies_are_left_out(storage: Storage, study: optuna.Study) -> None:
    elsewhere = optuna.create_study(storage=storage.optuna, study_name="other")
    elsewhere.add_trial(create_trial(value=1.0))
    study.add_trial(create_trial(value=2.0))
    elsewhere.ask()
    ledger = ledger_of(storage, study)
    assert [record.number for record in look(ledger)] == [0]
    assert look(ledger) == []


def test_finished_trials_are_read_once(storage: Storage, study: optuna.Study) -> None:
    for value in range(3):
        study.add_trial(create_trial(value=float(value), intermediate_values={1: 1.0}, user_attrs={"k": 1}))
    running = study.ask()
    running.report(1.0, 1)
    ledger = ledger_of(storage, study)
    look(ledger)
    finished = f"trial_id != {number_of(study, storage, 3)}"
    with storage.engine.begin() as connection:
        # What would be read again would be read wrong, and of the running one only what is new.
        connection.execute(sqlalchemy.text("UPDATE trial_intermediate_values SET intermediate_value = 99"))
        connection.execute(sqlalchemy.text(f"UPDATE trial_user_attributes SET value_json = '2' WHERE {finished}"))
    running.report(2.0, 2)
    assert [record.number for record in look(ledger)] == [3]
    assert [list(record.reports) for record in ledger.records] == [[1.0], [1.0], [1.0], [1.0, 2.0]]
    assert [record.attributes for record in ledger.records] == [{"k": 1}] * 3 + [{}]


def test_many_open_trials_need_few_statements(storage: Storage, study: optuna.Study) -> None:
    for _ in range(30):
        study.ask().report(1.0, 1)
    ledger = ledger_of(storage, study)
    look(ledger)
    with listening(storage) as statements:
        look(ledger)
    assert len([text for text in statements if "SELECT" in text]) == of_a_look(storage)


@contextmanager
def listening(storage: Storage, hear: Callable[[str], Any] | None = None) -> Iterator[list[str]]:
    """Collect the statements, before each."""
    found: list[str] = []

    def note(text: str) -> None:
        (hear or found.append)(text)

    def by_alchemy(_connection: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        note(text)

    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", by_alchemy)
    yield found
    sqlalchemy.event.remove(storage.engine, "before_cursor_execute", by_alchemy)


def of_a_look(storage: Storage) -> int:
    """The number of its statements; the last one reads parameters, of trials that lack some."""
    return 2 if storage.engine.dialect.name == "postgresql" else 5


def test_what_an_agent_does_for_a_run_needs_few_statements(storage: Storage) -> None:
    study_id = int(storage.optuna.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s"))
    trials, of_postgresql = trials_of(storage), storage.engine.dialect.name == "postgresql"
    begun = []
    with listening(storage) as statements:

        def count() -> int:
            found = [text for text in statements if not text.startswith("BEGIN")]
            statements.clear()
            return len(found)

        for _ in range(2):
            with trials.claim(study_id, "none", None) as claim:
                begun.append(claim.add({"k": 1}, {"x": (FloatDistribution(0.0, 1.0), 0.5)}, [1.0]))
            assert count() == 7
        trials.beat(begun)
        assert count() == 1
        trials.report([(begun[0], 2, 0.5), (begun[1], 2, 0.5)])
        assert count() == 1
        trials.end(begun[0], TrialState.COMPLETE, {"end": 1}, [0.5])
        assert count() == (1 if of_postgresql else 3)


class Outage:
    """Makes the nth statement from now on fail, as where the database goes away."""

    left: int | None = None

    def note(self, statement: str) -> None:
        if self.left is not None and "SELECT" in statement:
            if self.left == 0:
                raise sqlalchemy.exc.OperationalError(statement, {}, Exception("gone"))
            self.left -= 1


@pytest.fixture
def outage(storage: Storage) -> Iterator[Outage]:
    made = Outage()
    with listening(storage, made.note):
        yield made


@pytest.mark.parametrize("statement", range(4))
def test_a_refresh_that_fails_half_way_changes_nothing(
    storage: Storage, study: optuna.Study, outage: Outage, statement: int
) -> None:
    ledger = ledger_of(storage, study)
    running = study.ask()
    running.report(1.0, 1)
    look(ledger)
    running.report(2.0, 2)
    study.tell(running, 2.0)
    study.ask({"x": FloatDistribution(0.0, 1.0)}).report(5.0, 1)
    outage.left = min(statement, of_a_look(storage) - 1)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="gone"):
        look(ledger)
    assert [(record.state, list(record.reports)) for record in ledger.records] == [("RUNNING", [1.0])]
    outage.left = None
    assert len(look(ledger)) == 2
    assert_same(ledger.records, study.trials)


def test_a_trial_is_stale_when_its_heartbeat_is_older_than_the_lease(storage: Storage, study: optuna.Study) -> None:
    ledger = ledger_of(storage, study)
    for _ in range(2):
        study.ask()
    for number in range(2):
        storage.optuna.record_heartbeat(number_of(study, storage, number))
    look(ledger)
    assert ledger.stale(60.0) == []
    age(storage, number_of(study, storage, 1), 50)
    assert ledger.stale(60.0) == []
    age(storage, number_of(study, storage, 1), 20)
    assert [record.number for record in ledger.stale(60.0)] == [1]
    study.tell(1, state=TrialState.FAIL)
    look(ledger)
    assert ledger.stale(60.0) == []


def test_a_trial_without_heartbeats_is_stale_a_lease_after_it_was_seen(storage: Storage, study: optuna.Study) -> None:
    now = 1000.0
    ledger = ledger_of(storage, study, clock=lambda: now)
    study.ask()
    look(ledger)
    now += 59
    look(ledger)
    assert ledger.stale(60.0) == []
    now += 2
    assert [record.number for record in ledger.stale(60.0)] == [0]
    storage.optuna.record_heartbeat(number_of(study, storage, 0))
    assert ledger.stale(60.0) == []


def test_attributes_of_the_study(storage: Storage, study: optuna.Study) -> None:
    ledger = ledger_of(storage, study)
    assert ledger.read("state") == (None, [])
    study.set_user_attr("state", {"deep": [1, "ü"]})
    assert ledger.read("state") == ({"deep": [1, "ü"]}, [])


def test_optuna_has_the_tables_that_the_ledger_reads(storage: Storage) -> None:
    inspector = sqlalchemy.inspect(storage.engine)
    needed = {
        "trials": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
        "trial_user_attributes": {"trial_id", "key", "value_json"},
        "trial_params": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
        "trial_intermediate_values": {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
        "trial_heartbeats": {"trial_id", "heartbeat"},
        "study_user_attributes": {"study_id", "key", "value_json"},
    }
    for table, columns in needed.items():
        assert columns <= {column["name"] for column in inspector.get_columns(table)}


def age(storage: Storage, trial_id: int, seconds: int) -> None:
    """Make the last heartbeat of a trial older."""
    with storage.engine.begin() as connection:
        query = sqlalchemy.text("SELECT heartbeat FROM trial_heartbeats WHERE trial_id = :trial")
        beat = connection.execute(query, {"trial": trial_id}).scalar_one()
        moment = datetime.fromisoformat(beat) if isinstance(beat, str) else beat
        older = moment - timedelta(seconds=seconds)
        shown = older.strftime("%Y-%m-%d %H:%M:%S") if isinstance(beat, str) else older
        update = sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = :beat WHERE trial_id = :trial")
        connection.execute(update, {"beat": shown, "trial": trial_id})


def test_attributes_are_found_in_the_text_of_the_storage() -> None:
    texts = {"a": '{"b": "a"}', "ab": "1", "b": "null", "x:ab": '"ab"'}
    stored = StoredAttributes("\1".join(f"{name}\2{text}" for name, text in texts.items()))
    assert dict(stored) == {"a": {"b": "a"}, "ab": 1, "b": None, "x:ab": "ab"}
    assert [stored.get(name, "none") for name in ("a", "ab", "b", "x:ab", "x", "")] == [
        *({"b": "a"}, 1, None, "ab"),
        *("none", "none"),
    ]
    assert [name in stored for name in ("ab", "x")] == [True, False]
    with pytest.raises(KeyError, match="x"):
        stored["x"]
    assert list(StoredAttributes("")) == []
    assert "a" not in StoredAttributes("")
