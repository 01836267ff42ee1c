"""The stages of a sweep: each searches some of the parameters, with the others at the best that was found before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from lightsweep.hyperband import Hyperband
from lightsweep.schema.blocks import Block, Natural, Text
from lightsweep.schema.plain import shown
from lightsweep.space import Space

__all__ = ["Method", "Stage", "StageKeys", "most_runs"]

Method = Literal["grid", "random", "bayes"]


def _names(value: object) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(item, (str, int, float)) for item in value):
        return [str(item) for item in value]
    raise ValueError(f"must be a list of names of parameters or groups, got {shown(value)}")


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"must be a mapping of names of parameters to values, got {shown(value)}")


Names = Annotated[
    list[str], BeforeValidator(_names), WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": "string"}})
]
Values = Annotated[Mapping[str, Any], BeforeValidator(_mapping), WithJsonSchema({"type": "object"})]


class StageKeys(Block):
    """One stage of a sweep."""

    parameters: Names
    """What it searches: dotted names; the name of a group means everything below it."""
    name: Text | None = None
    """What it is called; its number by default."""
    method: Method | None = None
    """How its points are chosen; the sweep's method by default."""
    run_cap: Natural | None = None
    """No more runs than this in the stage."""
    early_terminate: Any = None
    """Its hyperband; the sweep's by default, and null for none."""
    defaults: Values | None = None
    """Values of parameters that no stage before has searched."""


@dataclass(frozen=True)
class Stage:
    """A valid stage.

    Attributes:
        number: 1 for the first.
        name: Unique among the stages.
        method: How its points are chosen.
        space: The parameters that it searches.
        run_cap: No more runs than this; ``None`` for no limit of its own.
        early_terminate: The hyperband by which its runs are stopped early.
        given: Of the parameters that neither this stage nor one before it searches: their values.
        kept: The names of the others: they keep the values of the best run of the stages before.
    """

    number: int
    name: str
    method: Method
    space: Space
    run_cap: int | None = None
    early_terminate: Hyperband | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the parameters that it searches."""
        return tuple(parameter.name for parameter in self.space.parameters)

    @property
    def most(self) -> int | None:
        """No more runs than this, by its cap and by the number of its points; ``None`` where nothing limits it."""
        return least(self.run_cap, self.space.size)

    def fixed(self, best: Mapping[str, Any] | None) -> dict[str, Any]:
        """The values of all parameters that it does not search, by name.

        Args:
            best: The values of the best run of the stages before; ``None`` for the first stage.
        """
        return {**self.given, **{name: best[name] for name in self.kept if best is not None}}


def least(*limits: int | None) -> int | None:
    """The smallest of the limits, where ``None`` is none."""
    return min((limit for limit in limits if limit is not None), default=None)


def most_runs(stages: Sequence[Stage], run_cap: int | None = None) -> int | None:
    """No more runs than this in all of the stages and by the sweep's cap; ``None`` where nothing limits them."""
    limits = [stage.most for stage in stages]
    counted = [limit for limit in limits if limit is not None]
    return least(run_cap, sum(counted) if len(counted) == len(limits) else None)
