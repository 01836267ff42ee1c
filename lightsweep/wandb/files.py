"""The media of a run as files, and the files of an artifact.

Media are below ``media/`` of the run's directory, with ``media/index.json`` over all of them.

The report reads the index: ``{"files": [entry, ...], "dropped": n}``, the oldest entry first. An entry has ``name`` (as
it was logged), ``kind`` (``image``, ``table``, ...), ``step``, ``files`` (relative to ``media/``, the main one first),
``size`` in bytes, and what its kind adds, such as ``caption``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlparse

from lightsweep.errors import UsageError

MOST_FILES = 1000
"""So many media files of a run are kept at most."""

MOST_BYTES = 100 * 2**20
"""So many bytes of media of a run are kept at most."""

INDEX = "index.json"

Part = tuple[str, "bytes | Path"]
"""A suffix, added to the name that the store chooses, and the content or the file to copy."""

_UNSAFE = re.compile(r"[^\w.+=-]+")
_LONGEST_PART = 80


class Keepable(Protocol):
    """A value that is kept as one file or several."""

    kind: str

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the files, the main one first.

        Args:
            stem: The name without a suffix that all of them have, for files that name each other.
        """

    def facts(self) -> Mapping[str, Any]:
        """Return what the index keeps of the value; for JSON."""


def safe_name(name: str) -> str:
    """Return ``name`` as a relative path: its slashes make folders, and no part leads out of them."""
    parts = [_UNSAFE.sub("_", part).lstrip(".")[:_LONGEST_PART] for part in str(name).split("/")]
    return "/".join(part for part in parts if part) or "unnamed"


class MediaStore:
    """The media files of one run.

    If a file more would be too many, the oldest of the name with the most files goes: so the latest of each name stay.

    Args:
        directory: The run's directory; ``media/`` is made at the first file.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.home = Path(directory) / "media"
        self._entries: list[dict[str, Any]] | None = None
        self._dropped = 0
        self._said: set[str] = set()

    def keep(self, name: str, values: Iterable[Keepable], step: int) -> list[dict[str, Any]]:
        """Write values that were logged together under ``name``, and return their entries.

        A value that cannot be written (it is larger than all media of a run may be, or the disk is full) is left out,
        with one line on stderr, and training continues.
        """
        self._load()
        kept = []
        for number, value in enumerate(values):
            try:
                entry = self._write(name, value, step, number)
            except OSError as error:
                self._say(f"{name!r} was not kept as a file: {error.strerror or error}")
                continue
            if entry is not None:
                kept.append(entry)
        if kept:
            self._save()
        return kept

    def _write(self, name: str, value: Keepable, step: int, number: int) -> dict[str, Any] | None:
        assert self._entries is not None
        stem = self._free_stem(name, f"{safe_name(name)}/{step}_{number}")
        parts = list(value.parts(Path(stem).name))
        size = sum(len(data) if isinstance(data, bytes) else data.stat().st_size for _, data in parts)
        if size > MOST_BYTES or len(parts) > MOST_FILES:
            self._say(
                f"{name!r} at step {step} was not kept: {size:,} bytes in {len(parts)} files; "
                f"a run keeps {MOST_BYTES // 2**20} MiB of media in {MOST_FILES:,} files at most"
            )
            return None
        files = [f"{stem}{suffix}" for suffix, _ in parts]
        self._entries = [entry for entry in self._entries if entry["files"][0] != files[0]]
        self._make_room(size, len(files))
        target = self.home / stem
        target.parent.mkdir(parents=True, exist_ok=True)
        for (_, data), file in zip(parts, files, strict=True):
            if isinstance(data, bytes):
                (self.home / file).write_bytes(data)
            else:
                shutil.copyfile(data, self.home / file)
        entry = {"name": name, "kind": value.kind, "step": step, "files": files, "size": size, **value.facts()}
        self._entries.append(entry)
        return entry

    def _free_stem(self, name: str, stem: str) -> str:
        """Return a stem that no other name has: ``a b`` and ``a_b`` would get the same."""
        assert self._entries is not None
        taken = {_stem(entry) for entry in self._entries if entry["name"] != name}
        while stem in taken:
            stem += "_"
        return stem

    def _make_room(self, size: int, count: int) -> None:
        entries = self._entries
        assert entries is not None
        while entries and (
            sum(entry["size"] for entry in entries) + size > MOST_BYTES
            or sum(len(entry["files"]) for entry in entries) + count > MOST_FILES
        ):
            names = [entry["name"] for entry in entries]
            most = max(names, key=names.count)
            oldest = entries.pop(names.index(most))
            for file in oldest["files"]:
                with contextlib.suppress(OSError):
                    (self.home / file).unlink()
            self._dropped += 1
            self._say(
                f"a run keeps {MOST_FILES:,} media files and {MOST_BYTES // 2**20} MiB of them at most; "
                "from now on the oldest ones are removed"
            )

    def _load(self) -> None:
        """Read the index once: another attempt at the run may have written it."""
        if self._entries is None:
            self._entries, self._dropped = [], 0
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found = json.loads((self.home / INDEX).read_text())
                self._entries, self._dropped = list(found["files"]), int(found["dropped"])

    def _save(self) -> None:
        path, new = self.home / INDEX, self.home / f"{INDEX}.new"
        try:
            new.write_text(json.dumps({"files": self._entries, "dropped": self._dropped}, default=str))
            new.replace(path)
        except OSError as error:
            self._say(f"{path} was not written: {error.strerror or error}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print(f"lightsweep: {text}", file=sys.stderr)


def _stem(entry: Mapping[str, Any]) -> str:
    return str(entry["files"][0]).rsplit(".", 1)[0]


def existing_file(path: Any) -> Path:
    """Return the path of a file that exists.

    Raises:
        UsageError: There is none.
    """
    found = Path(path)
    if not found.is_file():
        raise UsageError(f"there is no file {str(path)!r}; pass an array, or the path of a file")
    return found.absolute()


# --- the files of an artifact

_BLOCK = 2**20


class Entry:
    """A file of an artifact, or a reference.

    Attributes:
        path: Its path in the artifact.
        ref: The address of a reference; ``None`` for a file.
        size: Bytes; 0 for a reference.
    """

    def __init__(self, path: str, home: Path, ref: str | None = None) -> None:
        self.path = self.name = path
        self.ref = ref
        self._file = home / path
        self.size = 0 if ref is not None else self._file.stat().st_size

    def local_path(self) -> str:
        """Return the path of the file on this machine."""
        return str(self._file)

    def download(self, root: str | os.PathLike[str] | None = None, **_: Any) -> str:
        """Copy the file below ``root``, or leave it where it is kept; return its path."""
        if self.ref is not None or root is None:
            return str(self._file) if self.ref is None else local_file(self.ref)
        target = Path(root, self.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(self._file, target))

    def ref_target(self) -> str:
        """Return the address of a reference."""
        return self.ref or self._file.as_uri()


class Manifest:
    """The entries of an artifact by path."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries


def paths(home: Path) -> list[str]:
    """Return the files below a folder, sorted."""
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def digest_of(home: Path, references: Mapping[str, str]) -> str:
    """Return the hash of all paths, contents and references."""
    whole = hashlib.sha256()
    for path in paths(home):
        content = hashlib.sha256()
        with (home / path).open("rb") as file:
            while block := file.read(_BLOCK):
                content.update(block)
        whole.update(f"{path}\0{content.hexdigest()}\0".encode())
    for path, uri in sorted(references.items()):
        whole.update(f"{path}\0{uri}\0".encode())
    return whole.hexdigest()


def local_file(uri: str, *, quiet: bool = False) -> str:
    """Return the path of a reference to a file of this machine; empty, or an error, for any other."""
    parsed = urlparse(uri)
    path = unquote(parsed.path) if parsed.scheme == "file" else uri
    if parsed.scheme in ("", "file") and Path(path).is_file():
        return path
    if quiet:
        return ""
    raise UsageError(f"{uri} is a reference, and nothing is fetched: fetch it yourself")
