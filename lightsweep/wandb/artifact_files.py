"""The files of an artifact: entries by path, their common hash, and references."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from lightsweep.errors import UsageError

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
