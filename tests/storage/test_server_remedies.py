"""Messages about a server that is not used, or does not run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lightsweep.errors import NotFoundError, StorageError
from lightsweep.storage import default_url, open_storage
from lightsweep.storage.url import server_here


def test_a_server_of_this_directory_is_named_where_a_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE_FILE", raising=False)
    assert server_here() == ""
    file = tmp_path / "lightsweep_storage" / "url"
    file.parent.mkdir()
    file.touch(0o600)
    with pytest.raises(
        NotFoundError, match=r"there is no storage lightsweep.db; .*\na server has its files here"
    ) as raised:
        open_storage("sqlite:///lightsweep.db", create=False)
    assert str(raised.value).endswith(f"to use it: export LIGHTSWEEP_STORAGE_FILE={file}")
    monkeypatch.setenv("LIGHTSWEEP_STORAGE_FILE", str(file))
    assert server_here() == "", "it is used"


def test_a_server_that_does_not_run_is_named_with_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "url"
    file.touch(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        file.write_text(f"postgresql://me:s3cret@127.0.0.1:{free.getsockname()[1]}/sweeps\n")
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    monkeypatch.setenv("LIGHTSWEEP_STORAGE_FILE", str(file))
    for made, remedy in [
        ("other", r"[Cc]onnection refused\)?; check the URL and the server"),
        ("data", rf"\nits server does not run, or not yet; .* by: lightsweep storage serve --directory {tmp_path}$"),
        ("job-7.out", r"\nits server does not run, .* by: lightsweep launch ID --on slurm --with-storage$"),
    ]:
        (tmp_path / made).mkdir()
        with pytest.raises(StorageError, match=remedy) as raised:
            open_storage(default_url(), create=False)
        assert "s3cret" not in str(raised.value)
        assert "Is the server running" not in str(raised.value)
