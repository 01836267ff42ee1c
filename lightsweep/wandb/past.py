"""The past of a run as W&B's API shows it: its labels, files and history; and the parts of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightsweep.client.parts import PARTS, part_history
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.wandb.artifacts import Artifact
from lightsweep.wandb.kept import (
    ABSENT,
    File,
    Plain,
    Summary,
    artifacts_below,
    below,
    files_below,
    filled,
    read_json,
    time_text,
    user,
)
from lightsweep.wandb.summary import FILE as SUMMARY
from lightsweep.wandb.summary import LABELS

_TIMES = ("created_at", "createdAt", "heartbeat_at", "heartbeatAt")
_WORDS = ("name", "display_name", "state", "tags", "created_at", "group", "job_type", "notes", "id", "project")
_COUNTED = ("_step", "_runtime", "_timestamp")


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)


class RunView(Plain):
    """What a run and a part of one have in common.

    Attributes:
        id: Unique in the storage.
        state: One of W&B's words.
        created_at: The time of its start; ``None`` before it.
        sweep: Its sweep; ``None`` for a part.
    """

    id: str
    state: str
    created_at: str | None
    sweep: Any
    _started: datetime | None
    _last_only: frozenset[str] = frozenset()

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """The name."""

        @property
        def config(self) -> dict[str, Any]:
            """The config, nested."""

        @property
        def summary(self) -> Summary:
            """The last value of each number, and what the script wrote to ``run.summary``."""

        @property
        def entity(self) -> str:
            """The label ``entity`` of the sweep, else the default one."""

        @property
        def project(self) -> str:
            """The label ``project`` of the sweep, else the default one."""

        @property
        def _directory(self) -> Path:
            """The directory of the run; it need not exist."""

        @property
        def _rows(self) -> list[dict[str, Any]]:
            """The history, in order."""

    @property
    def display_name(self) -> str:
        """See `name`."""
        return self.name

    @property
    def path(self) -> list[str]:
        """Entity, project and id."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> str:
        """A ``file://`` address of the directory of the run."""
        return self._directory.absolute().as_uri()

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
    def summary_metrics(self) -> Summary:
        """See `summary`."""
        return self.summary

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - W&B's name
        """The step of the last row of the history; -1 without one."""
        return int(self._rows[-1]["_step"]) if self._rows else -1

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: str = "default",
    ) -> Any:
        """Return what the run has logged, one row for each step.

        If the directory of the run is not on this machine, the rows have the sweep's metric only, and the last row the
        last value of every other number.

        Args:
            samples: The largest number of rows; of more, evenly spaced ones, the first and the last among them.
            keys: Only these columns and the steps, and only rows that have all of them; every number by default.
            x_axis: The name of the column that counts.
            pandas: Return a table of pandas; a list of dicts if it is false, or if pandas is not installed.
            stream: Accepted; the stream ``system`` is empty.
        """
        rows = [] if stream == "system" else list(self.scan_history(keys))
        if len(rows) > max(samples, 1):
            last = max(samples - 1, 1)
            rows = [rows[index * (len(rows) - 1) // last] for index in range(max(samples, 1))]
        if x_axis != "_step":
            rows = [{x_axis if name == "_step" else name: value for name, value in row.items()} for row in rows]
        if not pandas:
            return rows
        try:
            from pandas import DataFrame
        except ImportError:
            _say_once("lightsweep: pandas is not installed, so history() returns a list of dicts")
            return rows
        return DataFrame(rows)

    def scan_history(
        self, keys: Sequence[str] | None = None, page_size: int = 1000, min_step: int = 0, max_step: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield every row of :meth:`history`, from step ``min_step`` and before ``max_step``."""
        del page_size
        wanted = None if keys is None else dict.fromkeys([keys] if isinstance(keys, str) else keys)
        rows = self._rows
        self._warn_of(sorted(self._last_only & set(wanted or ())))
        for row in rows:
            step = row["_step"]
            if step < min_step or (max_step is not None and step >= max_step):
                continue
            row = self._timed(row)
            if wanted is None:
                yield row
            elif wanted.keys() <= row.keys():
                yield {"_step": step, **{name: row[name] for name in wanted}}

    def _timed(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with the seconds since the start of the run, in W&B's order."""
        moment = row.get("_timestamp")
        first = {"_step": row["_step"]}
        if moment is not None and self._started is not None:
            first["_runtime"] = max(
                0.0, round(moment - self._started.timestamp(), 3)
            )  # whole seconds in some databases
        if moment is not None:
            first["_timestamp"] = moment
        return {**first, **{name: row[name] for name in row if name not in _COUNTED}}

    def _warn_of(self, names: Sequence[str]) -> None:
        if names:
            listed = ", ".join(map(repr, names))
            print(
                f"lightsweep: run {self.id} has no history.jsonl on this machine; of {listed} the storage has the last "
                "value only",
                file=sys.stderr,
            )

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

    def logged_artifacts(self, per_page: int = 100) -> list[Artifact]:
        """Return the artifacts that the run has logged."""
        del per_page
        return artifacts_below(self._directory)

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """Labels and config that the script has kept: name, tags, notes, group."""
        return read_json(self._directory / LABELS)

    def _value(self, name: str) -> Any:
        """Return the value of a parameter by its dotted name, or ``ABSENT``."""
        del name
        return ABSENT

    def _look(self, key: str) -> Any:
        """Return what the run has for a key of a filter."""
        head, _, rest = key.partition(".")
        if head in ("summary_metrics", "summary"):
            return self.summary.get(rest, ABSENT)
        if head == "config":
            value = self._value(rest)
            return below(self.config, rest) if value is ABSENT else value
        if key == "sweep":
            return None if self.sweep is None else self.sweep.id
        if key in _WORDS or key in ("entity", "user"):
            return self.id if key == "name" else getattr(self, key)  # W&B's filters call the id `name`
        if key in _TIMES:
            return self.created_at
        raise UsageError(
            f"runs have no {key!r} to filter or order by; they have config.NAME, summary_metrics.NAME, "
            f"sweep, {', '.join(_WORDS)}"
        )

    def _place(self, key: str) -> Any:
        """Return what the run is sorted by for a key; times are finer than as texts."""
        if self._started is not None and key in _TIMES:
            return self._started
        return ABSENT if key in _TIMES else self._look(key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'/'.join(self.path)} ({self.state})>"


class Part(RunView):
    """A part of a run, such as a fold of a cross-validation. As in W&B, it is of no sweep.

    Attributes:
        run: The run.
        error: Why it failed; empty if it did not.
    """

    sweep = None

    def __init__(self, run: Any, home: Path, found: Mapping[str, Any]) -> None:
        self.run = run
        self._found = found
        self._home = home
        self.id = f"{run.id}-{found['part']}"
        self.state = _ended(found["state"], run.state)
        self.error = str(found.get("error", ""))
        started = found.get("started")
        self._started = None if started is None else datetime.fromtimestamp(started, timezone.utc)
        self.created_at = time_text(self._started)

    @property
    def name(self) -> str:
        """The name that the script gave to ``init``, else that of the run with the number of the part."""
        return str(self._found["name"])

    @property
    def entity(self) -> str:
        """That of the run."""
        return str(self.run.entity)

    @property
    def project(self) -> str:
        """That of the run."""
        return str(self.run.project)

    @property
    def group(self) -> str | None:
        """The group that the script gave to ``init``."""
        return self._found.get("group")

    @property
    def job_type(self) -> str | None:
        """The type that the script gave to ``init``."""
        return self._found.get("job_type")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that the script gave to ``init``, over that of the run."""
        return filled(self._kept.get("config") or {}, self.run.config)

    @cached_property
    def summary(self) -> Summary:
        """The last value of each number, and what its script wrote to ``run.summary``."""
        found = {name: span["last"] for name, span in self._found["metrics"].items()}
        return Summary({**found, **read_json(self._directory / SUMMARY)})

    @property
    def _directory(self) -> Path:
        return self._home / PARTS / str(self._found["part"])

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return part_history(self._directory.with_suffix(".jsonl"))


def _ended(state: str | None, of_the_run: str) -> str:
    """Return W&B's word for the end of a part."""
    if state is None:
        return "running" if of_the_run == "running" else "crashed"
    return "killed" if state == "pruned" else state
