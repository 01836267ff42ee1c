"""The ``scheduler`` block: an Optuna study or search space that a Python file defines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lightsweep.schema.blocks import Block, Text, check, given
from lightsweep.schema.faults import Faults

__all__ = ["Scheduler", "read_scheduler"]

PATH = ("scheduler",)


class Scheduler(Block):
    """Who proposes the runs."""

    engine: Literal["wandb", "optuna"] = "optuna"
    """wandb: the methods of this page; optuna: what source defines."""
    source: Text | None = None
    """A Python file."""
    optimizer: Text | None = None
    """The function in source that builds the Optuna study or sampler."""
    search_space: Text | None = None
    """The function in source that defines the space, by run."""


def read_scheduler(value: Any, method: object, faults: Faults) -> Scheduler | None:
    """The scheduler of a config; ``None`` where there is none or where it is wrong."""
    if value is None:
        if method == "custom":
            faults.error(
                ("method",),
                "method custom needs a scheduler block that says what proposes the runs;"
                " without one write grid, random or bayes",
            )
        return None
    if isinstance(value, Mapping) and value.get("engine") == "ax":
        faults.error(
            (*PATH, "engine"), "the engine ax is not supported; use engine optuna, or method bayes without a scheduler"
        )
        check(Scheduler, {**value, "engine": None}, PATH, faults, "scheduler")
        return None
    block = check(Scheduler, value, PATH, faults, "scheduler")
    if block and not block.source:
        for key in ("optimizer", "search_space"):
            if key in given(value):
                faults.error((*PATH, key), f"{key} names a function in source, and scheduler has no source", key=True)
    if block and method == "custom" and block.engine == "wandb":
        faults.error(
            (*PATH, "engine"), "the engine wandb has the methods grid, random and bayes; method custom needs optuna"
        )
    return block
