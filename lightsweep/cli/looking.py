"""The storage of a command that only looks."""

from __future__ import annotations

from lightsweep.storage import Storage, default_url, open_storage

__all__ = ["looking"]


def looking(storage: str | None) -> Storage:
    """Open the storage that ``--storage`` names, or the default one, also where it may not be written to."""
    return open_storage(storage or default_url(), create=False, look=True)
