"""``Api``: sweeps and runs as W&B's public API shows them, read from the storage.

Everything is read only. A name of W&B's API that has no meaning here is an ``AttributeError`` with what to do instead.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from lightsweep.analysis import required
from lightsweep.controller import SweepRun
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.results import Sweep as StoredSweep
from lightsweep.schema import SweepConfig
from lightsweep.wandb.artifacts import Artifact, find_artifact
from lightsweep.wandb.filters import ABSENT, below, in_order, matches
from lightsweep.wandb.kept import File, Plain, Summary, artifacts_below, files_below, filled, read_json, time_text, user
from lightsweep.wandb.summary import FILE as SUMMARY
from lightsweep.wandb.summary import LABELS

_STATES = {"pruned": "killed", "waiting": "crashed"}
"""The words of W&B for states that it has not; the others are the same."""

_RUNS = "lightsweep_runs"
_TIMES = ("created_at", "createdAt", "heartbeat_at", "heartbeatAt")


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
    ) -> Runs:
        """Return the runs of all sweeps in the storage.

        Args:
            path: ``entity/project``: only sweeps with this project as their label, or without a label.
            filters: See :func:`lightsweep.wandb.filters.matches`; keys as in W&B: ``config.lr``,
                ``summary_metrics.loss``, ``state``, ``sweep``, ``display_name``, ``created_at``, ``tags``.
            order: See :func:`lightsweep.wandb.filters.in_order`.
            per_page: Accepted and ignored, as are the others.

        Raises:
            UsageError: The filters are wrong.
        """
        del per_page, include_sweeps, lazy
        found = [run for sweep in self.sweeps(path) for run in sweep.runs]
        return Runs(in_order([run for run in found if matches(filters, run._look)], order, Run._place))


class Runs(list["Run"]):
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
    def runs(self) -> Runs:
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


class Run(Plain):
    """A run, as W&B's API shows it; as of the time when it was made.

    Attributes:
        id: The sweep's id and the number of the run: unique in the storage.
        sweep: Its sweep.
        state: ``running``, ``finished``, ``failed``, ``crashed`` (lost, and agents will retry it) or ``killed`` (by an
            agent, also for early termination).
        created_at: The time of its start; ``None`` before it.
        reason: The reason of its end, in words; W&B has no such name.
    """

    id: str
    sweep: Sweep
    state: str
    created_at: str | None
    reason: str

    def __init__(self, sweep: Sweep, stored: SweepRun) -> None:
        self._stored = stored
        self.sweep = sweep
        self.id = f"{sweep.id}-{stored.id}"
        self.state = _STATES.get(str(stored.standing), str(stored.standing))
        self.reason = stored.reason
        self.created_at = time_text(stored.started)

    @property
    def name(self) -> str:
        """The name that the script has set, else that of the sweep and the number of the run."""
        return str(self._kept.get("name") or f"{self.sweep.name}-{self._stored.id}")

    display_name = name

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
    def path(self) -> list[str]:
        """Entity, project and id."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> str:
        """A ``file://`` address of the directory of the run."""
        return self._directory.as_uri()

    @property
    def tags(self) -> list[str]:
        """The tags that the script gave to ``init``."""
        return [str(tag) for tag in self._kept.get("tags") or ()]

    @property
    def notes(self) -> str | None:
        """The notes that the script gave to ``init``."""
        return self._kept.get("notes")

    @property
    def group(self) -> str | None:
        """The group that the script gave to ``init``."""
        return self._kept.get("group")

    @property
    def job_type(self) -> str | None:
        """The type that the script gave to ``init``."""
        return self._kept.get("job_type")

    @property
    def user(self) -> str:
        """The name of the user."""
        return user()

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
        if self._stored.history:
            found["_step"] = len(self._stored.history) - 1
        return Summary(found)

    @property
    def summary_metrics(self) -> Summary:
        """See `summary`."""
        return self.summary

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - W&B's name
        """The step of the last row of the history; -1 without one."""
        return len(self._stored.history) - 1

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: str = "default",
    ) -> Any:
        """Return the values of the sweep's metric, one row for each time that it was logged.

        The storage keeps the history of that metric only; of every other number that the run logged, the last row has
        the last value.

        Args:
            samples: The largest number of rows; of more, evenly spaced ones, the first and the last among them.
            keys: Only these columns, and only rows that have all of them; every number by default.
            x_axis: The name of the column that counts.
            pandas: Return a table of pandas; else a list of dicts.
            stream: Accepted; the stream ``system`` is empty.

        Raises:
            UsageError: ``pandas`` is true, and pandas is not installed.
        """
        rows = [] if stream == "system" else list(self.scan_history(keys))
        if len(rows) > max(samples, 1):
            last = max(samples - 1, 1)
            rows = [rows[index * (len(rows) - 1) // last] for index in range(max(samples, 1))]
        if x_axis != "_step":
            rows = [{x_axis if name == "_step" else name: value for name, value in row.items()} for row in rows]
        return required("pandas").DataFrame(rows) if pandas else rows

    def scan_history(
        self, keys: Sequence[str] | None = None, page_size: int = 1000, min_step: int = 0, max_step: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield every row of :meth:`history`, from step ``min_step`` and before ``max_step``."""
        del page_size
        wanted = None if keys is None else set([keys] if isinstance(keys, str) else keys) - {"_step"}
        others = {name: span.get("last") for name, span in self._stored.metrics.items() if name != self._metric}
        self._warn_of(sorted((wanted or set()) & set(others)))
        count = len(self._stored.history)
        for step, value in enumerate(self._stored.history):
            row = {str(self._metric): value, **(others if step == count - 1 else {})}
            if wanted is not None and not wanted <= row.keys():
                continue
            if min_step <= step and (max_step is None or step < max_step):
                yield {"_step": step, **{name: row[name] for name in row if wanted is None or name in wanted}}

    def files(self, names: Sequence[str] | None = None, per_page: int = 50, pattern: str | None = None) -> list[File]:
        """Return the files in the run's directory.

        Args:
            names: Only these, relative to the directory.
            per_page: Accepted and ignored.
            pattern: Only those that match; ``%`` matches any text.
        """
        del per_page
        found = files_below(self._directory)
        if names:
            found = [file for file in found if file.name in names]
        return [file for file in found if pattern is None or Path(file.name).match(pattern.replace("%", "*"))]

    def file(self, name: str) -> File:
        """Return a file in the run's directory.

        Raises:
            NotFoundError: The directory has no such file.
        """
        path = Path(os.path.normpath(name))
        if path.is_absolute() or path.parts[:1] == ("..",) or not (self._directory / path).is_file():
            near = closest(name, [file.name for file in files_below(self._directory)])
            raise NotFoundError(f"run {self.id} has no file {name!r} in {self._directory}{near}")
        return File(self._directory, path)

    def logged_artifacts(self, per_page: int = 100) -> list[Any]:
        """Return the artifacts that the run has logged."""
        del per_page
        return artifacts_below(self._directory)

    @property
    def _metric(self) -> str | None:
        metric = self.sweep._read.metric
        return None if metric is None else metric.name

    @property
    def _directory(self) -> Path:
        here = [Path(each) for each in reversed(self._stored.directories) if Path(each).is_dir()]
        return here[0] if here else self.sweep._directory / self._stored.id

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """Labels and config that the script has kept: name, tags, notes, group."""
        return read_json(self._directory / LABELS)

    def _warn_of(self, names: Sequence[str]) -> None:
        if names:
            listed = ", ".join(map(repr, names))
            print(
                f"lightsweep: the storage has the history of {self._metric!r} only; of {listed} the last value",
                file=sys.stderr,
            )

    def _look(self, key: str) -> Any:
        """Return what the run has for a key of a filter."""
        head, _, rest = key.partition(".")
        if head in ("summary_metrics", "summary"):
            return self.summary.get(rest, ABSENT)
        if head == "config":
            return self._stored.values.get(rest, below(self.config, rest))
        if key == "sweep":
            return self.sweep.id
        known = ("name", "display_name", "state", "tags", "created_at", "group", "job_type", "notes", "id", "project")
        if key in known or key in ("entity", "user"):
            return self.id if key == "name" else getattr(self, key)  # W&B's filters call the id `name`
        if key in _TIMES:
            return self.created_at
        raise UsageError(
            f"runs have no {key!r} to filter or order by; they have config.NAME, summary_metrics.NAME, "
            f"sweep, {', '.join(known)}"
        )

    def _place(self, key: str) -> Any:
        """Return what the run is sorted by for a key; times are finer than as texts."""
        if self._stored.started is not None and key in _TIMES:
            return self._stored.started
        return ABSENT if key in _TIMES else self._look(key)

    def __repr__(self) -> str:
        return f"<Run {'/'.join(self.path)} ({self.state})>"
