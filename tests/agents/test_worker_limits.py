"""The limits after which an agent stops because its runs fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightsweep.agents.exit_status import FailureLimits


def first_word(limits: FailureLimits, ends: list[tuple[bool, float]]) -> tuple[int, str] | None:
    for number, (failed, now) in enumerate(ends, start=1):
        why = limits.note(failed, now)
        if why:
            return number, why
    return None


def test_three_failures_within_the_first_minute() -> None:
    ends = [(True, 105.0), (False, 110.0), (True, 120.0), (False, 130.0), (True, 160.0)]
    assert first_word(FailureLimits(started=100.0), ends) == (5, "3 runs failed within the first 60 s")


def test_a_failure_after_the_first_minute_does_not_count_as_early() -> None:
    ends = [(False, 1.0), (True, 10.0), (True, 20.0), (True, 60.1), (True, 99.0), (True, 100.0)]
    assert first_word(FailureLimits(), ends) is None


def test_the_first_five_all_failed() -> None:
    ends = [(True, 100.0 * number) for number in range(1, 7)]
    assert first_word(FailureLimits(), ends) == (5, "the first 5 runs all failed")


def test_one_good_run_among_the_first_five_is_enough() -> None:
    ends = [(False, 100.0), *((True, 200.0 + number) for number in range(20))]
    assert first_word(FailureLimits(), ends) is None


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_failures_in_a_row(limit: int) -> None:
    ends = [(True, 100.0)] * (limit - 1) + [(False, 101.0)] + [(True, 102.0)] * limit
    number, why = first_word(FailureLimits(limit), ends) or (0, "")
    assert number == 2 * limit
    what = "a run failed" if limit == 1 else f"{limit} runs in a row failed"
    assert why == f"{what} (max_consecutive_failed_runs: {limit})"


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=12),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_against_the_rules_read_off_the_whole_list(ends: list[tuple[bool, float]], limit: int | None) -> None:
    def gives_up(upto: int) -> bool:
        seen = ends[:upto]
        if not seen[-1][0]:
            return False
        early = sum(failed and now <= 60 for failed, now in seen)
        row = 0
        for failed, _ in seen:
            row = row + 1 if failed else 0
        all_failed = len(seen) >= 5 and all(failed for failed, _ in seen)
        return early >= 3 or all_failed or (limit is not None and row >= limit)

    expected = next((upto for upto in range(1, len(ends) + 1) if gives_up(upto)), None)
    found = first_word(FailureLimits(limit), ends)
    assert (found[0] if found else None) == expected
