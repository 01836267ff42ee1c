"""``Api``: sweeps and runs as W&B's public API shows them, read from the storage.

Everything is read only. A name of W&B's API that has no meaning here is an ``AttributeError`` with what to do instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lightsweep.analysis import required
from lightsweep.client.history import read_history
from lightsweep.client.parts import read_parts
from lightsweep.controller import SweepRun
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.results import Sweep as StoredSweep
from lightsweep.schema import SweepConfig
from lightsweep.wandb.artifacts import Artifact, find_artifact
from lightsweep.wandb.kept import ABSENT, Plain, Summary, filled, in_order, matches, read_json, time_text, user
from lightsweep.wandb.past import Part, RunView
from lightsweep.wandb.summary import FILE as SUMMARY

_STATES = {"pruned": "killed", "waiting": "crashed"}
"""The words of W&B for states that it has not; the others are the same."""

_RUNS = "lightsweep_runs"


class Api(Plain):
    """Sweeps and runs of one storage: that of ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` in the working directory.

    A path such as ``entity/project/id`` names a sweep or a run by its last part; the others are labels. All arguments
    are accepted and do nothing.
    """

    settings: dict[str, Any]

    def __init__(self, overrides: Any = None, timeout: Any = None, api_key: Any = None) -> None:
        del timeout, api_key
        self.settings = dict(overrides or {})

    @property
    def default_entity(self) -> str:
        """The label of the owner: ``WANDB_ENTITY``, or else the name of the user."""
        return str(self.settings.get("entity") or os.environ.get("WANDB_ENTITY") or user())

    def flush(self) -> None:
        """Do nothing: each call reads the storage."""

    def sweep(self, path: str = "", sid: str | None = None) -> Sweep:
        """Find a sweep by its id, or by a path that ends with it.

        Raises:
            NotFoundError: The storage has no such sweep; the message names the closest id.
        """
        return Sweep(StoredSweep.load(sid or path.strip("/").rpartition("/")[2]))

    def artifact(self, name: str, type: str | None = None) -> Artifact:  # noqa: A002 - W&B's name
        """Find an artifact by ``name``, ``name:v0`` or ``name:alias``, also with entity and project before it.

        Raises:
            NotFoundError: No run whose directory is found from here has logged it.
        """
        homes = [sweep._directory.parent for sweep in reversed(self.sweeps())]
        return find_artifact(name, homes or [Path(_RUNS).absolute()], type)

    def sweeps(self, path: str | None = None) -> list[Sweep]:
        """Return the sweeps of the storage, the oldest first; with a path only those with its labels."""
        return [each for each in map(Sweep, StoredSweep.all()) if each._is_in(path)]

    def run(self, path: str = "") -> Run:
        """Find a run by its id, by its number in its sweep (``SWEEP/0001``), or by a path that ends with one of them.

        Raises:
            NotFoundError: The storage has no such run.
            UsageError: The path is a number that several sweeps have.
        """
        *before, last = path.strip("/").split("/")
        sweep_id, _, number = last.rpartition("-")
        if sweep_id:
            return self.sweep(sweep_id)._named(number)
        stored = StoredSweep.all()
        named = [each for each in stored if before and each.id == before[-1]]
        found = [Run(Sweep(each), run) for each in named or stored for run in each.runs if last in (run.id, each.id)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(f"no run {path!r} in the storage; a run is named SWEEP-0001, or SWEEP/0001")
        raise UsageError(f"several sweeps have a run {last!r}; name one of {', '.join(each.id for each in found[:9])}")

    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = True,
        lazy: bool = True,
    ) -> Runs[RunView]:
        """Return the runs of all sweeps in the storage, each with its parts after it: W&B shows these as runs too.

        Args:
            path: ``entity/project``: only sweeps with this project as their label, or without a label.
            filters: See :func:`lightsweep.wandb.kept.matches`; keys as in W&B: ``config.lr``,
                ``summary_metrics.loss``, ``state``, ``sweep``, ``display_name``, ``created_at``, ``tags``.
            order: See :func:`lightsweep.wandb.kept.in_order`.
            per_page: Accepted and ignored, as are the others.

        Raises:
            UsageError: The filters are wrong.
        """
        del per_page, include_sweeps, lazy
        found: list[RunView] = [each for sweep in self.sweeps(path) for run in sweep.runs for each in (run, *run.parts)]
        return Runs(in_order([run for run in found if matches(filters, run._look)], order, RunView._place))


_RunT = TypeVar("_RunT", bound=RunView)


class Runs(list[_RunT]):
    """A list of runs, with the names that W&B's has beside."""

    length = property(len)

    def histories(self, samples: int = 500, keys: Sequence[str] | None = None, **_: Any) -> Any:
        """Return the histories of all runs as one table of pandas, with the column ``run_id``."""
        pandas = required("pandas")
        tables = [run.history(samples, keys).assign(run_id=run.id) for run in self]
        return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame()


class Sweep(Plain):
    """A sweep, as W&B's API shows it.

    Attributes:
        id: The id of the sweep.
    """

    id: str

    def __init__(self, stored: StoredSweep) -> None:
        self._stored = stored
        self.id = stored.id

    @property
    def config(self) -> dict[str, Any]:
        """The sweep file as it was written; a copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self._read.raw))
        return copy

    @property
    def name(self) -> str:
        """The name in the sweep file, else the id."""
        return self._read.name or self.id

    @property
    def entity(self) -> str:
        """The label ``entity`` of the sweep, else the default one."""
        return self._read.entity or Api().default_entity

    @property
    def project(self) -> str:
        """The label ``project`` of the sweep, else that of ``WANDB_PROJECT``, else ``lightsweep``."""
        return self._read.project or os.environ.get("WANDB_PROJECT") or "lightsweep"

    @property
    def path(self) -> list[str]:
        """Entity, project and id."""
        return [self.entity, self.project, self.id]

    @property
    def state(self) -> str:
        """``RUNNING``, ``PAUSED``, ``STOPPED``, ``CANCELED`` or ``FINISHED``."""
        return str(self._stored.state.name).upper().replace("CANCELLED", "CANCELED")

    @property
    def url(self) -> str:
        """A ``file://`` address of the directory of its runs."""
        return self._directory.as_uri()

    @property
    def order(self) -> str | None:
        """The key by which the best run comes first; ``None`` without a metric."""
        metric = self._read.metric
        if metric is None:
            return None
        return f"{'+' if metric.goal == 'minimize' else '-'}summary_metrics.{metric.name}"

    @property
    def expected_run_count(self) -> int | None:
        """The number of runs after which the sweep is finished; ``None`` if nothing limits it."""
        return self._read.most_runs

    @property
    def runs(self) -> Runs[Run]:
        """The runs of the sweep as of now, the oldest first; without prior runs."""
        return Runs(Run(self, run) for run in self._stored.runs if not run.prior)

    def best_run(self, order: str | None = None) -> Run | None:
        """Return the best run; ``None`` if no run has a value.

        Args:
            order: A key with a sign, such as ``-summary_metrics.acc``; by default the sweep's metric decides, by the
                best value of each run.
        """
        if order is None:
            best = self._stored.best_run
            return None if best is None else Run(self, best)
        found = [run for run in in_order(self.runs, order, Run._place) if run._look(order.lstrip("+-")) is not ABSENT]
        return found[0] if found else None

    @cached_property
    def _read(self) -> SweepConfig:
        return self._stored.config

    @cached_property
    def _directory(self) -> Path:
        """The directory of the runs: below the working directory, that of the sweep file, or that of the database."""
        homes = [Path()]
        if self._read.source:
            homes.append(Path(self._read.source).parent)
        url = str(self._stored.storage)
        if url.startswith("sqlite:///"):
            homes.append(Path(url.removeprefix("sqlite:///")).parent)
        found = (home / _RUNS / self.id for home in homes if (home / _RUNS / self.id).is_dir())
        return next(found, Path(_RUNS, self.id)).absolute()

    def _is_in(self, path: str | None) -> bool:
        """Return whether the sweep has the label ``project`` of a path, or none."""
        project = (path or "").strip("/").rpartition("/")[2]
        return not project or self._read.project in (None, project)

    def _named(self, number: str) -> Run:
        runs = {run.id: run for run in self._stored.runs}
        if number not in runs:
            raise NotFoundError(f"sweep {self.id} has no run {number!r}{closest(number, runs)}")
        return Run(self, runs[number])

    def __repr__(self) -> str:
        return f"<Sweep {'/'.join(self.path)} ({self.state})>"


class Run(RunView):
    """A run, as W&B's API shows it; as of the time when it was made.

    Attributes:
        id: The sweep's id and the number of the run: unique in the storage.
        sweep: Its sweep.
        state: ``running``, ``finished``, ``failed``, ``crashed`` (lost, and agents will retry it) or ``killed`` (by an
            agent, also for early termination).
        created_at: The time of its start; ``None`` before it.
        reason: The reason of its end, in words; W&B has no such name.
    """

    sweep: Sweep
    reason: str

    def __init__(self, sweep: Sweep, stored: SweepRun) -> None:
        self._stored = stored
        self.sweep = sweep
        self.id = f"{sweep.id}-{stored.id}"
        self.state = _STATES.get(str(stored.standing), str(stored.standing))
        self.reason = stored.reason
        self._started = stored.started
        self.created_at = time_text(stored.started)

    @property
    def name(self) -> str:
        """The name that the script has set, else that of the sweep and the number of the run."""
        return str(self._kept.get("name") or f"{self.sweep.name}-{self._stored.id}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The values of the sweep's parameters, nested, over the config that the script has kept."""
        return filled(self._stored.config, self._kept.get("config"))

    @property
    def entity(self) -> str:
        """See `Sweep.entity`."""
        return self.sweep.entity

    @property
    def project(self) -> str:
        """See `Sweep.project`."""
        return self.sweep.project

    @property
    def metadata(self) -> dict[str, Any]:
        """Program, host and times of the run."""
        host = self._stored.agent.partition(":")[0] or None
        found = {"program": self.sweep._read.program, "host": host, "startedAt": self.created_at}
        return {**found, "endedAt": time_text(self._stored.ended), "attempt": self._stored.attempt}

    @cached_property
    def summary(self) -> Summary:
        """The last value of each number that the run logged, and what its script wrote to ``run.summary``."""
        found: dict[str, Any] = {name: span.get("last") for name, span in self._stored.metrics.items()}
        metric = self._metric
        if metric is not None and metric not in found and self._stored.last is not None:
            found[metric] = self._stored.last
        written = read_json(self._directory / SUMMARY)
        found = {**found, **written} if self._stored.state == "finished" else {**written, **found}
        started, ended = self._stored.started, self._stored.ended
        if started is not None:
            end = ended or datetime.now(timezone.utc)
            found |= {"_runtime": (end - started).total_seconds(), "_timestamp": end.timestamp()}
        if self.lastHistoryStep >= 0:
            found["_step"] = self.lastHistoryStep
        return Summary(found)

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the run, such as the folds of a cross-validation; W&B shows them as runs."""
        homes = [Path(each) for each in self._stored.directories if Path(each).is_dir()] or [self._directory]
        return [Part(self, home, found) for home in homes for found in read_parts(home)]

    @property
    def _metric(self) -> str | None:
        metric = self.sweep._read.metric
        return None if metric is None else metric.name

    @property
    def _directory(self) -> Path:
        here = [Path(each) for each in reversed(self._stored.directories) if Path(each).is_dir()]
        return here[0] if here else self.sweep._directory / self._stored.id

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        """The history that the run's process has written; without one, that of the sweep's metric in the storage."""
        rows = read_history(self._stored.directories or [self._directory])
        if rows:
            return rows
        others = {name: span.get("last") for name, span in self._stored.metrics.items() if name != self._metric}
        rows = [{"_step": step, str(self._metric): value} for step, value in enumerate(self._stored.history)]
        if rows:
            rows[-1].update(others)
        self._last_only = frozenset(others)
        return rows

    def _value(self, name: str) -> Any:
        return self._stored.values.get(name, ABSENT)
