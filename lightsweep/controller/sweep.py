"""The sweep: created from a config, found again by its id, asked for its runs, told to pause or stop."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from lightsweep.controller.access import Contact, translated
from lightsweep.controller.bands import BandBook, band_books
from lightsweep.controller.best import best_run
from lightsweep.controller.changes import add_prior_runs, ask, check_prior_runs, named_runs, retry, update
from lightsweep.controller.keys import FORMAT, STATE, SWEEP
from lightsweep.controller.plan import Plan
from lightsweep.controller.progress import SweepState, state_of, wants_retry
from lightsweep.controller.runs import RunBook, RunEntry, SweepRun
from lightsweep.controller.stages import next_step
from lightsweep.controller.views import nested, view
from lightsweep.errors import NotFoundError, StorageError, closest
from lightsweep.schema import Stage, SweepConfig
from lightsweep.storage import Ledger, Storage, default_url, open_storage, quiet

__all__ = ["Sweep"]

_ALPHABET = string.ascii_lowercase + string.digits
_S = TypeVar("_S", bound="Sweep")


class Sweep:
    """A sweep in a storage.

    Made by :meth:`create` and :meth:`load`. What it tells is as of the last :meth:`refresh`, which the properties
    ``state``, ``runs`` and ``best_run`` do themselves. Safe from several threads.

    Attributes:
        id: Eight letters and digits; the name of the Optuna study.
        plan: What it is to do: its config, its limit, where parameters come from.
        seed: What its proposals follow from, together with the config and the tickets.
        storage: Where it lives.
        created: When, in UTC.
        directory: Where the sweep file was; ``None`` for a config given as a dict.
        contact: When the storage answered and when it did not, by the ledger's clock.
        lock: Held while the runs in memory are looked at or changed; never while the storage is asked, so call no
            method that asks it, such as ``refresh``, while holding it.
    """

    def __init__(self, storage: Storage, study_id: int, sweep_id: str, attributes: Mapping[str, Any]) -> None:
        self.storage = storage
        self.id = sweep_id
        self.study_id = study_id
        self.lock = threading.RLock()
        self._reading = threading.Lock()
        self._unsettled: dict[str, RunEntry] = {}
        self._views: dict[str, tuple[int, SweepRun]] = {}
        self._adopt(attributes)
        self.ledger = Ledger(storage, study_id)
        self.contact = Contact(lambda: self.ledger.clock())
        self.book = RunBook(self.plan.course)

    def _adopt(self, attributes: Mapping[str, Any]) -> None:
        kept = attributes[SWEEP]
        if kept["format"] > FORMAT:
            raise StorageError(
                f"sweep {self.id} was made by a newer lightsweep (format {kept['format']}, this one knows {FORMAT}); "
                "update with `pip install -U lightsweep`"
            )
        source: str | None = kept.get("source")
        self.source = source
        self.seed: int = kept["seed"]
        self.plan = Plan(self._load(kept["config"]), self.seed)
        self.created = datetime.fromisoformat(kept["created"])
        self.directory: str | None = str(Path(source).parent) if source else None
        self.asked: str = attributes.get(STATE, "running")
        self._bands = band_books(self.config)

    def _load(self, raw: Mapping[str, Any]) -> SweepConfig:
        return replace(SweepConfig.load(raw), source=self.source)

    def bands_of(self, ticket: int | None) -> BandBook | None:
        """The values at the bands that the run with this ticket is compared with; ``None`` where it has no bands."""
        stage = self.stage_of(ticket)
        return self._bands.get(stage.number if stage is not None else 0)

    def stage_of(self, ticket: int | None) -> Stage | None:
        """The stage of the run with this ticket; ``None`` in a sweep without stages, and for a prior run."""
        course = self.plan.course
        return None if course is None or ticket is None else course.of(ticket).stage

    @property
    def config(self) -> SweepConfig:
        """The config that the sweep was created from, or the last one that it was updated to."""
        return self.plan.config

    @classmethod
    def create(
        cls: type[_S],
        config: SweepConfig | str | Path | Mapping[str, Any],
        *,
        prior_runs: Sequence[str] = (),
        storage: Storage | str | None = None,
    ) -> _S:
        """Put a new sweep into a storage.

        Args:
            config: A loaded config, the path of a YAML file, or a dict.
            prior_runs: Sweeps in the same storage, or runs of them as ``SWEEP/RUN``, that bayes begins with, besides
                those that the config names.
            storage: A storage or its URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

        Raises:
            ConfigError: The config is wrong; nothing was written.
            NotFoundError: No such prior run; nothing was written.
            UsageError: The prior runs cannot mean anything to this sweep; nothing was written.
            StorageError: The storage cannot be opened.
        """
        if not isinstance(config, SweepConfig):
            config = SweepConfig.load(config)
        opened = _opened(storage)
        prior = named_runs(cls, [*config.options.prior_runs, *prior_runs], opened)
        check_prior_runs(config, prior)
        goals = [metric.goal for metric in config.metrics] or ["minimize"]
        directions = [StudyDirection.MINIMIZE if goal == "minimize" else StudyDirection.MAXIMIZE for goal in goals]
        seed = config.options.seed
        kept = {
            "format": FORMAT,
            "config": config.raw,
            "seed": secrets.randbelow(2**31) if seed is None else seed,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "source": str(Path(config.source).resolve()) if config.source else None,
        }
        with translated(), quiet():
            while True:
                sweep_id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
                try:
                    study_id = opened.optuna.create_new_study(directions, sweep_id)
                    break
                except DuplicatedStudyError:
                    continue
            opened.optuna.set_study_user_attr(study_id, STATE, "running")
            opened.optuna.set_study_user_attr(study_id, SWEEP, kept)  # last: it is what makes the study a sweep
        made = cls(opened, study_id, sweep_id, {SWEEP: kept, STATE: "running"})
        if prior:
            add_prior_runs(made, prior)
        return made

    @classmethod
    def load(cls: type[_S], sweep_id: str, *, storage: Storage | str | None = None) -> _S:
        """Find a sweep by its id.

        Raises:
            NotFoundError: No such sweep in this storage; the message names the closest id.
            StorageError: The storage cannot be opened.
        """
        opened = _opened(storage, create=False)
        with translated():
            found = {study.study_name: study.user_attrs for study in opened.optuna.get_all_studies()}
            attributes = found.get(sweep_id, {})
            study_id = opened.optuna.get_study_id_from_name(sweep_id) if SWEEP in attributes else -1
        if SWEEP not in attributes:
            known = [name for name, kept in found.items() if SWEEP in kept]
            hint = closest(sweep_id, known) or (
                "; `lightsweep ls` lists the sweeps" if known else "; there is no sweep in it yet"
            )
            raise NotFoundError(f"no sweep {sweep_id!r} in {opened}{hint}")
        return cls(opened, study_id, sweep_id, attributes)

    @classmethod
    def all(cls: type[_S], *, storage: Storage | str | None = None) -> list[_S]:
        """Every sweep of a storage, the oldest first; other Optuna studies in it are left out."""
        opened = _opened(storage, create=False)
        with translated():
            studies = opened.optuna.get_all_studies()
            ours = [study for study in studies if SWEEP in study.user_attrs]
            ids = [opened.optuna.get_study_id_from_name(study.study_name) for study in ours]
        return [
            cls(opened, study_id, study.study_name, study.user_attrs) for study_id, study in zip(ids, ours, strict=True)
        ]

    # --- looking

    def refresh(self, *, details: bool = True) -> list[RunEntry]:
        """Read what changed in the storage; the runs concerned.

        Args:
            details: False where only the states of the runs and their reports are needed, which is faster: an agent's
                view. Parameters and summaries then come with the next refresh that asks for them.

        Raises:
            StorageUnavailableError: The database does not answer.
            NotFoundError: The sweep was deleted.
        """
        with self._reading:
            with self.contact.asking(), self.storage.reading() as connection:
                asked = self.ledger.attribute(connection, STATE)
                found = self.ledger.read(connection, details=details)
            with self.lock:
                self.asked = asked
                changed = self.book.take(self.ledger.take(found))
                updated = self._take_updates()
                entries = list(self.book.entries.values()) if updated else changed
                for entry in entries:
                    if entry.running or wants_retry(entry, self.config):
                        self._unsettled[entry.id] = entry
                    else:
                        self._unsettled.pop(entry.id, None)
                histories = [(bands, entry.id, entry.history) for entry in entries if (bands := self._behind(entry))]
            for bands, run, history in histories:
                bands.note(run, history)
            return changed

    def _take_updates(self) -> bool:
        """Go on with the newest config; whether there was a new one."""
        new = self.book.updates[self.plan.revision :]
        for tickets, raw in new:
            self.plan.update(self._load(raw), tickets)
        if new:
            self._bands = band_books(self.config)
            self._views.clear()
        return bool(new)

    def _behind(self, entry: RunEntry) -> BandBook | None:
        """The bands that lack values of the run."""
        bands = None if entry.prior else self.bands_of(entry.ticket)
        return bands if bands is not None and bands.behind(entry.id, entry.iterations) else None

    @property
    def state(self) -> SweepState:
        """Where the sweep stands now.

        Raises:
            StorageUnavailableError: The database does not answer.
            NotFoundError: The sweep was deleted.
        """
        return self.look()

    def look(self, *, details: bool = True) -> SweepState:
        """Where the sweep stands now, after a :meth:`refresh`.

        Raises:
            StorageUnavailableError: The database does not answer.
            NotFoundError: The sweep was deleted.
        """
        self.refresh(details=details)
        return self.known_state()

    def known_state(self) -> SweepState:
        """Where the sweep stood at the last look."""
        with self.lock:
            best, step = self.known_best(), next_step(self)
            return state_of(
                self.asked,
                self.config,
                self._unsettled.values(),
                self.book.next_ticket,
                best[1] if best else None,
                (step.limit, step.why),
            )

    def waiting(self) -> list[RunEntry]:
        """The runs that, at the last look, waited to be started again, by ticket."""
        with self.lock:
            found = [entry for entry in self._unsettled.values() if not entry.running]
        return sorted(found, key=lambda entry: (len(entry.id), entry.id))

    def running(self) -> list[RunEntry]:
        """The runs that, at the last look, agents had in hand."""
        with self.lock:
            return [entry for entry in self._unsettled.values() if entry.running]

    @property
    def runs(self) -> list[SweepRun]:
        """Every run, by id."""
        self.refresh()
        with self.lock:
            return [self._made(entry) for entry in self.known_entries()]

    def known_runs(self) -> list[SweepRun]:
        """Every run as of the last look, by id, for those who look often: to be read only, since they are kept."""
        with self.lock:
            return [self.view(entry) for entry in self.known_entries()]

    def known_entries(self) -> list[RunEntry]:
        """What the storage said of every run at the last look, by id; to be called while holding ``lock``."""
        return sorted(self.book.entries.values(), key=lambda entry: (len(entry.id), entry.id))

    def view(self, entry: RunEntry) -> SweepRun:
        """The run for users, made again only where it changed."""
        version, seen = self._views.get(entry.id, (None, None))
        if seen is None or version != entry.version:
            seen = self._made(entry)
            self._views[entry.id] = (entry.version, seen)
        return seen

    def _made(self, entry: RunEntry) -> SweepRun:
        stage = self.stage_of(entry.ticket)
        return view(entry, self.config, stage.name if stage is not None else None)

    @property
    def best_run(self) -> SweepRun | None:
        """The run with the best value of the metric; ``None`` where no run has one.

        Runs that went to their end or were stopped early come first; others count only where there is none of those.
        Of equals the earliest.
        """
        return best_run(self.runs, self.config)

    def known_best(self) -> tuple[str, float] | None:
        """Id and value of the run with the best value of the metric as of the last look, whatever its state."""
        metric = self.config.metric
        if metric is None:
            return None
        with self.lock:
            return self.book.best(metric.goal)

    def nest(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a run, flat, as the script sees them; those defined by run nest by the dots in their names.

        Raises:
            InputError: A name defined by run is a parameter and also the group that holds another.
        """
        return nested(values, self.config)

    # --- for agents

    def beat(self, trial_id: int) -> None:
        """Give a sign of life for a run in hand."""
        with translated():
            self.storage.optuna.record_heartbeat(trial_id)

    def lost(self, run: str, trial_id: int) -> bool:
        """Whether, at the last look, the run was no longer with the attempt of this trial."""
        with self.lock:
            entry = self.book.entries.get(run)
            return entry is not None and (entry.record.trial_id != trial_id or entry.record.state != "RUNNING")

    # --- controlling

    def pause(self) -> None:
        """No new runs until :meth:`resume`; running ones go on."""
        ask(self, "paused")

    def resume(self) -> None:
        """Go on after :meth:`pause` or :meth:`stop`."""
        ask(self, "running")

    def stop(self) -> None:
        """No new runs; running ones finish, then the agents leave."""
        ask(self, "stopped")

    def cancel(self) -> None:
        """No new runs, and running ones are killed. Final."""
        ask(self, "cancelled")

    def retry(self, *runs: str, failed: bool = False) -> list[str]:
        """Let agents start runs again, see :func:`~lightsweep.controller.changes.retry`."""
        return retry(self, runs, failed=failed)

    def update(self, config: SweepConfig | str | Path | Mapping[str, Any]) -> None:
        """Go on with another config, see :func:`~lightsweep.controller.changes.update`."""
        update(self, config if isinstance(config, SweepConfig) else SweepConfig.load(config))

    def add_prior_runs(self, *names: str) -> tuple[int, int]:
        """Begin with the runs of other sweeps in the same storage, each named ``SWEEP`` or ``SWEEP/RUN``.

        See :func:`~lightsweep.controller.changes.add_prior_runs`.

        Raises:
            NotFoundError: No such sweep or run.
        """
        found = named_runs(type(self), names, self.storage)
        check_prior_runs(self.config, found)
        return add_prior_runs(self, found)

    def __repr__(self) -> str:
        return f"Sweep({self.id!r}, storage={str(self.storage)!r})"


def _opened(storage: Storage | str | None, *, create: bool = True) -> Storage:
    return storage if isinstance(storage, Storage) else open_storage(storage or default_url(), create=create)
