"""Whether a file lies on a file system of another machine, where SQLite's locks cannot be relied on."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

__all__ = ["network_file_system", "warn_of_network"]

_MOUNTS = Path("/proc/self/mounts")
_KINDS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "panfs", "smb3", "smbfs",
}  # fmt: skip
_logger = logging.getLogger("lightsweep")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of network file system that ``path`` lies on, such as ``nfs4``; ``None`` for a local one.

    Where the system does not list its mounts (macOS), every path counts as local.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    place = path.resolve()
    found, longest = None, -1
    for line in lines:
        _, at, kind, *_ = line.split(" ")
        at = at.replace("\\040", " ")
        if place.is_relative_to(at) and len(at) >= longest:
            found, longest = kind, len(at)
    return found if found in _KINDS else None


@cache
def warn_of_network(path: Path) -> None:
    """Say once that an SQLite file on a network file system is a danger."""
    kind = network_file_system(path)
    if kind is not None:
        _logger.warning(
            "%s lies on a network file system (%s), where SQLite's locks do not work reliably: "
            "keep it on a local disk, and for several machines use PostgreSQL: --storage postgresql://user@host/database",
            path,
            kind,
        )
