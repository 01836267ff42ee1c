"""Which agents are alive, told from the heartbeats of the runs that they have in hand."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import datetime

from lightsweep.controller.access import translated
from lightsweep.controller.keys import ATTEMPT
from lightsweep.controller.runs import RunEntry
from lightsweep.controller.sweep import Sweep

__all__ = ["Leases"]

_LOOKS_PER_LEASE = 8
_GRACE_IN_LEASES = 0.5


class Leases:
    """What one agent knows of the signs of life of the others; looked at a few times per lease.

    Args:
        sweep: The sweep.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._looked = -math.inf
        self._asked: dict[int, datetime | None] = {}

    def expired(self, mine: Collection[int]) -> list[int]:
        """The trials whose agent gave no sign of life for a lease; empty between two looks.

        Not ``mine``, those that this agent has in hand: it is alive, and only the database was away. When it comes
        back, the other agents are given time for a sign of life first.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        sweep, lease, now = self._sweep, self._sweep.config.options.lease, self._sweep.ledger.clock()
        if now - self._looked < lease / _LOOKS_PER_LEASE:
            return []
        with translated():
            stale = sweep.ledger.stale(lease)
        self._looked = now
        if now - sweep.contact.returned < _GRACE_IN_LEASES * lease:
            return []
        return [found.trial_id for found in stale if ATTEMPT in found.attributes and found.trial_id not in mine]

    def all_alive(self, entries: Iterable[RunEntry]) -> bool:
        """Whether each of these running runs got a new sign of life since it was first asked for here."""
        beats = self._sweep.ledger.beats
        alive = True
        for entry in entries:
            trial_id = entry.record.trial_id
            beat = beats.get(trial_id)
            before = self._asked.setdefault(trial_id, beat)
            alive = alive and beat is not None and (before is None or beat > before)
        return alive

    def forget(self) -> None:
        """Ask anew for signs of life."""
        self._asked.clear()
