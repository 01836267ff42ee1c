"""What the page shows of the media of the best runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_helpers import EVIL, NOW, sweep_config, sweep_run

import lightsweep as wandb
from lightsweep.report import media, report_data, run_media
from lightsweep.report.data import ReportData
from lightsweep.wandb.files import MediaStore


def data_of(count: int = 5) -> ReportData:
    """Runs of which the first is the best."""
    config = sweep_config()
    return report_data(config, [sweep_run(config, number, history=[1.0 + number]) for number in range(count)], now=NOW)


def store(home: Path, number: int = 0) -> MediaStore:
    return MediaStore(home / f"{number + 1:04d}")


def shown(home: Path, **values: Any) -> dict[str, dict[str, Any]]:
    """What is shown of values that the best run has logged, by name."""
    for name, value in values.items():
        store(home).keep(name, value if isinstance(value, list) else [value], 3)
    (found,) = run_media(home, data_of())
    assert found["run"] == "0001"
    return {item["name"]: item for item in found["items"]}


def image(value: int = 0) -> Any:
    return wandb.Image(np.full((2, 2), value, dtype=np.uint8))


def test_the_three_best_runs_with_media_are_shown(tmp_path: Path) -> None:
    for number in (4, 3, 1, 0):
        store(tmp_path, number).keep("a", [image()], 0)
    assert [each["run"] for each in run_media(tmp_path, data_of())] == ["0001", "0002", "0004"]


def test_of_each_name_the_latest_images_are_shown_with_their_captions(tmp_path: Path) -> None:
    store(tmp_path).keep("a", [image(), image()], 1)
    found = shown(tmp_path, a=[wandb.Image(np.zeros((2, 2)), caption=EVIL), image(9)])["a"]
    assert (found["step"], found["more"], len(found["images"])) == (3, 0, 2)
    assert all(each["source"].startswith("data:image/png;base64,") for each in found["images"])
    assert found["images"][0]["caption"] == EVIL  # the page inserts it as text


def test_images_are_bounded_in_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shown(tmp_path, a=[image()] * 20)["a"]
    assert (len(found["images"]), found["more"]) == (8, 12)
    monkeypatch.setattr(media, "_IMAGE_BYTES", 10)
    assert shown(tmp_path)["a"]["file"] == "media/a/3_0.png"
    monkeypatch.undo()
    monkeypatch.setattr(media, "_PAGE_BYTES", 200)
    assert len(shown(tmp_path)["a"]["images"]) < 8


def test_only_plain_images_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg onload='alert(1)'>")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff" + b"x")
    (tmp_path / "c.png").write_bytes(b"<html>")
    found = shown(
        tmp_path, **{name: wandb.Image(tmp_path / name) for name in ("a.svg", "b.jpg", "c.png")}, page=wandb.Html(EVIL)
    )
    assert found["b.jpg"]["images"][0]["source"].startswith("data:image/jpeg;base64,")
    assert {name: item.get("file") for name, item in found.items() if "file" in item} == {
        "a.svg": "media/a.svg/3_0.svg",
        "c.png": "media/c.png/3_0.png",
        "page": "media/page/3_0.html",
    }


def test_tables_show_their_first_rows(tmp_path: Path) -> None:
    rows = [[number, EVIL, None, "x" * 500] for number in range(100)]
    found = shown(tmp_path, t=wandb.Table(columns=["n", EVIL, "none", "long"], data=rows))["t"]
    assert (found["count"], len(found["rows"])) == (100, 20)
    assert found["rows"][7][:3] == ["7", EVIL, ""]
    assert len(found["rows"][7][3]) == 60


TABLE = wandb.Table(columns=["x", "y", "of"], data=[[0, 1.0, "a"], [1, float("nan"), "a"], [0, 3.0, EVIL]])


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (wandb.plot.line(TABLE, "x", "y"), [("scatter", "lines")]),
        (wandb.plot.line(TABLE, "x", "y", stroke="of", title=EVIL), [("scatter", "lines"), ("scatter", "markers")]),
        (wandb.plot.scatter(TABLE, "x", "y"), [("scatter", "markers")]),
        (wandb.plot.bar(TABLE, "of", "y"), [("bar", None)]),
        (wandb.plot.histogram(TABLE, "y"), [("histogram", None)]),
        (wandb.Histogram([1, 2, 3]), [("bar", None)]),
        (wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 0], class_names=["a", EVIL]), [("heatmap", None)]),
        (wandb.plot.roc_curve([0, 1], [[0.9, 0.1], [0.2, 0.8]]), [("scatter", "lines")] * 2),
    ],
)
def test_charts_and_histograms_are_drawn(tmp_path: Path, value: Any, kinds: list[tuple[str, str | None]]) -> None:
    figure = shown(tmp_path, chart=value)["chart"]["figure"]
    assert [(trace["type"], trace.get("mode")) for trace in figure["data"]] == kinds
    text = json.dumps(figure, allow_nan=False)
    assert "<img" not in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    "index",
    [
        "{broken",
        "[]",
        '{"files": 3}',
        '{"files": [{"name": "a"}]}',
        '{"files": [{"name": "a", "step": "x", "files": []}]}',
        '{"files": [{"name": "a", "step": 1, "kind": "image", "files": []}]}',
    ],
)
def test_a_broken_index_shows_nothing(tmp_path: Path, index: str) -> None:
    home = tmp_path / "0001" / "media"
    home.mkdir(parents=True)
    (home / "index.json").write_text(index)
    assert run_media(tmp_path, data_of()) == []


def test_files_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(image().content())
    home = tmp_path / "0001" / "media"
    home.mkdir(parents=True)
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    for file in ("../../secret.png", str(tmp_path / "secret.png"), "link.png", "gone.png"):
        entry = {"name": "a", "kind": "image", "step": 1, "files": [file]}
        (home / "index.json").write_text(json.dumps({"files": [entry]}))
        (found,) = run_media(tmp_path, data_of())
        assert "images" not in found["items"][0]
