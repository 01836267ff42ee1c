"""All trials of one study in memory, brought up to date by what has changed in the storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from lightsweep.storage.sql_trials import SqlTrials
from lightsweep.storage.trials import OPEN, OpenTrials, TrialRow


class TrialReader:
    """All trials of one study, brought up to date by :meth:`read` and then :meth:`take`.

    They are apart so that a program with several threads can hold one lock around both and, during :meth:`take` alone,
    which touches memory only, the lock under which it looks at the records.

    Args:
        trials: Access to the storage.
        study_id: Optuna's key of the study.
        clock: Seconds that only go forward.

    Attributes:
        trials: The access.
        records: Every trial, by number.
        clock: The clock; tests move it.
        reads_values: Whether a look reads the parameters too, as searchers that learn need them; else
            :meth:`complete` reads those of some trials.
        beats: The last heartbeat of each running trial as of the last :meth:`stale`.
        moment: The time as of the last :meth:`stale`, by the clock of the heartbeats.
    """

    def __init__(self, trials: SqlTrials, study_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.trials = trials
        self.clock = clock
        self.records: list[TrialRow] = []
        self.reads_values = True
        self.beats: dict[int, datetime] = {}
        self.moment = datetime.fromtimestamp(0, timezone.utc)
        self._study_id = study_id
        self._open: dict[int, TrialRow] = {}
        self._first_seen: dict[int, float] = {}
        self._settling: set[int] = set()  # got parameters at the last look, which read attributes before

    @property
    def last(self) -> TrialRow | None:
        """The last trial that is known; ``None`` before the first."""
        return self.records[-1] if self.records else None

    def read(self, key: str) -> tuple[Any, list[TrialRow]]:
        """Read an attribute of the study, ``None`` if there is none, and what is new, for :meth:`take`.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing has changed here.
        """
        known = dict(self._open)
        bare = (row.trial_id for row in known.values() if not row.parameters or row.trial_id in self._settling)
        unsettled = list(bare) if self.reads_values else []
        value, found = self.trials.changes(self._study_id, key, self.last, known, unsettled)
        if self.reads_values:
            begun = [row for row in found if row.state in OPEN and not row.parameters]
            self.complete(found)
            begun = [row for row in begun if row.parameters]
            self._settling = {row.trial_id for row in begun if row.trial_id in known}
            self._complete_attributes(key, {row.trial_id: row for row in begun if row.trial_id not in known})
        return value, found

    def complete(self, records: Iterable[TrialRow]) -> None:
        """Read the parameters of those of the trials that lack them.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing has changed here.
        """
        bare = {record.trial_id: record for record in records if not record.parameters}
        if bare:
            for trial_id, parameters in self.trials.parameters(list(bare)).items():
                bare[trial_id].parameters = parameters

    def _complete_attributes(self, key: str, new: OpenTrials) -> None:
        """Read the attributes of new trials again: some may be written after the look, and before the parameters."""
        if new:
            _, again = self.trials.changes(self._study_id, key, list(new.values())[-1], new, list(new))
            for row in again:
                if row.trial_id in new:
                    new[row.trial_id].attributes = row.attributes

    def take(self, found: Iterable[TrialRow]) -> list[TrialRow]:
        """Take in what :meth:`read` found; return the records that are new, or were open at the last look."""
        return [self._take(record) for record in found]

    def stale(self, lease: float) -> list[TrialRow]:
        """Return the running trials without a heartbeat for more than ``lease`` seconds.

        A trial without any, whose agent died between two commits, is stale a lease after this reader first saw it.
        """
        self.moment, self.beats = self.trials.heartbeats(self._study_id)
        oldest, known_before = self.moment - timedelta(seconds=lease), self.clock() - lease
        seen = dict(self._first_seen)  # another thread may take in a refresh meanwhile

        def is_stale(trial_id: int) -> bool:
            beat = self.beats.get(trial_id)
            return seen.get(trial_id, known_before) < known_before if beat is None else beat < oldest

        running = [record for record in list(self._open.values()) if record.state == "RUNNING"]
        return [record for record in running if is_stale(record.trial_id)]

    def _take(self, found: TrialRow) -> TrialRow:
        record = self._open.pop(found.trial_id, None)
        if record is None:
            record = found
            self.records.append(found)
        else:
            record.state, record.started, record.ended = found.state, found.started, found.ended
            record.parameters, record.attributes = found.parameters or record.parameters, found.attributes
            record.reports.extend(found.reports)
            record.last_step = found.last_step
        if record.state in OPEN:
            self._open[record.trial_id] = record
            self._first_seen.setdefault(record.trial_id, self.clock())
        else:
            self._first_seen.pop(record.trial_id, None)
        return record
