"""What the page shows of the histories and the parts of runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from report_helpers import EVIL, NOW, sweep_config, sweep_run

from lightsweep.report import logged, logged_curves, report_data, run_parts
from lightsweep.report.data import ReportData


def data_of(count: int = 5, **keys: Any) -> ReportData:
    """Runs of which the first is the best."""
    config = sweep_config()
    runs = [sweep_run(config, number, history=[1.0 + number], **keys) for number in range(count)]
    return report_data(config, runs, now=NOW)


def write(home: Path, number: int, rows: list[dict[str, Any]]) -> Path:
    folder = home / f"{number + 1:04d}"
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({**row, "_step": step, "_timestamp": 1.0}) for step, row in enumerate(rows)]
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def shown(home: Path, data: ReportData | None = None) -> dict[str, Any]:
    found = logged_curves(data or data_of(), home)
    assert found is not None
    json.dumps(found, allow_nan=False)
    return found


def test_every_number_is_a_curve_over_the_steps(tmp_path: Path) -> None:
    write(tmp_path, 0, [{"train_loss": 3.0}, {"train_loss": 2.0, "val_loss": 2.5}, {"acc": math.nan}, {"acc": 0.5}])
    write(tmp_path, 2, [{"val_loss": 4.0}])
    found = shown(tmp_path)
    assert [each["name"] for each in found["names"]] == ["val_loss", "acc", "train_loss"]  # the metric first
    assert found["runs"] == [
        {"row": 0, "curves": [[0, [1], [2.5]], [1, [3], [0.5]], [2, [0, 1], [3.0, 2.0]]]},
        {"row": 2, "curves": [[0, [0], [4.0]]]},
    ]
    assert found["note"] == ""


def test_the_directory_that_a_run_names_comes_first(tmp_path: Path) -> None:
    folder = write(tmp_path, 0, [{"val_loss": 1.0}])
    found = logged_curves(data_of(1, directories=(str(tmp_path / "gone"), str(folder))), tmp_path / "elsewhere")
    assert found is not None
    assert found["runs"][0]["curves"] == [[0, [0], [1.0]]]


@pytest.mark.parametrize(
    ("name", "others", "beside"),
    [
        ("val_loss", ["train_loss", "loss"], "train_loss"),
        ("val_loss", ["loss"], "loss"),
        ("eval/loss", ["train/loss"], "train/loss"),
        ("validation_0-rmse", ["validation_1-rmse"], None),
        ("Val.acc", ["train.acc"], "train.acc"),
        ("eval_accuracy", ["train/accuracy"], "train/accuracy"),
        ("loss", ["train_loss"], None),
    ],
)
def test_training_belongs_beside_validation(tmp_path: Path, name: str, others: list[str], beside: str | None) -> None:
    write(tmp_path, 0, [{name: 1.0, **dict.fromkeys(others, 2.0)}])
    names = shown(tmp_path)["names"]
    place = next(each["beside"] for each in names if each["name"] == name)
    assert (None if place is None else names[place]["name"]) == beside


def test_what_is_left_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        write(tmp_path, number, [{f"n{place:02}": 1.0 for place in range(50)}] * 300)
    data = data_of(50)
    found = shown(tmp_path, data)
    assert found["note"] == (
        "40 of 50 runs, the best and an even choice of the others. 40 of 50 numbers, those of the most runs. "
        "Long curves have 93 of their points."
    )
    assert [each["row"] for each in found["runs"]][:30] == list(range(30))
    assert {len(steps) for run in found["runs"] for _, steps, _ in run["curves"]} == {93}
    assert {(steps[0], steps[-1]) for run in found["runs"] for _, steps, _ in run["curves"]} == {(0, 299)}
    assert len(json.dumps(found)) < 4 * 2**20
    monkeypatch.setattr(logged, "_MOST_BYTES", 3 * (tmp_path / "0001" / "history.jsonl").stat().st_size)
    assert [each["row"] for each in shown(tmp_path, data)["runs"]] == [0, 1, 2]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": "x", "_step": 1}', '{"a": 1e999, "_step": 1}'])
def test_a_broken_history_shows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "0001").mkdir()
    (tmp_path / "0001" / "history.jsonl").write_text(text)
    assert shown(tmp_path)["names"] == []


def test_parts_are_rows_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (3, 0):
        folder = tmp_path / f"{number + 1:04d}" / "parts"
        folder.mkdir(parents=True)
        head = {"part": 1, "name": EVIL, "group": "cv"}
        lines = [head, {"log": {"val_loss": 0.25}}, {"log": {"val_loss": 0.125}}, {"end": "finished"}, {"counts": True}]
        (folder / "1.jsonl").write_text("\n".join(map(json.dumps, lines)))
        (folder / "2.jsonl").write_text('{"part": 2, "name": "b"}')
    found = run_parts(data_of(), tmp_path)
    assert found is not None
    assert found["columns"] == ["run", "part", "name", "group", "state", "logs", "last val_loss"]
    assert found["rows"][0] == ["0001", "1", EVIL, "cv", "finished, counts", "2", "0.125"]
    assert found["rows"][1] == ["0001", "2", "b", "–", "cut off", "0", "–"]
    assert [row[0] for row in found["rows"]] == ["0001", "0001", "0004", "0004"]
    monkeypatch.setattr(logged, "_MOST_PARTS", 3)
    found = run_parts(data_of(), tmp_path)
    assert found is not None
    assert (len(found["rows"]), found["note"]) == (3, "3 of 4 parts, those of the best runs.")
