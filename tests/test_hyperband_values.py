"""A verdict costs the same however much the run has reported."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from lightsweep.hyperband import BandValues, Hyperband, judge


class Counted(list[float]):
    """Values that count how many of them were looked at."""

    looked = 0

    def __getitem__(self, index: Any) -> Any:
        self.looked += len(range(*index.indices(len(self)))) if isinstance(index, slice) else 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[float]:
        self.looked += len(self)
        return super().__iter__()


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_the_verdict_is_that_of_the_whole_history_and_looks_at_what_is_new(strict: bool, goal: str) -> None:
    hyperband = Hyperband(min_iter=2, eta=3, strict=strict)
    book = BandValues(hyperband, goal)
    random = Random(7)
    others = [[random.random() for _ in range(500)] for _ in range(4)]
    for number, history in enumerate(others):
        book.note(f"other {number}", history)
    mine = Counted()
    for _ in range(500):
        mine.append(random.random())
        mine.looked = 0
        found = book.judge("mine", mine)
        assert mine.looked <= 4
        band = hyperband.reached(len(mine))
        reached = [each[band - 1] for each in (*others, list(mine))] if band else []
        assert found == judge(hyperband, goal, list(mine), reached)
