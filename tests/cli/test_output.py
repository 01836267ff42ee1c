"""Write a text to a path from the user: links, pipes and devices are kept."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lightsweep.cli.output import write_whole
from lightsweep.errors import InputError, NotFoundError


def refuse(_draft: Path) -> None:
    raise ValueError("not this")


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for text in ("old ü\n", "new"):
        assert write_whole(path, text)
        assert path.read_text("utf-8") == text
    (tmp_path / "other").write_text("")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert {found.name for found in tmp_path.iterdir()} == {"page.html", "other"}


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "page.html"
    link = tmp_path / "link.html"
    link.symlink_to("there/page.html")
    for text in ("made", "replaced"):
        assert write_whole(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert [found.name for found in target.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_stays_and_its_reader_gets_the_text(tmp_path: Path, linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    assert not write_whole(path, "for the reader", lambda draft: got.append(draft.read_text()))
    reader.join()
    assert got == ["for the reader"] * 2
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert path.is_symlink() == linked


def test_a_device_stays(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, Path("/dev/null").stat().st_rdev)
        device.write_text("")
    except PermissionError:
        pytest.skip("may not make a device here")
    assert not write_whole(device, "for nobody")
    assert stat.S_ISCHR(device.stat().st_mode)


def test_what_stands_for_stdout_goes_where_stdout_goes(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from lightsweep.cli.output import write_whole; "
        "print(write_whole(pathlib.Path('/dev/fd/1'), 'text'), file=sys.stderr)"
    )
    with (tmp_path / "out").open("w") as out:
        out.write("before ")
        out.flush()
        ended = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr == "False\n"
    assert (tmp_path / "out").read_text() == "before text"


def test_a_text_that_is_refused_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("old")
    with pytest.raises(ValueError, match="not this"):
        write_whole(path, "new", refuse)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"cannot write 'x': the folder '.*missing' does not exist"):
        write_whole(tmp_path / "missing" / "x", "")
    (tmp_path / "lost").symlink_to("missing/x")
    with pytest.raises(InputError, match=r"lost cannot be written: No such file or directory$"):
        write_whole(tmp_path / "lost", "")
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(tmp_path, "")
