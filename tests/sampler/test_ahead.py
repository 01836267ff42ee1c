"""A point that is found while runs train: when it is found, when it is taken, and when it is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from sampler_helpers import QUADRATIC, sweep

from lightsweep.sampler import Observation, RunState
from lightsweep.sampler.ahead import AheadSearcher
from lightsweep.space import Value

SPACE = sweep(QUADRATIC).space
COST = 0.5
SHORT, LONG = 2.0, 1000.0


class Model:
    """A searcher whose points tell how many runs had ended, and whose proposals take `COST` of a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[int, int]] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        self.fails = False

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        ended = sum(each.state != RunState.RUNNING for each in history)
        self.asked.append((ticket, ended))
        self.begun.set()
        assert self.may_end.wait(30)
        self.now += COST
        if self.fails:
            raise RuntimeError("no point")
        return {"x": 0.5, "y": ended / 100}


class Bench:
    """A searcher over a model, and the runs that it sees."""

    def __init__(self) -> None:
        self.model = Model()
        self.parts = ["first"]
        self.runs: list[Observation] = []
        self.ahead = AheadSearcher(self.model, SPACE, lambda _: self.parts[-1], lambda: self.model.now)

    def run(self, state: RunState, x: float = 0.0, y: float = 0.9) -> None:
        number = len(self.runs)
        self.runs.append(Observation(f"{number:04}", number, {"x": x, "y": y}, state))

    def end(self, number: int) -> None:
        before = self.runs[number]
        self.runs[number] = Observation(before.key, before.ticket, before.values, RunState.FINISHED, (0.1,))

    def suggest(self) -> dict[str, Value] | None:
        return self.ahead.suggest(len(self.runs), list(self.runs))

    def prepare(self, run_seconds: float = SHORT) -> None:
        """Let the thread do its work, if it has any."""
        self.ahead.prepare(len(self.runs), lambda: list(self.runs), run_seconds)
        self.ahead.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.run(RunState.FINISHED)
    assert made.suggest() == {"x": 0.5, "y": 0.01}  # so that its cost is known
    made.run(RunState.RUNNING)
    made.model.asked.clear()
    yield made
    made.model.may_end.set()
    made.ahead.close()


def test_a_slot_takes_the_point_that_was_found_while_its_run_trained(bench: Bench) -> None:
    bench.prepare()
    assert bench.model.asked == [(2, 1)]
    bench.end(1)
    assert bench.suggest() == {"x": 0.5, "y": 0.01}
    assert bench.model.asked == [(2, 1)]
    assert bench.suggest() == {"x": 0.5, "y": 0.02}  # a point is taken once


def test_long_runs_wait_for_a_proposal_that_knows_all(bench: Bench) -> None:
    bench.prepare(LONG)
    assert bench.model.asked == []
    bench.prepare(SHORT)
    bench.end(1)
    bench.ahead.prepare(2, lambda: list(bench.runs), LONG)
    assert bench.suggest() == {"x": 0.5, "y": 0.02}


def test_nothing_is_found_ahead_before_both_times_are_known(bench: Bench) -> None:
    bench.prepare(float("inf"))
    assert bench.model.asked == []
    new = Bench()
    new.prepare()
    assert new.model.asked == []


def test_a_slot_waits_for_the_point_that_is_about_to_be_found(bench: Bench) -> None:
    bench.model.begun.clear()
    bench.model.may_end.clear()
    bench.ahead.prepare(2, lambda: list(bench.runs), SHORT)
    assert bench.model.begun.wait(30)
    bench.ahead.prepare(2, lambda: list(bench.runs), SHORT)  # one thread at most
    found: list[dict[str, Value] | None] = []
    slot = threading.Thread(target=lambda: found.append(bench.suggest()))
    slot.start()
    bench.model.may_end.set()
    slot.join(30)
    assert found == [{"x": 0.5, "y": 0.01}]
    assert bench.model.asked == [(2, 1)]


def test_new_results_are_taken_in_after_a_rest(bench: Bench) -> None:
    bench.prepare()
    bench.end(1)
    bench.prepare()
    assert len(bench.model.asked) == 1
    bench.model.now += 9 * COST
    bench.prepare()
    assert bench.model.asked[1:] == [(2, 2)]
    bench.model.now += 9 * COST
    bench.prepare()  # nothing is new
    assert len(bench.model.asked) == 2
    assert bench.suggest() == {"x": 0.5, "y": 0.02}


@pytest.mark.parametrize(("x", "y", "left"), [(0.5, 0.01, True), (0.46, 0.04, True), (0.5, 0.2, False)])
def test_a_point_is_left_if_another_agent_has_begun_a_run_near_to_it(
    bench: Bench, x: float, y: float, left: bool
) -> None:
    bench.prepare()
    bench.run(RunState.RUNNING, x, y)
    bench.end(1)
    bench.suggest()
    assert len(bench.model.asked) == 1 + left


def test_a_point_is_left_if_a_run_has_moved_there_or_the_part_of_the_sweep_is_another(bench: Bench) -> None:
    bench.prepare()
    moved = bench.runs[1]
    bench.runs[1] = Observation(moved.key, moved.ticket, {"x": 0.5, "y": 0.01}, RunState.RUNNING)
    bench.suggest()
    assert len(bench.model.asked) == 2
    bench.prepare()
    bench.parts.append("second")
    bench.suggest()
    assert len(bench.model.asked) >= 3


def test_an_error_is_that_of_the_claim(bench: Bench) -> None:
    bench.model.fails = True
    bench.prepare()
    assert len(bench.model.asked) == 1
    with pytest.raises(RuntimeError, match="no point"):
        bench.suggest()
