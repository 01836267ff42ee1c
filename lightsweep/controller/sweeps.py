"""Create, find and check sweeps in a storage; ``sweep()`` is the counterpart of W&B's function."""

from __future__ import annotations

import logging
import secrets
import string
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.study import StudyDirection

from lightsweep.controller.changes import add_prior_runs, check_prior_runs, named_runs
from lightsweep.controller.plan import SweepStatus
from lightsweep.controller.ranking import best_run
from lightsweep.controller.reader import SweepReader, storage_errors, view
from lightsweep.controller.runs import ATTEMPT, FORMAT, STATE, SWEEP, SweepRun, attempt_of, values_of
from lightsweep.errors import LightsweepError, NotFoundError, StorageError, StorageUnavailableError, closest
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage, default_url, open_storage, quiet
from lightsweep.storage.damage import Damage
from lightsweep.storage.trials import OPEN, TrialRow
from lightsweep.text import counted, quoted

LATEST = "latest"
"""The name of the newest sweep of a storage."""

_ALPHABET = string.ascii_lowercase + string.digits
_logger = logging.getLogger("lightsweep")


class Sweep(SweepReader):
    """A sweep in a storage.

    Made by :meth:`create` and :meth:`load`. Its attributes are those of
    :class:`~lightsweep.controller.reader.SweepReader`, as of the last :meth:`refresh`; the properties ``state``,
    ``runs`` and ``best_run`` refresh first. Safe from several threads.
    """

    @classmethod
    def create(
        cls,
        config: SweepConfig | str | Path | Mapping[str, Any],
        *,
        prior_runs: Sequence[str] = (),
        storage: Storage | str | None = None,
    ) -> Sweep:
        """Put a new sweep into a storage.

        Args:
            config: A loaded config, the path of a YAML file, or a dict.
            prior_runs: Sweeps in the same storage, or runs of them as ``SWEEP/RUN``, that bayes learns from, in
                addition to those that the config names.
            storage: A storage or its URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

        Raises:
            ConfigError: The config is wrong; nothing was written.
            NotFoundError: A prior run does not exist; nothing was written.
            UsageError: The sweep cannot learn from the prior runs; nothing was written.
            StorageError: The storage cannot be opened.
        """
        config = SweepConfig.load(config)
        opened = _opened(storage)
        prior = named_runs(partial(cls.load, storage=opened), [*config.options.prior_runs, *prior_runs])
        check_prior_runs(config, prior)
        directions = [StudyDirection[metric.goal.upper()] for metric in config.metrics] or [StudyDirection.MINIMIZE]
        seed = config.options.seed
        source = str(Path(config.source).resolve()) if config.source else None
        kept = {
            "format": FORMAT,
            "config": config.raw,
            "seed": secrets.randbelow(2**31) if seed is None else seed,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "source": source,
        }
        with storage_errors(), quiet():
            while True:
                sweep_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
                try:
                    study_id = opened.optuna.create_new_study(directions, sweep_id)
                    break
                except DuplicatedStudyError:
                    continue
            _name_for_optuna(opened, sweep_id, study_id, config)
            opened.optuna.set_study_user_attr(study_id, STATE, SweepStatus.RUNNING)
            opened.optuna.set_study_user_attr(
                study_id, SWEEP, kept
            )  # last, since this attribute makes the study a sweep
        attributes = {SWEEP: kept, STATE: SweepStatus.RUNNING}
        made = cls(opened, study_id, sweep_id, attributes, replace(config, source=source))
        if prior:
            add_prior_runs(made, prior)
        return made

    @classmethod
    def load(cls, sweep_id: str, *, storage: Storage | str | None = None) -> Sweep:
        """Find a sweep by its id, by a beginning that only its id has, or as ``latest``.

        Raises:
            NotFoundError: No such sweep in this storage, or several; the message names the closest ids.
            StorageError: The storage cannot be opened.
        """
        opened = _opened(storage, create=False)
        with storage_errors():
            found = [study for study in opened.studies(sweep_id) if SWEEP in study.attributes]
        if found:
            return cls(opened, found[0].id, sweep_id, found[0].attributes)
        with storage_errors():
            known = [study.name for study in opened.studies() if SWEEP in study.attributes]
        meant = known[-1:] if sweep_id == LATEST else [each for each in known if sweep_id and each.startswith(sweep_id)]
        if len(meant) == 1:
            return cls.load(meant[0], storage=opened)
        if sweep_id.endswith((".yaml", ".yml")):
            raise NotFoundError(
                f"{sweep_id!r} is a sweep file, not the id of a sweep; create a sweep from it and run it with: "
                f"lightsweep run {sweep_id}"
            )
        if meant:
            raise NotFoundError(f"{sweep_id!r} is the beginning of several sweeps: {', '.join(meant[:10])}")
        hint = closest(sweep_id, known) or (f"; the latest is {known[-1]}" if known else "; it holds no sweep yet")
        raise NotFoundError(f"no sweep {sweep_id!r} in {opened}{hint}")

    @classmethod
    def all(cls, *, storage: Storage | str | None = None) -> list[Sweep]:
        """Return every sweep of a storage, the oldest first.

        Other Optuna studies are left out, and so are sweeps that this version cannot read, with a warning in the log.
        """
        opened = _opened(storage, create=False)
        with storage_errors():
            ours = [study for study in opened.studies() if SWEEP in study.attributes]
        made = []
        for study in ours:
            try:
                made.append(cls(opened, study.id, study.name, study.attributes))
            except StorageError as error:  # noqa: PERF203 - one sweep must not hide the others
                _logger.warning("%s; it is left out", error)
        return made

    # --- results

    @property
    def runs(self) -> list[SweepRun]:
        """Every run, by id."""
        self.refresh()
        self.complete(self.known_entries())
        with self.lock:
            return [view(entry, self.config, waiting=self.waits(entry)) for entry in self.known_entries()]

    @property
    def best_run(self) -> SweepRun | None:
        """The run with the best value of the metric; ``None`` if no run has one.

        Finished runs and runs that were stopped early come first; others count only without such runs. Of equal runs
        the earliest is the best. Prior runs do not count.
        """
        return best_run(self.runs, self.config)

    def beat(self, *trial_ids: int) -> None:
        """Write a heartbeat for each of these running trials."""
        if trial_ids:
            with storage_errors():
                self.ledger.trials.beat(trial_ids)

    def add_prior_runs(self, *names: str) -> tuple[int, int]:
        """Learn from runs of other sweeps in the same storage, each named ``SWEEP`` or ``SWEEP/RUN``.

        See :func:`~lightsweep.controller.changes.add_prior_runs`.

        Raises:
            NotFoundError: No such sweep or run.
            UsageError: The sweep cannot learn from the prior runs.
        """
        found = named_runs(partial(self.load, storage=self.storage), names)
        check_prior_runs(self.config, found)
        return add_prior_runs(self, found)

    def __repr__(self) -> str:
        return f"Sweep({self.id!r}, storage={str(self.storage)!r})"


def _name_for_optuna(storage: Storage, sweep_id: str, study_id: int, config: SweepConfig) -> None:
    """Give the study the names that programs for Optuna show, such as optuna-dashboard."""
    if config.name:
        storage.optuna.set_study_user_attr(study_id, "name", config.name)
    if config.metrics:
        study = optuna.load_study(study_name=sweep_id, storage=storage.optuna)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([metric.name for metric in config.metrics])


def _opened(storage: Storage | str | None, *, create: bool = True) -> Storage:
    return storage if isinstance(storage, Storage) else open_storage(storage or default_url(), create=create)


def sweep(
    sweep: SweepConfig | str | Path | Mapping[str, Any],
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] | None = None,
    *,
    storage: Storage | str | None = None,
) -> str:
    """Create a sweep and return its id.

    Args:
        sweep: The path of a YAML file, a dict, or a loaded config.
        entity: A label, as in W&B; used if the config has none.
        project: A label, as in W&B; used if the config has none.
        prior_runs: Sweeps in the same storage, or runs of them as ``SWEEP/RUN``, that bayes learns from.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        ConfigError: The config is wrong.
        StorageError: The storage cannot be opened.
    """
    config = SweepConfig.load(sweep).labelled(entity=entity, project=project)
    return Sweep.create(config, prior_runs=prior_runs or (), storage=storage).id


_SHOWN = 5
_RESTORE = "restore the storage from a copy; agents and commands cannot read the sweep"


def sweep_damage(storage: Storage) -> tuple[int, list[Damage]]:
    """Check every sweep of a storage; studies of other programs are left alone.

    Returns:
        The number of sweeps, damaged ones included, and what was found.
    """
    with storage_errors():
        ours = [study for study in storage.studies() if {SWEEP, STATE} & study.attributes.keys()]
    found = [damage for study in ours for damage in _of_sweep(storage, *study)]
    return len(ours), found


def _of_sweep(storage: Storage, study_id: int, name: str, attributes: dict[str, Any]) -> Iterator[Damage]:
    place = f"sweep {name}"
    if SWEEP not in attributes:
        # The attribute is the last that is written when a sweep is created.
        remedy = f"if it has no runs, remove it: optuna --storage URL delete-study --study-name {name}; else {_RESTORE}"
        yield Damage(place, f"its attribute {SWEEP} is missing; perhaps its creation was interrupted", remedy)
        return
    if STATE not in attributes:
        wanted = f"--key {STATE} --value {SweepStatus.RUNNING}"
        remedy = f"write it: optuna --storage URL study set-user-attr --study-name {name} {wanted}"
        yield Damage(place, f"its attribute {STATE} is missing, so agents take the sweep for deleted", remedy)
        return
    try:
        sweep = Sweep(storage, study_id, name, attributes)
        sweep.refresh()
    except StorageUnavailableError:
        raise
    except LightsweepError as error:
        yield Damage(place, str(error), _RESTORE)
        return
    yield from _of_trials(place, sweep)


def _of_trials(place: str, sweep: Sweep) -> Iterator[Damage]:
    """Find trials that count for nothing, and finished runs without parameters.

    A trial counts if its attribute says that it is a run, a retry, an update or a prior run.
    """
    malformed, foreign = [], []
    for record in sweep.ledger.records:
        if ATTEMPT not in record.attributes:
            foreign.append(record)
        elif attempt_of(record.attributes[ATTEMPT]) is None:
            malformed.append(record)
    if malformed:
        value = quoted(malformed[0].attributes[ATTEMPT])
        yield Damage(
            place,
            f"{_trials(malformed)}: the attribute {ATTEMPT} is malformed, such as {value}, so they count for nothing",
            "if they were runs, restore the storage from a copy; else leave them",
        )
    ended = [record for record in foreign if record.state not in OPEN]
    if ended:
        yield Damage(
            place,
            f"{_trials(ended)}: the attribute {ATTEMPT} is missing, so they count for nothing",
            "if another program added them, leave them; else restore the storage from a copy",
        )
    bare = [
        entry.record
        for entry in sweep.known_entries()
        if entry.record.state == "COMPLETE" and values_of(entry, sweep.config) is None
    ]
    if bare:
        yield Damage(
            place,
            f"{_trials(bare)}: runs have finished, but some of their parameters are missing",
            "restore the storage from a copy; until then the runs are compared without parameters",
        )


def _trials(records: list[TrialRow]) -> str:
    shown = ", ".join(str(record.number) for record in records[:_SHOWN])
    more = f" and {len(records) - _SHOWN} more" if len(records) > _SHOWN else ""
    return f"{counted(len(records), 'trial')} ({shown}{more})"
