"""``lightsweep storage copy`` and ``storage check``, as users call them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lightsweep import Sweep
from lightsweep.cli.main import main

CONFIG = {"program": "train.py", "method": "grid", "parameters": {"x": {"values": [1, 2]}}}


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two sweeps in lightsweep.db, which is the default storage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    return [Sweep.create(CONFIG).id for _ in range(2)]


def test_copy_all_and_then_name_what_is_left(sweeps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sweeps
    assert main(["storage", "copy", "lightsweep.db", "other.db", first]) == 0
    output = capsys.readouterr()
    assert output.out == f"copied sweep {first}: 0 trials, 4 rows compared\n"
    assert "let agents work in one of the two storages only" in output.err
    assert "files of runs" in output.err
    assert main(["storage", "copy", "lightsweep.db", "other.db"]) == 2
    assert f"has sweep {first} already, so nothing was copied; to copy the others, name them: {second}\n" in (
        capsys.readouterr().err
    )
    assert main(["storage", "copy", "lightsweep.db", "other.db", second]) == 0
    assert [sweep.id for sweep in Sweep.all(storage="other.db")] == sweeps


@pytest.mark.usefixtures("sweeps")
def test_a_storage_that_was_named_by_a_file_is_named_so_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "copy", "lightsweep.db", "other.db"]) == 0
    assert "(to stop a sweep in the old one: lightsweep stop ID --storage lightsweep.db)\n" in (capsys.readouterr().err)
    Path("url").write_text("sqlite:///lightsweep.db", encoding="utf-8")
    Path("url").chmod(0o600)
    assert main(["storage", "copy", "url", "third.db"]) == 0
    assert "(to stop a sweep in the old one: LIGHTSWEEP_STORAGE= LIGHTSWEEP_STORAGE_FILE=url lightsweep stop ID)\n" in (
        capsys.readouterr().err
    )


def test_a_sweep_that_does_not_exist_makes_no_storage(sweeps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "copy", "lightsweep.db", "other.db", "nothing"]) == 2
    assert f"no sweep 'nothing' in lightsweep.db; the latest is {sweeps[-1]}" in capsys.readouterr().err.replace(
        "sqlite:///", ""
    )
    assert not Path("other.db").exists()
    assert main(["storage", "copy", "absent.db", "other.db"]) == 2
    assert "there is no storage absent.db" in capsys.readouterr().err


def test_no_password_is_shown(sweeps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens at the port."""
    url = "postgresql://me:secretword@127.0.0.1:9/x?connect_timeout=1"
    assert main(["storage", "copy", "lightsweep.db", url, *sweeps]) == 2
    assert main(["storage", "check", url]) == 2
    output = capsys.readouterr()
    assert "secretword" not in output.out + output.err
    assert "me:***@127.0.0.1" in output.err


def test_check_says_whether_there_is_damage(sweeps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "check"]) == 0
    assert capsys.readouterr().out == "no damage in sqlite:///lightsweep.db: 2 sweeps\n"
    with closing(sqlite3.connect("lightsweep.db")) as connection, connection:
        connection.execute("INSERT INTO trial_params(trial_id, param_name, param_value) VALUES (77, 'x', 1.0)")
    assert main(["storage", "check", "lightsweep.db"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("table trial_params: 1 row of a trial that is missing (key 77)\n  they count for")
    assert output.err == "error: 1 fault in lightsweep.db\n"


def test_check_of_a_file_that_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("no database" * 100)
    assert main(["storage", "check", "text.db"]) == 1
    output = capsys.readouterr()
    assert "file is not a database" in output.out
    assert "bug" not in output.err


def test_a_sweep_that_is_named_twice_is_copied_once(sweeps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "copy", "lightsweep.db", "other.db", sweeps[0], sweeps[0][:7], sweeps[0]]) == 0
    assert capsys.readouterr().out.count("copied sweep") == 1
