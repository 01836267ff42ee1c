"""What the page shows of one run, also of files that a script has made to mislead it."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from report_helpers import NOW, START, sweep_config, sweep_run

from lightsweep.controller import RunState
from lightsweep.report import all_details, report_data
from lightsweep.report.logged import live_details, log_tail


def details(home: Path | None = None, **keys: Any) -> dict[str, Any]:
    """The details of a sweep's only run."""
    config = sweep_config()
    data = report_data(config, [sweep_run(config, 0, **keys)], now=NOW)
    found: dict[str, Any] = all_details("k3v9x2ab", data, home)["0001"]
    return found


def test_all_that_the_storage_has_of_a_run() -> None:
    found = details(
        history=[2.0, 0.5, 1.0],
        state=RunState.FAILED,
        reason="exit code 1: " + "x" * 500,
        started=START,
        ended=START + timedelta(minutes=3),
        attempt=2,
        unread=("model.width",),
        metrics={"val_loss": {"last": 1.0, "min": 0.5, "max": 2.0}, "acc": {"last": math.nan}},
        directories=("/somewhere/0001",),
    )
    facts = dict(found["facts"])
    assert facts == {
        "state": "failed",
        "reason": "exit code 1: " + "x" * 500,
        "best val_loss": "0.5",
        "iterations": "3",
        "started": "2026-03-02 09:00:00 UTC",
        "ended": "2026-03-02 09:03:00 UTC",
        "took": "0:03:00",
        "attempt": "2",
        "host": "node0",
        "agent": "4017:ab",
        "directory": "/somewhere/0001",
    }
    assert found["metrics"] == [["val_loss", 1.0, 0.5, 2.0], ["acc", None, None, None]]
    assert {name for name, _ in found["parameters"]} == {
        "batch_size",
        "learning_rate",
        "model.dropout",
        "model.width",
        "optimizer",
    }
    assert found["unread"] == ["model.width"]
    assert found["logs"] == "lightsweep logs k3v9x2ab 0001"
    assert "log" not in found


def test_files_are_named_if_they_are_on_this_machine(tmp_path: Path) -> None:
    assert details(directories=("/somewhere/0001",))["files"] == []
    assert details(directories=("",))["files"] == []
    assert details(directories=(str(tmp_path),))["files"] == [["directory", tmp_path.as_uri()]]
    output = tmp_path / "output.log"
    output.touch()
    assert details(directories=(str(tmp_path),))["files"][1] == ["output.log", output.as_uri()]


def test_the_last_lines_of_the_output_are_shown_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "0001").mkdir()
    (tmp_path / "0001" / "output.log").write_text("".join(f"line {n}\n" for n in range(100)))
    assert details(tmp_path)["log"] == [f"line {n}" for n in range(80, 100)]
    assert details(tmp_path / "gone")["log"] is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07done\n", ["red done"]),
        (b" 10%|#\r 50%|#####\r100%|##########\r\nnext\n", ["100%|##########", "next"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"a\x00b\xff\x1bc\n", ["a b\ufffd c"]),
        (b"", [""]),
    ],
)
def test_output_is_shown_as_a_terminal_would(tmp_path: Path, written: bytes, shown: list[str]) -> None:
    (tmp_path / "output.log").write_bytes(written)
    found = log_tail([tmp_path], 20)
    assert found == shown


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    run = tmp_path / "runs" / "0001"
    (run / "media").mkdir(parents=True)
    (run / "output.log").symlink_to(secret)
    entry = {"name": "a", "step": 0, "kind": "image", "files": ["../../../secret"]}
    (run / "media" / "index.json").write_text(json.dumps({"files": [entry]}))
    config = sweep_config()
    data = report_data(config, [sweep_run(config, 0, history=[1.0])], now=NOW)
    found = live_details("k3v9x2ab", data.runs[0], data, tmp_path / "runs")
    assert found["log"] is None
    assert all("images" not in item for item in found["media"])
