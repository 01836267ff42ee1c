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
        self._asked: set[int] = set()
        self._before: dict[int, datetime | None] = {}

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
        for trial_id in self._asked.difference(self._before):
            self._before[trial_id] = sweep.ledger.beats.get(trial_id)
        if now - sweep.contact.returned < _GRACE_IN_LEASES * lease:
            return []
        return [found.trial_id for found in stale if ATTEMPT in found.attributes and found.trial_id not in mine]

    def all_alive(self, entries: Iterable[RunEntry]) -> bool:
        """Whether each of these running runs got a new sign of life since it was first asked for here."""
        asked = {entry.record.trial_id for entry in entries}
        if not asked <= self._asked:
            # What was seen before it was asked for may have been its agent's last, so the next look comes at once.
            self._asked |= asked
            self._looked = -math.inf
            return False
        beats, before = self._sweep.ledger.beats, self._before
        return all(trial_id in before and _newer(beats.get(trial_id), before[trial_id]) for trial_id in asked)

    def forget(self) -> None:
        """Ask anew for signs of life."""
        self._asked.clear()
        self._before.clear()


def _newer(beat: datetime | None, before: datetime | None) -> bool:
    return beat is not None and (before is None or beat > before)
