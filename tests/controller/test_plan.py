"""The parts of a plan follow from the sequence of trials, and a part sees its own runs with tickets from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from test_plan_stages import config as staged_config

from lightsweep.controller.plan import Plan
from lightsweep.sampler import Observation
from lightsweep.schema import SweepConfig


def plan_of(*caps: int | None, run_cap: int | None = None) -> Plan:
    names = [f"p{number}" for number, _ in enumerate(caps)]
    stages: list[dict[str, Any]] = [
        {"parameters": [name], "run_cap": cap} for name, cap in zip(names, caps, strict=True)
    ]
    stages[0]["defaults"] = dict.fromkeys(names[1:], 0.5)
    config = SweepConfig.load(
        {
            "method": "random",
            "metric": {"name": "loss"},
            "parameters": {name: {"min": 0.0, "max": 1.0} for name in names},
            "lightsweep": {"stages": stages},
            "run_cap": run_cap,
        }
    )
    return Plan(config, seed=1)


def begin(made: Plan, ticket: int, stage: int, limit: int | None, base: str = "0001") -> None:
    made.take({"kind": "fresh", "stage": stage, "limit": limit, "base": base}, ticket)


def test_tickets_are_those_of_a_stage_until_the_next_begins() -> None:
    made = plan_of(2, None)
    for ticket in (0, 1):
        made.take({"kind": "fresh"}, ticket)
    assert (made.current.is_full(1), made.current.is_full(2)) == (False, True)
    assert [stage.number for stage in made.later] == [2]
    begin(made, 2, 2, 5, "0002")
    assert [(each.stage.number, each.start, each.limit, each.base) for each in made.parts] == [
        (1, 0, 2, None),
        (2, 2, 5, "0002"),
    ]
    assert [made.part_of(ticket).stage.number for ticket in (0, 1, 2, 6)] == [1, 1, 2, 2]
    assert (made.current.is_full(6), made.current.is_full(7)) == (False, True)
    assert made.later == ()


def test_a_stage_without_a_limit_is_never_full() -> None:
    assert not plan_of(None).current.is_full(10**9)


def test_a_stage_may_be_passed_over() -> None:
    made = plan_of(1, 2, 3)
    made.take({"kind": "fresh"}, 0)
    begin(made, 1, 3, 3)
    assert [each.stage.number for each in made.parts] == [1, 3]
    assert made.later == ()


def test_how_many_runs_there_can_be() -> None:
    assert plan_of(1, 2, None).limit()[0] is None
    assert plan_of(1, 2, 3).limit()[0] == 6
    assert plan_of(1, 2, 3, run_cap=4).limit()[0] == 4
    assert plan_of(5, 2, run_cap=4).current.limit == 4
    made = plan_of(1, 2, 3)
    begin(made, 1, 2, 1)  # one point was left out
    assert made.limit()[0] == 5


def test_tickets_are_counted_from_the_first_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, list[tuple[str, int | None]]]] = []

    class Recorded:
        def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Any]:
            asked.append((ticket, [(each.key, each.ticket) for each in known]))
            return {}

    made: list[tuple[list[str], Any]] = []

    def make(_config: Any, alone: Any, _seed: int, fixed: Any, _taken: Any) -> Recorded:
        made.append((sorted(parameter.name for parameter in alone.space.parameters), fixed.get("lr")))
        return Recorded()

    monkeypatch.setattr("lightsweep.controller.plan.make_subspace_searcher", make)
    loaded = SweepConfig.load(staged_config())
    plan = Plan(loaded, seed=1)
    plan.take({"stage": 2, "limit": 2, "base": "0001"}, 2)
    plan.take({"stage": 3, "limit": 2, "base": "0003"}, 4)
    values = {"optimizer": "adam", "lr": 0.01, "hidden": 16, "layers": 1, "dropout": 0.1, "epochs": 27}
    known = [Observation("p0001", None, values, "finished")]
    known += [
        Observation(f"{n + 1:04d}", n, {**values, "lr": 0.01 / (n + 1)}, "finished", (1.0,)) for n in (0, 1, 2, 3, 5)
    ]
    searcher = plan.searcher()
    searcher.suggest(4, known)
    searcher.suggest(3, known)
    searcher.suggest(4, known)
    assert made == [(["dropout"], 0.01 / 3), (["hidden", "layers"], 0.01)]
    last = [("p0001", None), ("0001", None), ("0002", None), ("0003", None), ("0004", None), ("0006", 1)]
    middle = [("p0001", None), ("0001", None), ("0002", None), ("0003", 0), ("0004", 1), ("0006", None)]
    assert asked == [(0, last), (1, middle), (0, last)]
