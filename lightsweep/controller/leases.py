"""The leases of running runs: which agents are alive, by the heartbeats that they write."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from datetime import datetime

from lightsweep.controller.runs import ATTEMPT, RunEntry
from lightsweep.controller.sweeps import Sweep

_BEATS_PER_LEASE = 4
_READ_EACH_SECOND = 10


def lease_share(sweep: Sweep) -> float:
    """Return the seconds between two heartbeats, by the sweep's present lease, which other agents apply."""
    return sweep.config.options.lease / _BEATS_PER_LEASE


def look_pause(sweep: Sweep) -> float:
    """Return the seconds between two whole looks of an agent at work, in which it finds runs that wait for a retry.

    A look reads every running trial, so of hundreds of agents each looks less often: one finds such a run.
    """
    return min(len(sweep.running()) / _READ_EACH_SECOND, lease_share(sweep))


class Leases:
    """The heartbeats of the other agents' runs, read a few times per lease.

    Args:
        sweep: The sweep.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._looked = -math.inf
        self._asked: set[int] = set()
        self._before: dict[int, datetime | None] = {}

    def expired(self, mine: Collection[int]) -> list[int]:
        """Return the trials without a heartbeat for a lease; empty between two looks.

        The agent's own trials (``mine``) never expire. After an outage of the database, a suspension of this process
        or a step of the clock, every run gets one more lease.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        sweep, lease, now = self._sweep, self._sweep.config.options.lease, self._sweep.ledger.clock()
        if now - self._looked < lease_share(sweep):
            return []
        with sweep.contact.asking():
            stale = sweep.ledger.stale(lease)
            sweep.contact.compare(sweep.ledger.moment)
        self._looked = now
        for trial_id in self._asked.difference(self._before):
            self._before[trial_id] = sweep.ledger.beats.get(trial_id)
        if now - sweep.contact.returned < lease:
            return []
        return [found.trial_id for found in stale if ATTEMPT in found.attributes and found.trial_id not in mine]

    def all_alive(self, entries: Iterable[RunEntry]) -> bool:
        """Return whether each of these running runs has had a heartbeat since the first call for it."""
        asked = {entry.record.trial_id for entry in entries}
        if not asked <= self._asked:
            # An earlier heartbeat may have been the agent's last, so look again at once.
            self._asked |= asked
            self._looked = -math.inf
            return False
        beats = self._sweep.ledger.beats
        return all(each in self._before and beats.get(each) not in (None, self._before[each]) for each in asked)

    def forget(self) -> None:
        """Wait for new heartbeats of all runs again."""
        self._asked.clear()
        self._before.clear()
