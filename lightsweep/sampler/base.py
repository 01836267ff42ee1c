"""What a sampler sees of a sweep, and what it gives: the contract of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from lightsweep.space import Value

__all__ = ["Observation", "RunState", "Searcher"]

RunState = Literal["running", "finished", "pruned", "failed", "killed"]


@dataclass(frozen=True)
class Observation:
    """One run as the sampler should see it.

    Attributes:
        key: The run's id.
        ticket: The ticket that the run was proposed for; ``None`` for a run that came from outside.
        values: The run's parameters, flat, under their dotted names.
        state: Where the run stands.
        objectives: The best of the finite history for each metric of the sweep; ``None`` where nothing finite was
            logged.
        last: The last finite value of each metric; ``objectives`` if ``None``.
        version: Changes whenever ``state`` or ``objectives`` change; cached work for the run is done again then.
    """

    key: str
    ticket: int | None
    values: Mapping[str, Value]
    state: RunState
    objectives: tuple[float, ...] | None = None
    last: tuple[float, ...] | None = None
    version: int = 0


class Searcher(Protocol):
    """Gives the parameters of the run for a ticket."""

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """Flat parameters for ``ticket`` (0, 1, 2, ...), a function of the config, the seed, the ticket and ``known``.

        ``None`` when the space is exhausted: each of its points was proposed for an earlier ticket or is in ``known``.
        """
