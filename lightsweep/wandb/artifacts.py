"""Artifacts: files under a name, with versions ``v0``, ``v1``, ... and aliases, found by later runs.

The files are in the directory of the run that logged them, in ``artifacts/NAME-vN/``. A record of each version is
beside the directories of the sweeps, in ``lightsweep_runs/artifacts/NAME/vN.json``. A run claims the number by
creating that file, so several runs may log the same name at once. An alias belongs to the version that got it last.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.wandb.files import Entry, Manifest, digest_of, existing_file, local_file, paths, safe_name
from lightsweep.wandb.media import Media
from lightsweep.wandb.table import Table

RUNS = "lightsweep_runs"
MEDIA = ".media.json"


class Artifact:
    """Files and references under a name.

    Args:
        name: The name; letters, digits, dashes, underscores and dots.
        type: A word such as ``dataset`` or ``model``.
        description: A text.
        metadata: Values for JSON.
        incremental: Accepted and ignored, as is ``use_as``.

    Attributes:
        type: As given.
        description: As given; may be set.
        metadata: As given; may be changed until it is logged.
        aliases: The aliases; may be changed, and kept by `save`.
        version: ``v0``, ``v1``, ...; empty before it is logged.
    """

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - W&B's name
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
    ) -> None:
        del incremental, use_as
        if not name or safe_name(name) != name or "/" in name:
            raise UsageError(f"the name of an artifact has letters, digits, '-', '_' and '.' only, got {name!r}")
        self._name = name
        self.type = type
        self.description = description
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.aliases: list[str] = []
        self.tags: list[str] = []
        self.version = ""
        self.ttl: Any = None
        self._run = ""
        self._made = datetime.now(timezone.utc).isoformat()
        self._references: dict[str, str] = {}
        self._assigned: dict[str, float] = {}  # when each alias was
        self._record: Path | None = None
        self._digest = ""
        self._home = _draft_folder()
        self._draft = weakref.finalize(self, shutil.rmtree, str(self._home), ignore_errors=True)

    # --- its names

    @property
    def name(self) -> str:
        """The name; with its version once it is logged: ``data:v0``."""
        return f"{self._name}:{self.version}" if self.version else self._name

    source_name = qualified_name = name

    @property
    def source_version(self) -> str:
        """The version."""
        return self.version

    @property
    def collection(self) -> str:
        """The name without a version."""
        return self._name

    @property
    def state(self) -> str:
        """``COMMITTED`` once it is logged, ``PENDING`` before."""
        return "COMMITTED" if self.version else "PENDING"

    @property
    def created_at(self) -> str:
        """The time, as ISO 8601 has it."""
        return self._made

    @property
    def digest(self) -> str:
        """The hash of all paths, contents and references: equal for equal content."""
        return self._digest or digest_of(self._home, self._references)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.manifest.entries.values())

    @property
    def file_count(self) -> int:
        """The number of files and references."""
        return len(self.manifest.entries)

    @property
    def manifest(self) -> Manifest:
        """The files and references by path."""
        entries = {path: Entry(path, self._home) for path in paths(self._home)}
        entries.update({path: Entry(path, self._home, uri) for path, uri in self._references.items()})
        return Manifest(entries)

    # --- adding

    def add_file(
        self, local_path: str | os.PathLike[str], name: str | None = None, is_tmp: bool = False, **_: Any
    ) -> Entry:
        """Add a copy of a file under ``name``, by default its own name."""
        del is_tmp
        source = existing_file(local_path)
        target = self._target(name or source.name)
        shutil.copyfile(source, target)
        return Entry(target.relative_to(self._home).as_posix(), self._home)

    def add_dir(self, local_path: str | os.PathLike[str], name: str | None = None, **_: Any) -> None:
        """Add copies of all files of a folder, below ``name`` if it is given."""
        if not Path(local_path).is_dir():
            raise UsageError(f"there is no folder {str(local_path)!r}")
        shutil.copytree(local_path, self._target(name) if name else self._home, dirs_exist_ok=True)

    @contextlib.contextmanager
    def new_file(self, name: str, mode: str = "w", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Open a new file of the artifact."""
        with self._target(name).open(mode, encoding=encoding) as file:
            yield file

    def add_reference(self, uri: str | os.PathLike[str], name: str | None = None, **_: Any) -> list[Entry]:
        """Add an address; nothing is copied or fetched."""
        address = str(uri)
        path = safe_name(name or Path(urlparse(address).path).name or "reference")
        self._references[path] = address
        return [Entry(path, self._home, address)]

    def add(self, obj: Any, name: str, **_: Any) -> Entry:
        """Add a table or media under ``name``; `get` returns the table again."""
        if not isinstance(obj, Media):
            raise UsageError(
                f"add takes a Table or media, got {type(obj).__name__}; for a path use add_file or add_dir"
            )
        path = self._target(f"{name}{'.table' if isinstance(obj, Table) else ''}{MEDIA}")
        stem = safe_name(name)
        parts = list(obj.parts(Path(stem).name))
        files = [f"{Path(stem).name}{suffix}" for suffix, _ in parts]
        for part, file in zip(parts, files, strict=True):
            data = part[1] if isinstance(part[1], bytes) else part[1].read_bytes()
            path.with_name(file).write_bytes(data)
        path.write_text(json.dumps({"kind": obj.kind, "files": files, **obj.facts()}, default=str))
        return Entry(path.relative_to(self._home).as_posix(), self._home)

    def remove(self, item: Any) -> None:
        """Remove a file or a reference."""
        path = getattr(item, "path", item)
        if self._references.pop(str(path), None) is None:
            (self._home / str(path)).unlink()

    def __setitem__(self, name: str, obj: Any) -> None:
        self.add(obj, name)

    def _target(self, name: str) -> Path:
        if self._record is not None:
            raise UsageError(f"artifact {self.name} has been logged, so it cannot change; make a new one to add to")
        target = self._home / safe_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    # --- using

    def download(self, root: str | os.PathLike[str] | None = None, *_: Any, **__: Any) -> str:
        """Return a folder with the files: a copy below ``root``, or without one the folder where they are kept.

        References to files of this machine are copied; others are named on stderr, since nothing is fetched.
        """
        for path, uri in self._references.items():
            source = local_file(uri, quiet=True)
            if source and root is not None:
                Path(root, path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, Path(root, path))
            elif not source:
                print(f"lightsweep: {self.name} has {path} by reference, which is not fetched: {uri}", file=sys.stderr)
        if root is None:
            return str(self._home)
        return str(shutil.copytree(self._home, root, dirs_exist_ok=True))

    checkout = download

    def file(self, root: str | os.PathLike[str] | None = None) -> str:
        """Return the path of the only file.

        Raises:
            UsageError: It has several files, or none.
        """
        entries = list(self.manifest.entries.values())
        if len(entries) != 1:
            raise UsageError(f"artifact {self.name} has {len(entries)} files; use download() or get_entry(path)")
        return entries[0].download(root)

    def files(self, *_: Any, **__: Any) -> list[Entry]:
        """Return the files and references."""
        return list(self.manifest.entries.values())

    def get_entry(self, name: str | os.PathLike[str]) -> Entry:
        """Return the file or reference of a path. Raises ``NotFoundError`` if there is none."""
        entries = self.manifest.entries
        if str(name) not in entries:
            raise NotFoundError(f"artifact {self.name} has no {str(name)!r}{closest(str(name), entries)}")
        return entries[str(name)]

    get_path = get_entry

    def get(self, name: str) -> Any:
        """Return the table that was added under ``name``, or for media the path of the file; ``None`` without one."""
        stem = safe_name(name.removesuffix(".table.json"))
        for path in (self._home / f"{stem}.table{MEDIA}", self._home / f"{stem}{MEDIA}"):
            if path.exists():
                files = json.loads(path.read_text())["files"]
                if path.name.endswith(f".table{MEDIA}"):
                    found = json.loads(path.with_name(files[1]).read_text())
                    return Table(columns=found["columns"], data=found["data"])
                return str(path.with_name(files[0]))
        return None

    def verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: the files are the ones that were logged."""

    def wait(self, *_: Any, **__: Any) -> Artifact:
        """Return the artifact: it is complete when `log_artifact` returns."""
        return self

    finalize = verify

    def is_draft(self) -> bool:
        """Return whether it has not been logged."""
        return not self.version

    def logged_by(self) -> str | None:
        """Return the id of the run that logged it."""
        return self._run or None

    def save(self, *_: Any, **__: Any) -> None:
        """Keep changed aliases, tags, description and metadata; log it in the current directory if it is new."""
        if self._record is None:
            _store(self, Path(RUNS).absolute(), Path(RUNS, "artifacts", "files").absolute(), "")
        else:
            self._write()

    def delete(self, *_: Any, **__: Any) -> None:
        """Remove the record and the files."""
        if self._record is not None:
            self._record.unlink(missing_ok=True)
            shutil.rmtree(self._home, ignore_errors=True)

    def link(self, target_path: str, aliases: Sequence[str] | None = None) -> None:
        """Keep it under a second name, the last part of ``target_path``."""
        if self._record is None:
            raise UsageError("log the artifact before it is linked")
        name = target_path.rpartition("/")[2].partition(":")[0]
        twin = Artifact(name, self.type, self.description, self.metadata)
        twin.__dict__.update(
            _home=self._home,
            _digest=self._digest,
            _references=self._references,
            _run=self._run,
            aliases=list(aliases or ()),
        )
        _claim(twin, self._record.parent.parent)

    def _write(self) -> None:
        """Write the record; an alias that is new is assigned now."""
        assert self._record is not None
        now = time.time()
        self._assigned = {alias: self._assigned.get(alias, now) for alias in self.aliases if alias != "latest"}
        record = {
            "name": self._name,
            "version": self.version,
            "type": self.type,
            "description": self.description,
            "metadata": self.metadata,
            "aliases": self._assigned,
            "tags": self.tags,
            "run": self._run,
            "made": self._made,
            "digest": self.digest,
            "references": self._references,
            "files": os.path.relpath(self._home, self._record.parent),
        }
        new = self._record.with_suffix(".new")
        new.write_text(json.dumps(record, default=str))
        new.replace(self._record)

    def __repr__(self) -> str:
        return f"<Artifact {self.name} of type {self.type}>"


# --- keeping and finding


def records_home(run_dir: str | os.PathLike[str]) -> Path:
    """Return the folder that has the records of the runs beside this one; of a run elsewhere its own directory."""
    above = Path(run_dir).parent.parent
    return above if above.name == RUNS else Path(run_dir)


def log_artifact(artifact: Artifact, run_dir: str | os.PathLike[str], run: str) -> Artifact:
    """Keep an artifact as the next version of its name; if the latest one has the same content, as that one.

    Args:
        artifact: With ``aliases`` as they are to be.
        run_dir: The directory of the run, which gets the files.
        run: The id of the run.
    """
    return _store(artifact, records_home(run_dir), Path(run_dir, "artifacts"), run)


def _store(artifact: Artifact, home: Path, files: Path, run: str) -> Artifact:
    records = home / "artifacts"
    artifact._run = artifact._run or run
    latest = _versions(records, artifact._name)[-1:]
    artifact._digest = artifact.digest  # once: a model may have gigabytes
    if artifact._record is None and latest and latest[0]["digest"] == artifact.digest:
        same = _opened(records, latest[0])
        artifact._draft()
        same.aliases = [*dict.fromkeys([*same.aliases, *artifact.aliases])]
        artifact.__dict__.update({**same.__dict__, "_draft": artifact._draft})
    if artifact._record is not None:
        artifact._write()
        return artifact
    _claim(artifact, records)
    target = files / f"{artifact._name}-{artifact.version}"
    target.parent.mkdir(parents=True, exist_ok=True)
    artifact._draft.detach()
    shutil.move(artifact._home, target)
    artifact._home = target
    artifact._write()
    return artifact


def _draft_folder() -> Path:
    """Make a folder for an artifact that is not logged yet, if possible where moving it to its run costs nothing."""
    beside = Path(RUNS)
    try:
        return Path(tempfile.mkdtemp(prefix=".artifact-", dir=beside.absolute() if beside.is_dir() else None))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="lightsweep-artifact-"))


def _claim(artifact: Artifact, records: Path) -> None:
    """Take the next version of the name."""
    folder = records / artifact._name
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((_number(path.stem) for path in folder.glob("v*.json")), default=-1)
    while True:
        try:
            (folder / f"v{number}.json").open("x").close()
        except FileExistsError:
            number += 1
            continue
        break
    artifact.version = f"v{number}"
    artifact._record = folder / f"v{number}.json"
    artifact.aliases = [*dict.fromkeys(["latest", *artifact.aliases])]
    artifact._write()


def find_artifact(name: str, homes: Sequence[Path], type: str | None = None) -> Artifact:  # noqa: A002 - W&B's name
    """Return the artifact ``name:alias`` or ``entity/project/name:alias``; without an alias the latest.

    Args:
        name: The name.
        homes: Folders such as ``lightsweep_runs``, searched in this order.
        type: The type that it must have.

    Raises:
        NotFoundError: No run has logged it; the message has the names that there are.
    """
    short, _, alias = name.rpartition("/")[2].partition(":")
    for home in dict.fromkeys(homes):
        versions = _versions(home / "artifacts", short)
        for record in reversed(_chosen(versions, alias or "latest")):
            found = _opened(home / "artifacts", record)
            if type is not None and found.type != type:
                raise NotFoundError(f"artifact {found.name} is of type {found.type!r}, not {type!r}")
            return found
        if versions:
            known = ", ".join([*(record["version"] for record in versions), *_aliases(versions)])
            raise NotFoundError(f"artifact {short!r} has no version or alias {alias!r}; it has: {known}")
    names = sorted(
        {
            path.name
            for home in homes
            for path in (home / "artifacts").glob("*/")
            if _versions(home / "artifacts", path.name)
        }
    )
    if any((home / "artifacts" / safe_name(short)).is_dir() for home in homes):
        raise NotFoundError(f"the files of artifact {short!r} were removed with the runs that logged it: log it again")
    raise NotFoundError(
        f"there is no artifact {short!r} in {', '.join(str(home) for home in dict.fromkeys(homes))}"
        f"{closest(short, names)} Artifacts that runs have logged there: {', '.join(names[:20]) or 'none'}"
    )


def _versions(records: Path, name: str) -> list[dict[str, Any]]:
    """Return the records of a name, oldest first; those whose files are gone are left out."""
    found = []
    for path in (records / safe_name(name)).glob("v*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_text())
            if (path.parent / record["files"]).is_dir():
                found.append(record)
    return sorted(found, key=lambda record: _number(record["version"]))


def _chosen(versions: Sequence[dict[str, Any]], alias: str) -> list[dict[str, Any]]:
    if alias == "latest":
        return list(versions[-1:])
    if exact := [record for record in versions if record["version"] == alias]:
        return exact
    return sorted(
        (each for each in versions if alias in each["aliases"]), key=lambda each: float(each["aliases"][alias])
    )


def _aliases(versions: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({"latest", *(alias for record in versions for alias in record["aliases"])})


def _opened(records: Path, record: Mapping[str, Any]) -> Artifact:
    """Return the artifact of a record."""
    made = Artifact(record["name"], record["type"], record["description"], record["metadata"])
    made._draft()  # it needs no folder of its own
    path = records / record["name"] / f"{record['version']}.json"
    versions = _versions(records, record["name"])
    names = [alias for alias in _aliases(versions) if _chosen(versions, alias)[-1]["version"] == record["version"]]
    made.__dict__.update(
        _record=path,
        _home=Path(os.path.normpath(path.parent / record["files"])),
        _references=dict(record["references"]),
        _run=record["run"],
        _made=record["made"],
        version=record["version"],
        aliases=names,
        _digest=record["digest"],
        _assigned={alias: when for alias, when in record["aliases"].items() if alias in names},
        tags=list(record["tags"]),
    )
    return made


def _number(version: str) -> int:
    return int(version[1:]) if version[1:].isdecimal() else -1
