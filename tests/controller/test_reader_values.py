"""Agents of grid and random read no parameters of other runs, and get those of a run when they need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from lightsweep.controller import Outcome, RunState, Sweep
from lightsweep.controller.claims import ParameterAssigner, RunClaimer, claim_lock
from lightsweep.controller.runs import GAIN, SUMMARY, VALUES
from lightsweep.controller.summary import summarize
from lightsweep.storage import Storage
from tests.controller.controller_helpers import claim, config, working

_READS = "trial_params.param_value"


@contextmanager
def statements(storage: Storage) -> Iterator[list[str]]:
    """Collect what is sent to the database."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        found.append(text)

    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", note)
    yield found
    sqlalchemy.event.remove(storage.engine, "before_cursor_execute", note)


def worked(storage: Storage, method: str, runs: int = 3) -> Sweep:
    """A sweep with finished runs, the last the best, and one that runs; loaded anew."""
    sweep = Sweep.create(config({"x": {"min": 0.0, "max": 1.0}}, method=method), storage=storage)
    with working(sweep) as (claimer, reporter, _):
        for number in range(runs):
            run = claim(claimer)
            reporter.report(run, {"loss": -float(number)})
            reporter.finish(run, Outcome(RunState.FINISHED))
        claim(claimer)
    return Sweep.load(sweep.id, storage=storage)


@pytest.mark.parametrize(("method", "reads"), [("random", False), ("bayes", True)])
def test_a_claim_reads_parameters_of_others_only_for_a_searcher_that_learns(
    storage: Storage, method: str, reads: bool
) -> None:
    sweep = worked(storage, method)
    claimer = RunClaimer(sweep, "b")
    with statements(storage) as found:
        claim(claimer)
    assert any(_READS in text for text in found) == reads
    assert all(bool(record.parameters) == reads for record in sweep.ledger.records[:3])


def test_an_agent_that_reads_no_parameters_reads_those_of_the_best_run_to_show_it(storage: Storage) -> None:
    sweep = worked(storage, "random")
    RunClaimer(sweep, "b")
    sweep.refresh()
    with statements(storage) as found:
        best = summarize(sweep).best
        again = summarize(sweep).best
    assert len([text for text in found if _READS in text]) == 1
    whole = Sweep.load(sweep.id, storage=storage)
    whole.refresh()
    assert best is not None
    assert best == again == summarize(whole).best
    assert (best.id, set(best.values)) == ("0003", {"x"})
    assert [bool(record.parameters) for record in sweep.ledger.records] == [False, False, True, False]


def test_all_runs_have_their_parameters_whoever_read_the_sweep_before(storage: Storage) -> None:
    sweep = worked(storage, "random")
    RunClaimer(sweep, "b")
    sweep.refresh()
    with statements(storage) as found:
        known = sweep.known_runs()
    assert len([text for text in found if _READS in text]) == 1
    assert known == Sweep.load(sweep.id, storage=storage).runs == sweep.runs
    assert all(set(run.values) == {"x"} for run in known)


def test_a_run_that_was_lost_is_retried_with_the_parameters_that_it_has(storage: Storage) -> None:
    sweep = worked(storage, "random")
    claimer = RunClaimer(sweep, "b")
    sweep.refresh()
    (running,) = sweep.running()
    with storage.engine.begin() as connection:  # another value than its ticket gives
        kept = {"id": running.record.trial_id}
        connection.execute(sqlalchemy.text("UPDATE trial_params SET param_value = 0.125 WHERE trial_id = :id"), kept)
    assert sweep.ledger.trials.end(running.record.trial_id, TrialState.FAIL, {SUMMARY: {"state": "lost"}})
    retried = claim(claimer)
    assert (retried.id, retried.values) == (running.id, {"x": 0.125})


def write_during_a_look(
    monkeypatch: pytest.MonkeyPatch, sweep: Sweep, trial_id: int, attributes: dict[str, Any]
) -> None:
    """At the next look of ``sweep``, write attributes and parameters of a trial once its row has been read."""
    trials = sweep.ledger.trials
    changes = trials.changes

    def late(*args: Any) -> Any:
        found = changes(*args)
        for name, value in attributes.items():
            sweep.storage.optuna.set_trial_user_attr(trial_id, name, value)
        trials.set_parameters(trial_id, {"x": (FloatDistribution(0.0, 1.0), 0.25)})
        monkeypatch.undo()
        return found

    monkeypatch.setattr(trials, "changes", late)


def test_what_an_agent_notes_of_its_run_during_a_look_is_known_at_the_next(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parameters of a run are read after its attributes, and both are written between."""
    sweep = Sweep.create(config(method="bayes"), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with claim_lock(sweep) as mine:
        trial_id = mine.add(ParameterAssigner(sweep), {"kind": "fresh"}, None)
    other.refresh()
    write_during_a_look(monkeypatch, other, trial_id, {GAIN: 0.5})
    gains = []
    for _ in range(2):
        other.refresh()
        gains.append([(entry.record.parameters, entry.gain) for entry in other.known_entries()])
    assert gains == [[({"x": 0.25}, None)], [({"x": 0.25}, 0.5)]]


def test_what_a_new_run_gets_during_the_look_that_finds_it_is_known(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep.create(config(method="bayes"), storage=storage)
    other = Sweep.load(sweep.id, storage=storage)
    with claim_lock(sweep) as mine:
        trial_id = mine.add(ParameterAssigner(sweep), {"kind": "fresh"}, None)
    write_during_a_look(monkeypatch, other, trial_id, {VALUES: {"x": 0.25}, GAIN: 0.5})
    other.refresh()
    (entry,) = other.known_entries()
    assert (entry.record.parameters, entry.gain) == ({"x": 0.25}, 0.5)
    assert entry.record.attributes[VALUES] == {"x": 0.25}
