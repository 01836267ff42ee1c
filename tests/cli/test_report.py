"""``lightsweep report``, and the figures of a sweep in a notebook."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import plotly.graph_objects as go
import pytest
from report_helpers import EVIL
from sandboxes import Sandbox

import lightsweep
from lightsweep import Sweep
from lightsweep.cli import main

Capture = pytest.CaptureFixture[str]


def train() -> None:
    with lightsweep.init() as run:
        for step in range(4):
            run.log({EVIL: run.config["x"] / (step + 1)})


@pytest.fixture
def sweep(sandbox: Sandbox) -> Sweep:
    """Six finished runs under a hostile name, and the metric another."""
    config = {
        "name": EVIL,
        "method": "grid",
        "metric": {"name": EVIL},
        "parameters": {"x": {"values": [1, 2, 3, 4, 5, 6]}, EVIL: {"value": EVIL}},
    }
    made = Sweep.create(config, storage=sandbox.storage)
    lightsweep.agent(made, function=train)
    return made


def test_a_report_is_written_and_written_again(sandbox: Sandbox, sweep: Sweep, capsys: Capture) -> None:
    path = sandbox.directory / "report.html"
    path.write_text("old")
    for _ in range(2):
        capsys.readouterr()
        assert main(["report", sweep.id, "-o", "report.html"]) == 0
        assert capsys.readouterr().out == "report.html\n"
        assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert path.stat().st_mode & 0o444
    assert {found.name for found in sandbox.directory.iterdir() if "report" in found.name} == {"report.html"}


def test_a_report_into_a_pipe_is_all_that_its_reader_gets(sandbox: Sandbox, sweep: Sweep, capsys: Capture) -> None:
    pipe = sandbox.directory / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text("utf-8")))
    reader.start()
    capsys.readouterr()
    assert main(["report", sweep.id, "-o", "pipe"]) == 0
    reader.join()
    assert pipe.is_fifo()
    assert got[0].startswith("<!DOCTYPE html>")
    assert capsys.readouterr().out == ""


def test_a_report_is_named_after_its_sweep(sandbox: Sandbox, sweep: Sweep, capsys: Capture) -> None:
    assert main(["report", sweep.id]) == 0
    assert (sandbox.directory / f"report-{sweep.id}.html").exists()


def test_a_report_of_a_sweep_that_has_not_begun(sandbox: Sandbox, capsys: Capture) -> None:
    assert main(["report", sandbox.sweep(""), "-o", "report.html"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "missing/report.html"], "the folder 'missing' does not exist"),
        (["-o", "."], "is a folder; write to report.html"),
        (["--format", "svg", "-o", "taken"], "but taken is a file"),
        (["--format", "pdf"], "pdf"),
    ],
)
def test_where_a_report_cannot_go(
    sandbox: Sandbox, sweep: Sweep, capsys: Capture, arguments: list[str], words: str
) -> None:
    sandbox.write("taken", "")
    assert main(["report", sweep.id, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_report_without_plotly_says_how_to_get_it(
    sandbox: Sandbox, sweep: Sweep, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly", None)
    assert main(["report", sweep.id]) == 2
    assert "pip install 'lightsweep[analysis]'" in capsys.readouterr().err


@pytest.mark.slow
def test_figures_for_papers(sandbox: Sandbox, sweep: Sweep, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["report", sweep.id, "--format", "png", "-o", "figures"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    names = {"parallel", "importance", "history", "curves", "slice-01", "timeline"}
    assert {path.stem for path in written} == names
    assert {path.name for path in Path("figures").iterdir()} == {f"{name}.png" for name in names}
    for path in written:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        width, _ = struct.unpack(">II", data[16:24])
        assert width == (840 if path.stem == "slice-01" else 1800)


def test_figures_without_a_browser_to_draw_them(
    sandbox: Sandbox, sweep: Sweep, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    def missing(*arguments: object, **keywords: object) -> None:
        raise ChromeNotFoundError

    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", missing)
    assert main(["report", sweep.id, "--format", "svg"]) == 2
    assert "drawn by Chromium or Chrome" in capsys.readouterr().err


def test_a_sweep_has_its_figures(sweep: Sweep) -> None:
    plots = (sweep.plot_parallel, sweep.plot_importance, sweep.plot_history, sweep.plot_curves)
    for plot in plots:
        figure = plot()
        assert isinstance(figure, go.Figure)
        assert figure.data


def test_a_sweep_in_a_notebook_is_a_table_of_text(sweep: Sweep) -> None:
    text = sweep._repr_html_()
    assert "<td>finished (all 6 points of the grid)</td>" in text
    assert "<td>6 finished of 6</td>" in text
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert text.count("<tr>") == text.count("</tr>") == 5
