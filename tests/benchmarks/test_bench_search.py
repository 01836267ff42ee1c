"""The benchmark of the search: every method on the same problems, results that are never run twice, exact tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.search import driver
from benchmarks.search.driver import Result, Search, read, run
from benchmarks.search.methods import ENGINES, METHODS, sweep_file
from benchmarks.search.problems import HELD_OUT, PROBLEMS, TUNED, Problem
from benchmarks.search.standings import standings
from lightsweep.sampler import make_searcher
from lightsweep.schema import SweepConfig

INSTALLED = sorted(set(METHODS) - set(ENGINES))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
def test_a_problem_has_a_finite_loss_everywhere(problem: Problem) -> None:
    searcher = make_searcher(SweepConfig.load(sweep_file(problem, "random")), 1)
    for ticket in range(3):
        values = searcher.suggest(ticket, ())
        assert values is not None
        curve = problem.curve(values, seed=ticket)
        assert max(curve) <= problem.worst
        assert curve == problem.curve(values, seed=ticket)


def test_the_problems_are_what_the_tables_say() -> None:
    assert len(PROBLEMS) == len(TUNED) + len(HELD_OUT)
    assert sum(problem.real for problem in PROBLEMS.values()) >= 8
    assert sum(not problem.real for problem in PROBLEMS.values()) >= 4
    assert len(HELD_OUT) >= 4
    assert {len(problem.parameters) for problem in PROBLEMS.values()} >= {2, 12}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("method", INSTALLED)
def test_a_method_searches_alike_again_and_is_not_run_twice(method: str, workers: int, tmp_path: Path) -> None:
    search = Search("branin-mixed", method, 1, workers, 12)
    (first,) = run([search], tmp_path / "first")
    (again,) = run([search], tmp_path / "again")
    assert len(first.losses) == 12
    assert first.losses == again.losses
    assert list(run([search], tmp_path / "first")) == []
    assert read(tmp_path / "first") == [first]


def test_a_method_is_never_told_of_a_run_that_is_still_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    told: list[int] = []

    class Watching:
        def ask(self) -> tuple[int, dict[str, object]]:
            asked.append(len(told))
            return len(asked) - 1, {"x": 0.0, "y": 0.0, "shift": "a"}

        def tell(self, number: int, loss: float) -> None:
            told.append(number)

    monkeypatch.setitem(driver.METHODS, "watching", lambda *_: Watching())
    list(run([Search("branin-mixed", "watching", 0, 4, 10)], tmp_path))
    assert asked[:4] == [0, 0, 0, 0]
    assert asked[4:] == [1, 2, 3, 4, 5, 6]
    assert sorted(told) == list(range(10))
    assert told != sorted(told)


def test_the_tables_rank_and_count_runs_exactly() -> None:
    losses = {
        "lightsweep": [9.0, 1.0, 1.0] + [1.0] * 47,
        "random": [8.0, 8.0, 8.0] + [8.0] * 47,
        "optuna-tpe": [9.0, 9.0, 9.0] + [2.0] * 47,
    }
    results = [Result(Search("hartmann-6", name, 0, 1, 50), tuple(each), 0.5) for name, each in losses.items()]
    ranks, regrets, needed = standings(results)
    assert ranks.rows[0][0] == "lightsweep"
    assert {row[0]: row[1] for row in ranks.rows} == {"lightsweep": "1.00", "optuna-tpe": "2.00", "random": "3.00"}
    assert {row[0]: row[-1] for row in regrets.rows}["random"] == "1.000 ± 0.000"
    found = {row[0]: row[1] for row in needed.rows}
    assert found.pop("our goal") == "<= 0.4: met"
    assert found == {"lightsweep": "0.04", "optuna-tpe": "0.08", "random": "inf"}
    late = [9.0] * 25 + [1.0] * 25
    results[0] = Result(Search("hartmann-6", "lightsweep", 0, 1, 50), tuple(late), 0.5)
    *_, needed = standings(results)
    assert needed.rows[-1] == ["our goal", "<= 0.4: missed", "", "", ""]
