"""The parts of W&B's API that lie in a run's directory: its files, its artifacts, its summary."""

from __future__ import annotations

import getpass
import json
import mimetypes
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from lightsweep.errors import NotFoundError, closest
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
