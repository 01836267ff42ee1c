"""SQLite files on file systems of other machines."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lightsweep.storage import open_storage
from lightsweep.storage import opening as network
from lightsweep.storage.opening import network_file_system

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/fast\\040disk xfs rw 0 0
scratch /scratch lustre rw 0 0
"""


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
def test_the_deepest_mount_counts(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(path), mounts) == kind


def test_without_a_list_of_mounts_everything_is_local(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "none") is None


def test_opening_one_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "network_file_system", lambda _: "nfs4")
    with caplog.at_level(logging.WARNING, logger="lightsweep"):
        for _ in range(2):
            open_storage(f"sqlite:///{tmp_path}/sweeps.db").close()
    assert len(caplog.records) == 1
    assert "network file system (nfs4)" in caplog.text
