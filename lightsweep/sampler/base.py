"""The interface of a searcher: it gets the runs so far, and returns the parameters of the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lightsweep.space import Value

__all__ = ["Observation", "RunState", "Searcher"]

RunState = Literal["running", "finished", "pruned", "failed", "killed"]


@dataclass(frozen=True)
class Observation:
    """One run as a searcher sees it.

    Attributes:
        key: The run's id.
        ticket: The ticket of the run; ``None`` for a prior run.
        values: The run's parameters, flat, under their dotted names.
        state: The state of the run.
        objectives: The best finite value of the first metric and the last of the others, one for each metric; ``None``
            if the run logged nothing finite.
        last: The last finite value of each metric; ``objectives`` if ``None``.
        version: Changes with ``state`` or ``objectives``, so that cached work for the run is redone.
    """

    key: str
    ticket: int | None
    values: Mapping[str, Value]
    state: RunState
    objectives: tuple[float, ...] | None = None
    last: tuple[float, ...] | None = None
    version: int = 0


class Searcher(Protocol):
    """Suggest the parameters of runs."""

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """Return flat parameters for ``ticket`` (0, 1, 2, ...), which follow from config, seed, ticket and ``known``.

        ``None`` if the space is exhausted: each of its points belongs to an earlier ticket or is in ``known``.
        """
