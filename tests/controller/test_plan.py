"""The searcher of a stage sees the runs of its stage with tickets from 0, and all others without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from test_stages import config

from lightsweep.controller.plan import StagedSearcher
from lightsweep.controller.stage_history import StageHistory
from lightsweep.sampler import Observation
from lightsweep.schema import SweepConfig


def test_tickets_are_counted_from_the_first_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, list[tuple[str, int | None]]]] = []

    class Recorded:
        def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Any]:
            asked.append((ticket, [(each.key, each.ticket) for each in known]))
            return {}

    made: list[tuple[str, Any]] = []

    def make(_config: Any, stage: Any, _seed: int, fixed: Any, _taken: Any) -> Recorded:
        made.append((stage.name, fixed.get("lr")))
        return Recorded()

    monkeypatch.setattr("lightsweep.controller.plan.make_stage_searcher", make)
    loaded = SweepConfig.load(config())
    course = StageHistory(loaded.stages, None)
    course.take({"stage": 2, "limit": 2, "base": "0001"}, 2)
    course.take({"stage": 3, "limit": 2, "base": "0003"}, 4)
    values = {"optimizer": "adam", "lr": 0.01, "hidden": 16, "layers": 1, "dropout": 0.1, "epochs": 27}
    known = [Observation("p0001", None, values, "finished")]
    known += [
        Observation(f"{n + 1:04d}", n, {**values, "lr": 0.01 / (n + 1)}, "finished", (1.0,)) for n in (0, 1, 2, 3, 5)
    ]
    searcher = StagedSearcher(loaded, 1, course)
    searcher.suggest(4, known)
    searcher.suggest(3, known)
    searcher.suggest(4, known)
    assert made == [("regularization", 0.01 / 3), ("architecture", 0.01)]
    last = [("p0001", None), ("0001", None), ("0002", None), ("0003", None), ("0004", None), ("0006", 1)]
    middle = [("p0001", None), ("0001", None), ("0002", None), ("0003", 0), ("0004", 1), ("0006", None)]
    assert asked == [(0, last), (1, middle), (0, last)]
