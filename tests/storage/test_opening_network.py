"""SQLite files on file systems of other machines."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lightsweep.storage import open_storage
from lightsweep.storage import sqlite_file as network
from lightsweep.storage.sqlite_file import network_file_system

MOUNTS = {"/": "ext4", "/home": "nfs4", "/home/fast disk": "xfs", "/scratch": "lustre"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/lightsweep.db", None),
        ("/home/me/lightsweep.db", "nfs4"),
        ("/home/fast disk/lightsweep.db", None),
        ("/scratch/x/lightsweep.db", "lustre"),
        ("/homes/lightsweep.db", None),
    ],
)
def test_the_deepest_mount_counts(monkeypatch: pytest.MonkeyPatch, path: str, kind: str | None) -> None:
    mounts = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in MOUNTS.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert network_file_system(Path(path)) == kind


def test_of_several_mounts_at_one_place_the_last_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [SimpleNamespace(mountpoint="/data", fstype=kind) for kind in ("xfs", "nfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert network_file_system(Path("/data/lightsweep.db")) == "nfs"


def test_without_a_list_of_mounts_everything_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    assert network_file_system(tmp_path) is None

    def refuse(**_: bool) -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_partitions", refuse)
    assert network_file_system(tmp_path) is None


def test_opening_one_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "network_file_system", lambda _: "nfs4")
    with caplog.at_level(logging.WARNING, logger="lightsweep"):
        for _ in range(2):
            open_storage(f"sqlite:///{tmp_path}/sweeps.db").close()
    assert len(caplog.records) == 1
    assert "network file system (nfs4)" in caplog.text
