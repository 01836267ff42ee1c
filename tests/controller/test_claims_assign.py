"""Two agents that suggest the same point at the same time: one of them keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from controller_helpers import config, work
from optuna.trial import TrialState, create_trial

from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller import claims as points
from lightsweep.controller.claims import ParameterAssigner
from lightsweep.controller.observations import observation
from lightsweep.controller.reports import Reporter
from lightsweep.controller.runs import ATTEMPT, VALUES
from lightsweep.storage import Storage

SPACE = {"a": {"values": [1, 2, 3]}, "b": {"values": ["u", "v"]}}
SAME, ELSEWHERE = {"a": 2, "b": "u"}, {"a": 3, "b": "v"}


@pytest.fixture
def sweep(storage: Storage) -> Sweep:
    made = Sweep.create(config(SPACE, method="bayes"), storage=storage)
    for _ in range(2):
        template = create_trial(state=TrialState.RUNNING, user_attrs={ATTEMPT: {"kind": "fresh", "agent": "a"}})
        storage.optuna.create_new_trial(made.study_id, template)
    made.refresh()
    return made


def keeps(sweep: Sweep, run: str) -> bool:
    """True if a run that knew of no others keeps its point once it is written."""
    entry = sweep.book.entries[run]
    sweep.storage.optuna.set_trial_user_attr(entry.record.trial_id, VALUES, SAME)
    return ParameterAssigner(sweep)._is_mine(entry, SAME, [])


def note(sweep: Sweep, run: str, values: dict[str, Any]) -> None:
    sweep.storage.optuna.set_trial_user_attr(sweep.book.entries[run].record.trial_id, VALUES, values)


def test_a_point_that_nobody_else_noted(sweep: Sweep) -> None:
    note(sweep, "0002", ELSEWHERE)
    assert keeps(sweep, "0001")


def test_the_higher_ticket_gives_way(sweep: Sweep) -> None:
    note(sweep, "0001", SAME)
    assert not keeps(sweep, "0002")


def test_the_lower_ticket_waits_until_the_other_has_moved(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    note(sweep, "0002", SAME)
    waits: list[float] = []

    def moved(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            note(sweep, "0002", ELSEWHERE)

    monkeypatch.setattr(points.time, "sleep", moved)
    assert keeps(sweep, "0001")
    assert len(waits) == 3


def test_the_lower_ticket_gives_way_to_a_run_that_has_begun(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    note(sweep, "0002", SAME)
    begun = sweep.book.entries["0002"].record.trial_id
    monkeypatch.setattr(points.time, "sleep", lambda _: ParameterAssigner(sweep).write(begun, SAME))
    assert not keeps(sweep, "0001")


def test_a_claim_that_lost_its_point_takes_another(sweep: Sweep, storage: Storage) -> None:
    first, second = (sweep.book.entries[run] for run in ("0001", "0002"))
    giver = ParameterAssigner(sweep)
    values = giver.give(first)
    assert values is not None
    wanted = iter([dict(values), ELSEWHERE if values != ELSEWHERE else SAME])
    giver.at = lambda _ticket, _known: next(wanted)  # type: ignore[method-assign]  # a scripted proposer
    known = giver._others
    giver._others = lambda entry: known(entry) if first.record.parameters else []  # type: ignore[method-assign]
    first.record.parameters.clear()  # the second agent has not seen the first one's point yet
    assert giver.give(second) not in (None, values)
    assert (
        storage.optuna.get_trial(second.record.trial_id).params
        != storage.optuna.get_trial(first.record.trial_id).params
    )


def test_the_sampler_is_told_of_the_best_and_the_last_value(storage: Storage) -> None:
    made = Sweep.create(config(SPACE, method="bayes", run_cap=2), storage=storage)

    def train(run: ClaimedRun, reporter: Reporter) -> Outcome:
        for value in (3.0, 1.0, 2.0, float("nan")):
            reporter.report(run, {"loss": value})
        return Outcome("failed")

    work(made, train, count=1)
    made.refresh()
    (seen,) = (observation(entry, made.config) for entry in made.book.entries.values())
    assert seen is not None
    assert (seen.state, seen.objectives, seen.last) == ("failed", (1.0,), (2.0,))
