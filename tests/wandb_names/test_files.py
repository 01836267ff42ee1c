"""The files of a run's media: names, index, bounds, faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.wandb import files
from lightsweep.wandb.files import MediaStore, safe_name


def index(home: Path) -> dict:
    return json.loads((home / "media" / "index.json").read_text())


def image():
    return wandb.Image(np.zeros((2, 2)), caption="c")


def test_a_file_for_each_value_and_an_index_over_them(tmp_path):
    store = MediaStore(tmp_path)
    store.keep("val/examples", [image(), image()], 3)
    store.keep("table", [wandb.Table(columns=["a"], data=[[1]])], 4)
    found = index(tmp_path)
    assert [(each["name"], each["kind"], each["step"]) for each in found["files"]] == [
        ("val/examples", "image", 3),
        ("val/examples", "image", 3),
        ("table", "table", 4),
    ]
    assert [each["files"] for each in found["files"]] == [
        ["val/examples/3_0.png"],
        ["val/examples/3_1.png"],
        ["table/4_0.csv", "table/4_0.json"],
    ]
    assert found["files"][0]["caption"] == "c"
    for each in found["files"]:
        assert sum((tmp_path / "media" / name).stat().st_size for name in each["files"]) == each["size"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a"),
        ("val/examples", "val/examples"),
        ("../../etc/passwd", "etc/passwd"),
        ("/root/.ssh/key", "root/ssh/key"),
        ("größe 1", "größe_1"),
        ("a\x00b\nc", "a_b_c"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_become_paths_that_stay_below_media(name, path):
    assert safe_name(name) == path


def test_two_names_with_the_same_path_keep_two_files(tmp_path):
    store = MediaStore(tmp_path)
    store.keep("a b", [image()], 0)
    store.keep("a_b", [image()], 0)
    assert [each["files"][0] for each in index(tmp_path)["files"]] == ["a_b/0_0.png", "a_b/0_0_.png"]


def test_another_attempt_continues_the_index_and_replaces_what_it_repeats(tmp_path):
    MediaStore(tmp_path).keep("a", [image()], 0)
    MediaStore(tmp_path).keep("a", [image()], 1)
    MediaStore(tmp_path).keep("a", [image()], 0)
    assert [each["step"] for each in index(tmp_path)["files"]] == [1, 0]
    (tmp_path / "media" / "index.json").write_text("{broken")
    MediaStore(tmp_path).keep("a", [image()], 5)
    assert [each["step"] for each in index(tmp_path)["files"]] == [5]


def test_beyond_the_number_the_oldest_of_the_name_with_most_go(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "MOST_FILES", 4)
    store = MediaStore(tmp_path)
    store.keep("rare", [image()], 0)
    for step in range(6):
        store.keep("often", [image()], step)
    found = index(tmp_path)
    assert [(each["name"], each["step"]) for each in found["files"]] == [
        ("rare", 0),
        ("often", 3),
        ("often", 4),
        ("often", 5),
    ]
    assert found["dropped"] == 3
    assert len(list((tmp_path / "media").rglob("*.png"))) == 4
    assert capsys.readouterr().err.count("from now on the oldest ones are removed") == 1


def test_beyond_the_bytes_too_and_a_file_that_is_too_large_alone_is_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    store = MediaStore(tmp_path)
    for step in range(5):
        store.keep("page", [wandb.Html("x" * 400)], step)
    assert [each["step"] for each in index(tmp_path)["files"]] == [3, 4]
    assert store.keep("page", [wandb.Html("x" * 2000)], 9) == []
    assert "'page' at step 9 was not kept: 2,000 bytes in 1 files" in capsys.readouterr().err


def test_a_disk_that_takes_nothing_costs_one_line_and_no_training(tmp_path, capsys):
    (tmp_path / "media").write_text("in the way")
    store = MediaStore(tmp_path)
    for step in range(3):
        assert store.keep("a", [image()], step) == []
    assert capsys.readouterr().err.count("'a' was not kept as a file") == 1
