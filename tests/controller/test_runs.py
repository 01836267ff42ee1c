"""Tickets and run ids follow from the order of the trials alone, for every reader at any time."""

from __future__ import annotations

import math
from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.controller.runs import ATTEMPT, SUMMARY, RunEntry, RunTable
from lightsweep.storage.trials import TrialRow

KINDS = st.lists(st.one_of(st.sampled_from(["fresh", "foreign"]), st.integers(0, 20)), max_size=40)


def records(kinds: list[Any]) -> list[TrialRow]:
    """Trials: fresh, foreign, and for a number the retry of the run with that ticket, where there is one."""
    made: list[TrialRow] = []
    attempts: dict[int, int] = {}
    for number, kind in enumerate(kinds):
        attempt: dict[str, Any] | None = None
        if kind == "fresh":
            attempts[len(attempts)] = 1
            attempt = {"kind": "fresh", "agent": "a"}
        elif kind != "foreign" and kind in attempts:
            attempts[kind] += 1
            attempt = {"kind": "retry", "run": f"{kind + 1:04d}", "ticket": kind, "attempt": attempts[kind]}
        made.append(TrialRow(100 + number, number, "RUNNING", attributes={ATTEMPT: attempt} if attempt else {}))
    return made


def table(goal: str = "minimize") -> RunTable:
    return RunTable(goal, lambda _attempt, _ticket: None)


def seen(book: RunTable) -> dict[str, tuple[int | None, int, int]]:
    return {run: (entry.ticket, entry.attempt, entry.record.number) for run, entry in book.entries.items()}


@settings(max_examples=200, deadline=None)
@given(KINDS, st.integers(1, 40))
def test_tickets_are_numbers_less_the_others_before(kinds: list[Any], step: int) -> None:
    made = records(kinds)
    book, other = table(), table()
    book.take(made)
    for start in range(0, len(made), step):
        other.take(made[start : start + step])
    fresh = [record for record in made if record.attributes.get(ATTEMPT, {}).get("kind") == "fresh"]
    assert book.next_ticket == len(fresh)
    for ticket, record in enumerate(fresh):
        others = sum(one not in fresh for one in made[: record.number])
        assert record.number - others == ticket
        assert book.of_trial(record.trial_id) is book.entries[f"{ticket + 1:04d}"]
    latest = {
        entry.id: max(record.number for record in made if book.of_trial(record.trial_id) is entry)
        for entry in book.entries.values()
    }
    assert latest == {run: place[2] for run, place in seen(book).items()}
    assert seen(book) == seen(other)


def test_of_two_retries_of_one_attempt_the_first_counts() -> None:
    book = table()
    retry = {"kind": "retry", "run": "0001", "ticket": 0, "attempt": 2}
    first, second = (TrialRow(number, number, "RUNNING", attributes={ATTEMPT: retry}) for number in (1, 2))
    book.take([TrialRow(0, 0, "FAIL", attributes={ATTEMPT: {"kind": "fresh"}}), first, second])
    assert book.entries["0001"].record is first
    assert book.of_trial(2) is None
    assert book.take([second]) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=16), max_size=30), st.integers(1, 7), st.sampled_from(["minimize", "maximize"]))
def test_what_is_known_of_a_history_follows_the_reports(values: list[float], step: int, goal: str) -> None:
    record = TrialRow(0, 0, "RUNNING", attributes={ATTEMPT: {"kind": "fresh"}})
    book, best = table(goal), min if goal == "minimize" else max
    (entry,) = book.take([record])
    for start in range(0, len(values), step):
        record.reports.extend(values[start : start + step])
        book.take([record])
    finite = [value for value in values if math.isfinite(value)]
    assert entry.history == finite
    assert entry.iterations == len(finite)
    assert entry.best == book.best == best(finite, default=None)
    assert entry.version == 1 + math.ceil(len(values) / step)
    book.take(
        [
            TrialRow(
                1,
                1,
                "RUNNING",
                attributes={ATTEMPT: {"kind": "retry", "run": "0001", "attempt": 2}},
                reports=array("d", values),
            )
        ]
    )
    assert (entry.attempt, entry.iterations, entry.best) == (2, len(finite), best(finite, default=None))


def test_states_of_a_run() -> None:
    def entry(state: str, summary: dict[str, Any] | None = None) -> RunEntry:
        return RunEntry("0001", 0, 1, TrialRow(0, 0, state, attributes={SUMMARY: summary} if summary else {}))

    assert [entry(state).state for state in ("RUNNING", "COMPLETE", "PRUNED")] == ["running", "finished", "pruned"]
    assert entry("FAIL", {"state": "failed"}).state == "failed"
    assert entry("FAIL", {"state": "killed"}).state == "killed"
    assert entry("FAIL").waiting
    assert entry("FAIL", {"state": "lost"}).waiting
    assert not entry("FAIL", {"state": "failed"}).waiting
