"""The trials of a storage through Optuna's public API alone: slower than SQL, and right whatever its tables are."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import cache
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.storage.opening import Storage
from lightsweep.storage.postgresql_trials import PostgresqlTrials
from lightsweep.storage.sql_trials import SqlTrials
from lightsweep.storage.trials import Claim, OpenTrials, Parameters, TrialRow, Trials
from lightsweep.storage.url import DRIVERS

_BEAT = "lightsweep:beat"
"""Trial attribute: another value at each heartbeat, since Optuna's API writes heartbeats but does not read them."""


def trials_of(storage: Storage) -> Trials:
    """Return access to the trials of a storage: by SQL if the version of its tables is known."""
    return sql_trials_of(storage) if storage.schema_known else OptunaTrials(storage)


def sql_trials_of(storage: Storage) -> SqlTrials:
    """Return access by SQL, in the statements that suit the database."""
    return PostgresqlTrials(storage) if storage.engine.dialect.driver in DRIVERS["postgresql"] else SqlTrials(storage)


class OptunaTrials:
    """The trials of a storage by Optuna's API, see :class:`~lightsweep.storage.trials.Trials`.

    The API has no lock, so a claim is optimistic: it counts only if no other trial was added since the look before it,
    which the number of the new trial tells. And it reads no heartbeats, so an agent is alive if an attribute of its
    trial changes; the time of a heartbeat is when this process first saw it.

    Args:
        storage: The storage.
    """

    one_step = False

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._optuna = storage.optuna
        self._studies: dict[int, optuna.Study] = {}
        self._id = cache(storage.optuna.get_trial_id_from_study_id_trial_number)
        self._beats: dict[int, tuple[Any, datetime]] = {}

    def changes(
        self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials, _unsettled: Collection[int] = ()
    ) -> tuple[Any, list[TrialRow]]:
        """See :meth:`Trials.changes`; Optuna reads finished trials once, and running ones whole, at each look."""
        value = self._optuna.get_study_user_attrs(study_id).get(key)
        found = []
        for trial in self._all(study_id, last, {row.number for row in known.values()}):
            trial_id = self._id(study_id, trial.number)
            row = TrialRow(trial_id, trial.number, trial.state.name, dict(trial.params), dict(trial.user_attrs))
            row.started, row.ended = _utc(trial.datetime_start), _utc(trial.datetime_complete)
            row.last_step = known.get(trial_id, row).last_step
            for step in sorted(step for step in trial.intermediate_values if step > row.last_step):
                row.reports.append(trial.intermediate_values[step])
                row.last_step = step
            found.append(row)
        return value, found

    def glance(
        self, study_id: int, key: str, last: TrialRow | None, trial_ids: Sequence[int]
    ) -> tuple[Any, bool] | None:
        """See :meth:`Trials.glance`; always ``None``."""

    def parameters(self, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """See :meth:`Trials.parameters`; a look has read them with the trials."""
        found = {trial_id: dict(self._optuna.get_trial(trial_id).params) for trial_id in trial_ids}
        return {trial_id: parameters for trial_id, parameters in found.items() if parameters}

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """See :meth:`Trials.heartbeats`; the clock is this process's monotonic one."""
        now = datetime.fromtimestamp(time.monotonic(), timezone.utc)
        beats = {}
        for trial in self._all(study_id):
            if trial.state == TrialState.RUNNING and _BEAT in trial.user_attrs:
                trial_id, beat = self._id(study_id, trial.number), trial.user_attrs[_BEAT]
                before = self._beats.get(trial_id)
                beats[trial_id] = before if before is not None and before[0] == beat else (beat, now)
        self._beats = beats
        return now, {trial_id: moment for trial_id, (_, moment) in beats.items()}

    def beat(self, trial_ids: Sequence[int]) -> None:
        """See :meth:`Trials.beat`; both ways, for agents that read the tables."""
        for trial_id in trial_ids:
            self._optuna.record_heartbeat(trial_id)
            with suppress(UpdateFinishedTrialError):
                self._optuna.set_trial_user_attr(trial_id, _BEAT, time.time_ns())

    @contextmanager
    def claim(self, study_id: int, key: str, last: TrialRow | None) -> Iterator[Claim]:
        """See :meth:`Trials.claim`; ``add`` writes at once and then sees whether the trial counts."""
        news = [trial.user_attrs.get(key) for trial in self._all(study_id, last)]
        number = len(news) + (last.number + 1 if last else 0)

        def add(attributes: Mapping[str, Any], parameters: Parameters, reports: Sequence[float]) -> int:
            trial = create_trial(
                state=TrialState.RUNNING,
                params={name: value for name, (_, value) in parameters.items()},
                distributions={name: distribution for name, (distribution, _) in parameters.items()},
                user_attrs={**attributes, _BEAT: time.time_ns()},
                intermediate_values=dict(enumerate(reports, start=1)),
            )
            trial_id = self._optuna.create_new_trial(study_id, trial)
            self._optuna.record_heartbeat(trial_id)
            if self._optuna.get_trial_number_from_id(trial_id) != number:
                self._optuna.set_trial_state_values(trial_id, TrialState.FAIL)
                raise UpdateFinishedTrialError(f"another trial was added before trial {trial_id}")
            return trial_id

        yield Claim(number, news, add)

    def add_next(
        self, study_id: int, key: str, last: TrialRow | None, value: dict[str, Any], room: range, when: tuple[str, str]
    ) -> tuple[int, int] | None:
        """See :meth:`Trials.add_next`; always ``None`` here."""

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """See :meth:`Trials.set_parameters`; one commit for each."""
        for name, (distribution, value) in parameters.items():
            self._optuna.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """See :meth:`Trials.report`; one commit for each."""
        return {trial_id for trial_id, step, value in reports if not self._reported(trial_id, step, value)}

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """See :meth:`Trials.end`; the attributes first, since Optuna takes none of a trial that has ended."""
        try:
            for key, value in attributes.items():
                self._optuna.set_trial_user_attr(trial_id, key, value)
            return self._optuna.set_trial_state_values(trial_id, state, values)
        except KeyError:
            return False
        except UpdateFinishedTrialError:
            kept = self._optuna.get_trial(trial_id)
            same = (kept.user_attrs.get(key) == json.loads(json.dumps(value)) for key, value in attributes.items())
            return kept.state == state and all(same)

    def _reported(self, trial_id: int, step: int, value: float) -> bool:
        try:
            self._optuna.set_trial_intermediate_value(trial_id, step, value)
        except (UpdateFinishedTrialError, KeyError):
            return False
        return True

    def _all(self, study_id: int, last: TrialRow | None = None, known: Set[int] = frozenset()) -> list[FrozenTrial]:
        """Return the trials after ``last``, and those whose numbers are known, by number."""
        self._storage.check()
        if study_id not in self._studies:
            name = self._optuna.get_study_name_from_id(study_id)
            self._studies[study_id] = optuna.load_study(study_name=name, storage=self._optuna)
        first = last.number + 1 if last else 0
        trials = self._studies[study_id].get_trials(deepcopy=False)
        return [trial for trial in trials if trial.number >= first or trial.number in known]


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(timezone.utc)
