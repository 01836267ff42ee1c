"""The parts of W&B's API that need no storage: a run's files, artifacts and summary, and the filters of ``Api().runs``.

Filters have W&B's form: MongoDB's operators, and for the order a sign before a key.
"""

from __future__ import annotations

import getpass
import json
import mimetypes
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, TypeVar

from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.wandb.artifacts import Artifact, find_artifact

_BY_HAND = "change it where it is made: what a run has logged stays as it was"

INSTEAD = {
    "artifacts": "call `logged_artifacts` of a run",
    "create_project": "leave it out: `project` is a label of the sweep",
    "create_run": "start runs by `lightsweep agent ID`",
    "delete": "use `lightsweep rm`",
    "delete_file": "remove the file itself; `url` says where it is",
    "import_runs": "use `add_prior_runs` of `lightsweep.Sweep` for runs of another sweep",
    "projects": "use `Api().sweeps()`; `project` is a label of a sweep",
    "queued_run": "start agents with `lightsweep launch ID --on local`",
    "reports": "use `lightsweep report ID`",
    "run_queue": "start agents with `lightsweep launch ID --on local`",
    "save": _BY_HAND,
    "stop_run": "use `lightsweep cancel ID`, or stop the agent",
    "sync_tensorboard": "log the sweep's metric by `log`",
    "to_html": "use `lightsweep report ID`",
    "update": _BY_HAND,
    "upload_file": "copy the file into the run's directory; `url` says where it is",
    "use_artifact": "call `use_artifact` of a run in a script",
    "log_artifact": "call `log_artifact` of a run in a script",
    "wait_until_finished": "run the agent first: it returns once its runs have ended",
}
"""Names of W&B's API that have no meaning here, each with what to do instead."""


class Plain:
    """The base of all objects of the API: it has the message for a name that they lack."""

    def load(self, force: bool = False) -> None:
        """Do nothing: nothing needs loading."""
        del force

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        public = [each for each in dir(self) if not each.startswith("_")]
        instead = f": {INSTEAD[name]}" if name in INSTEAD else closest(name, public, 0.75) or "."
        more = "" if name in INSTEAD else f" It has: {', '.join(public)}"
        raise AttributeError(f"{type(self).__name__} of lightsweep's Api has no {name!r}{instead}{more}")


class Summary(dict[str, Any]):
    """The summary of a run: the last value of each number that it logged, and what it wrote to ``run.summary``."""

    @property
    def _json_dict(self) -> dict[str, Any]:
        return dict(self)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"the summary has no {name!r}{closest(name, self)}")


class File(Plain):
    """A file in the directory of a run.

    Attributes:
        name: Its path below the directory, with ``/``.
        size: Bytes.
        url: Its ``file://`` address.
        mimetype: Its type, guessed from the name.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self._path = root / path
        self.name = path.as_posix()
        status = self._path.stat()
        self.size = status.st_size
        self.updated_at = time_text(datetime.fromtimestamp(status.st_mtime, timezone.utc))
        self.url = self._path.as_uri()
        self.mimetype = mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    def download(
        self, root: str | os.PathLike[str] = ".", replace: bool = False, exist_ok: bool = False, api: Any = None
    ) -> IO[str]:
        """Copy the file to its name below ``root``, and return the copy, open for reading.

        Raises:
            ValueError: A file is there already, and neither ``replace`` nor ``exist_ok`` is true.
        """
        del api
        target = Path(root, self.name)
        if target.exists() and not replace and not exist_ok and target.resolve() != self._path.resolve():
            raise ValueError(f"{target} exists already; pass replace=True, or exist_ok=True to keep it")
        if replace or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(shutil.SameFileError):
                shutil.copyfile(self._path, target)
        return target.open(errors="replace")

    def __repr__(self) -> str:
        return f"<File {self.name} ({self.mimetype}), {self.size:,} bytes>"


def files_below(root: Path) -> list[File]:
    """Return every file below a directory, by name; none without a directory."""
    paths = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
    return [File(root, path.relative_to(root)) for path in paths]


def artifacts_below(directory: Path) -> list[Artifact]:
    """Return the artifacts whose files lie in the directory of a run, by name and version."""
    home, found = directory.parent.parent, []
    for path in sorted((home / "artifacts").glob("*/v*.json")):
        record = read_json(path)
        files = Path(os.path.normpath(path.parent / str(record.get("files"))))
        if files.is_relative_to(directory):
            with suppress(NotFoundError):  # its files have been removed
                found.append(find_artifact(f"{record['name']}:{record['version']}", [home]))
    return found


def user() -> str:
    """Return the name of the user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without an entry, as in a container
        return "lightsweep"


def time_text(moment: datetime | None) -> str | None:
    """Return a time as W&B writes it."""
    return None if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def filled(values: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
    """Return nested values over nested defaults."""
    found = dict(defaults) if isinstance(defaults, Mapping) else {}
    for name, value in values.items():
        found[name] = filled(value, found.get(name)) if isinstance(value, Mapping) else value
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is none, or if it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# --- filters

ABSENT = object()
"""What a run has for a key that it lacks."""

Look = Callable[[str], Any]
"""Returns what a run has for a dotted key, or ``ABSENT``."""


def _compares(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return the operation for values that can be compared; False for others."""

    def compare(found: Any, wanted: Any) -> bool:
        try:
            return found is not ABSENT and operation(found, wanted)
        except TypeError:
            return False

    return compare


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, (list, tuple)) and not isinstance(wanted, (list, tuple)):
        return wanted in found  # a tag among tags
    return bool(found == wanted) or (found is ABSENT and wanted is None)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda found, wanted: not _equal(found, wanted),
    "$gt": _compares(lambda found, wanted: found > wanted),
    "$gte": _compares(lambda found, wanted: found >= wanted),
    "$lt": _compares(lambda found, wanted: found < wanted),
    "$lte": _compares(lambda found, wanted: found <= wanted),
    "$in": lambda found, wanted: any(_equal(found, each) for each in wanted),
    "$nin": lambda found, wanted: not any(_equal(found, each) for each in wanted),
    "$exists": lambda found, wanted: (found is not ABSENT) == bool(wanted),
    "$regex": lambda found, wanted: isinstance(found, str) and re.search(wanted, found) is not None,
    "$not": lambda found, wanted: not _holds(found, wanted),
}


def matches(filters: Mapping[str, Any] | None, look: Look) -> bool:
    """Return whether a run has what the filters say.

    Args:
        filters: Keys with values, or with operators: ``{"config.lr": {"$lt": 0.1}, "$or": [{...}, {...}]}``.
        look: The run.

    Raises:
        UsageError: An operator is unknown, or the filters have another form.
    """
    if filters is None:
        return True
    if not isinstance(filters, Mapping):
        raise UsageError(f'filters must be a dict such as {{"config.lr": 0.1}}, got {filters!r}')
    return all(_of_key(key, wanted, look) for key, wanted in filters.items())


def _of_key(key: str, wanted: Any, look: Look) -> bool:
    if key in ("$and", "$or", "$nor"):
        found = [matches(each, look) for each in wanted]
        return all(found) if key == "$and" else any(found) == (key == "$or")
    if key.startswith("$"):
        raise UsageError(f"filters has no operator {key!r} between keys; it has $and, $or and $nor")
    found = look(key)
    if found is ABSENT and key.endswith(".value"):  # as W&B's older pages write config.lr.value
        found = look(key.removesuffix(".value"))
    return _holds(found, wanted)


def _holds(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping) or not any(str(name).startswith("$") for name in wanted):
        return _equal(found, wanted)
    for name in wanted:
        if name not in _OPERATORS:
            hint = closest(str(name), _OPERATORS) or f"; it has {', '.join(_OPERATORS)}"
            raise UsageError(f"filters has no operator {name!r}{hint}")
    return all(_OPERATORS[name](found, value) for name, value in wanted.items())


_R = TypeVar("_R")


def in_order(runs: Iterable[_R], order: str, look: Callable[[_R, str], Any]) -> list[_R]:
    """Return runs sorted by keys such as ``-summary_metrics.loss``, or several with commas between them.

    ``+`` or no sign is ascending, ``-`` descending; runs without a value, or with NaN, come last.
    """
    found = list(runs)
    for key in reversed([each.strip() for each in order.split(",") if each.strip()]):
        name, down = key.lstrip("+-"), key.startswith("-")
        valued = [(value, run) for run in found if (value := look(run, name)) is not ABSENT and value == value]
        try:
            valued.sort(key=lambda each: each[0], reverse=down)
        except TypeError:  # values of several types
            valued.sort(key=lambda each: str(each[0]), reverse=down)
        taken = [id(run) for _, run in valued]
        found = [run for _, run in valued] + [run for run in found if id(run) not in taken]
    return found


def below(level: Any, dotted: str) -> Any:
    """Return what nested mappings hold under a dotted name, or ``ABSENT``."""
    for part in dotted.split("."):
        if not isinstance(level, Mapping) or part not in level:
            return ABSENT
        level = level[part]
    return level
