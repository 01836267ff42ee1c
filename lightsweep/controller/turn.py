"""An agent's turn at a sweep: while it holds the lock under which runs are numbered, nothing about them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from lightsweep.controller.access import translated
from lightsweep.controller.keys import ATTEMPT
from lightsweep.controller.sweep import Sweep
from lightsweep.storage import Trials
from lightsweep.storage.trials import Parameters

__all__ = ["Turn", "turn"]


@dataclass(frozen=True)
class Turn:
    """What there is at this moment, and the one who may add to it.

    Attributes:
        ticket: The ticket of the next fresh run.
        updated: Whether the config was updated since the agent's last look.
    """

    ticket: int
    updated: bool
    _number: int
    _attempts: Sequence[Mapping[str, Any]]
    _connection: Connection
    _sweep: Sweep

    def taken(self, run: str) -> bool:
        """Whether another agent began an attempt at this run since the agent's last look."""
        return any(attempt.get("run") == run for attempt in self._attempts)

    def add(
        self, attributes: Mapping[str, Any], parameters: Parameters | None = None, reports: Sequence[float] = ()
    ) -> int:
        """Begin a trial; Optuna's key of it. Once in a turn."""
        study_id = self._sweep.study_id
        return Trials(self._sweep.storage).add(
            self._connection, study_id, self._number, attributes, parameters, reports
        )


@contextmanager
def turn(sweep: Sweep) -> Iterator[Turn]:
    """Wait for the lock, and see what was added since the last look; what is added here is committed at the end.

    Raises:
        StorageUnavailableError: The database does not answer; nothing was written.
        NotFoundError: The sweep was deleted.
    """
    trials = Trials(sweep.storage)
    with translated(), trials.locked(sweep.study_id) as connection:
        with sweep.lock:
            last, ticket, number = sweep.ledger.last_trial_id, sweep.book.next_ticket, len(sweep.ledger.records)
        news = trials.since(connection, sweep.study_id, last, ATTEMPT)
        attempts = [attempt for attempt in news if isinstance(attempt, dict)]
        kinds = [attempt["kind"] for attempt in attempts]
        yield Turn(ticket + kinds.count("fresh"), "update" in kinds, number + len(news), attempts, connection, sweep)
