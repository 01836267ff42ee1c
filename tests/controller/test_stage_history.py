"""The stage of a ticket follows from the sequence of trials alone."""

from __future__ import annotations

from typing import Any

from lightsweep.controller.stage_history import StageHistory
from lightsweep.schema import SweepConfig


def course(*caps: int | None, run_cap: int | None = None) -> StageHistory:
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
        }
    )
    return StageHistory(config.stages, run_cap)


def begin(made: StageHistory, ticket: int, stage: int, limit: int | None, base: str = "0001") -> None:
    made.take({"kind": "fresh", "stage": stage, "limit": limit, "base": base}, ticket)


def test_tickets_are_those_of_a_stage_until_the_next_begins() -> None:
    made = course(2, None)
    for ticket in (0, 1):
        made.take({"kind": "fresh"}, ticket)
    assert (made.is_full(1), made.is_full(2)) == (False, True)
    assert [stage.number for stage in made.later] == [2]
    begin(made, 2, 2, 5, "0002")
    assert [(each.stage.number, each.start, each.limit, each.base) for each in made.opened] == [
        (1, 0, 2, None),
        (2, 2, 5, "0002"),
    ]
    assert [made.of(ticket).stage.number for ticket in (0, 1, 2, 6)] == [1, 1, 2, 2]
    assert (made.is_full(6), made.is_full(7)) == (False, True)
    assert made.later == ()


def test_a_stage_without_a_limit_is_never_full() -> None:
    assert not course(None).is_full(10**9)


def test_a_stage_may_be_passed_over() -> None:
    made = course(1, 2, 3)
    made.take({"kind": "fresh"}, 0)
    begin(made, 1, 3, 3)
    assert [each.stage.number for each in made.opened] == [1, 3]
    assert made.later == ()


def test_how_many_runs_there_can_be() -> None:
    assert course(1, 2, None).most is None
    assert course(1, 2, 3).most == 6
    assert course(1, 2, 3, run_cap=4).most == 4
    assert course(5, 2, run_cap=4).current.limit == 4
    made = course(1, 2, 3)
    begin(made, 1, 2, 1)  # one point was left out
    assert made.most == 5
