"""The trials of a storage: a row of each, what may be done with them, and a reader that follows what changes.

:mod:`lightsweep.storage.sql_trials` does it by SQL, :mod:`lightsweep.storage.optuna_trials` by Optuna's API.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

Parameters = Mapping[str, tuple[BaseDistribution, Any]]
"""For each parameter its Optuna distribution and the value in Optuna's external representation."""

OPEN = frozenset({"RUNNING", "WAITING"})
"""The states of a trial that has not ended."""


class StoredAttributes(Mapping[str, Any]):
    """User attributes of a trial as the storage has them, decoded at each access: of most trials few are needed.

    Args:
        listed: The name and the JSON of each attribute, with ``NAME_ENDS`` between them and ``ATTRIBUTE_ENDS`` between
            attributes: JSON has no control characters.
    """

    NAME_ENDS, ATTRIBUTE_ENDS = "\2", "\1"

    __slots__ = ("_listed",)

    def __init__(self, listed: str) -> None:
        self._listed = listed

    def _texts(self) -> dict[str, str]:
        pairs = (each.partition(self.NAME_ENDS) for each in self._listed.split(self.ATTRIBUTE_ENDS) if each)
        return {name: text for name, _, text in pairs}

    def _text(self, name: object) -> str | None:
        """Return the JSON of one attribute, found without a split into all; ``None`` without it."""
        begin = f"{name}{self.NAME_ENDS}"
        at = 0 if self._listed.startswith(begin) else self._listed.find(self.ATTRIBUTE_ENDS + begin) + 1 or -1
        if at < 0:
            return None
        return self._listed[at + len(begin) :].partition(self.ATTRIBUTE_ENDS)[0]

    def __getitem__(self, name: str) -> Any:
        text = self._text(name)
        if text is None:
            raise KeyError(name)
        return json.loads(text)

    def get(self, name: str, default: Any = None) -> Any:
        text = self._text(name)  # an exception for each attribute that a trial lacks would cost more
        return default if text is None else json.loads(text)

    def __contains__(self, name: object) -> bool:
        return self._text(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts())

    def __len__(self) -> int:
        return len(self._texts())

    def __repr__(self) -> str:
        return repr(dict(self))

    def mentions(self, word: str) -> bool:
        """Return whether the name or the JSON of an attribute has this text anywhere."""
        return word in self._listed


@dataclass(slots=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        trial_id: Optuna's key of the trial.
        number: Position in the study, from 0 without gaps.
        state: ``RUNNING``, ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``WAITING``.
        parameters: Parameter name -> value in Optuna's external representation; empty until they are read, see
            :meth:`TrialReader.complete`.
        attributes: User attributes.
        reports: Every value reported, in order of the steps, NaN and infinities included.
        last_step: Step of the last of ``reports``.
        started, ended: Times in UTC; ``None`` if not yet.
    """

    trial_id: int
    number: int
    state: str
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reports: array[float] = field(default_factory=lambda: array("d"))
    last_step: int = -(2**31)
    started: datetime | None = None
    ended: datetime | None = None

    def mentions(self, word: str) -> bool:
        """Return False if no attribute has the name ``word`` anywhere in its JSON; none is decoded for that."""
        return not isinstance(self.attributes, StoredAttributes) or self.attributes.mentions(f'"{word}"')


OpenTrials = Mapping[int, TrialRow]
"""Trials that had not ended at the last look, by Optuna's key."""


@dataclass(frozen=True)
class Claim:
    """The right to add the next trial of a study.

    Attributes:
        number: The trial's position in the study, from 0.
        news: An attribute of each trial that was added since the last look; ``None`` for a trial without it.
        add: Begins a trial with these attributes, parameters and reports (of the steps from 1), and with a heartbeat;
            returns Optuna's key of it. To be called once. Raises ``optuna.exceptions.UpdateFinishedTrialError`` if
            another agent added a trial meanwhile, so that this one does not count: look again.
    """

    number: int
    news: Sequence[Any]
    add: Callable[[Mapping[str, Any], Parameters, Sequence[float]], int]


class Trials(Protocol):
    """The trials of a storage; safe from several threads.

    Each method raises ``sqlalchemy.exc.SQLAlchemyError`` or ``optuna.exceptions.StorageInternalError`` if the database
    does not answer. It can be called again then, whether or not its commit succeeded.

    Attributes:
        one_step: Whether :meth:`add_next` can begin a trial.
    """

    one_step: bool

    def changes(
        self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials, unsettled: Collection[int] = ()
    ) -> tuple[Any, list[TrialRow]]:
        """Return a user attribute of the study, and the trials that may have changed, by number, without parameters.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute; its value is ``None`` if the study lacks it or was deleted.
            last: The last trial that is known: every later one is returned.
            known: Trials to read again. Of them only the new reports are returned, and none without a change need be.
                One that still runs keeps its attributes and parameters.
            unsettled: Those of ``known`` that may have got attributes meanwhile, though they still run.
        """

    def glance(
        self, study_id: int, key: str, last: TrialRow | None, trial_ids: Sequence[int]
    ) -> tuple[Any, bool] | None:
        """Return a user attribute of the study, and whether an agent at work needs a whole look.

        It does if one of its trials has ended, or if one after ``last`` has failed, as an update of the config does.
        ``None`` if the storage has nothing that is cheaper than `changes`.
        """

    def parameters(self, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the parameters of the trials that have some, see :attr:`TrialRow.parameters`."""

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """Return the time now and that of the last heartbeat of each running trial, by the same clock."""

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Write a heartbeat of each of the trials."""

    def claim(self, study_id: int, key: str, last: TrialRow | None) -> AbstractContextManager[Claim]:
        """Lock the study to add a trial; what is added is committed at the end of the block.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute in ``Claim.news``.
            last: The last trial that is known.

        Raises:
            KeyError: The study was deleted.
        """

    def add_next(
        self, study_id: int, key: str, last: TrialRow | None, value: dict[str, Any], room: range, when: tuple[str, str]
    ) -> tuple[int, int] | None:
        """Begin the next trial in one step, since hundreds of agents would wait for one that holds the study's lock.

        It has one attribute, a heartbeat and no parameters.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute that tells the kind of a trial.
            last: The last trial that is known.
            value: The value of the attribute, but for ``ticket`` and ``number``, of the trial, which are added.
            room: The tickets that are free: without a newer trial than ``last`` the run gets the first of them.
            when: An attribute of the study, and the value that it must have.

        Returns:
            Optuna's key of the trial, and its ticket: the one after that of the trial before. ``None``, and nothing was
            written, if that is not in ``room``, if the trial before was not added in this way, if the attribute
            has another value, or if the storage has no such step: `claim` works in any case.
        """

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """Give a running trial its parameters.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: It has ended.
        """

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """Write intermediate values, each as trial, step and value; return the trials that are not running any more.

        A step that was written before keeps the later value.
        """

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """End a running trial with its attributes and objective values; return False if it was not running any more.

        Called again after a commit whose answer was lost, it returns True once more.
        """


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

    def __init__(self, trials: Trials, study_id: int, clock: Callable[[], float] = time.monotonic) -> None:
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

    def glance(self, key: str, trial_ids: Sequence[int]) -> tuple[Any, bool] | None:
        """Return an attribute of the study, and whether something needs a :meth:`read`, see :meth:`Trials.glance`."""
        return None if self.reads_values else self.trials.glance(self._study_id, key, self.last, trial_ids)

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
