"""Figures of more runs than they can show: the best and an even choice, with a sentence that says so."""

from __future__ import annotations

import json

import pytest
from report_helpers import NOW, many_runs, sweep_config

from lightsweep.report import parallel, points
from lightsweep.report.data import report_data
from lightsweep.report.page import columns


def test_the_figures_take_the_best_and_say_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    config = sweep_config()
    data = report_data(config, many_runs(config, 600), now=NOW)
    monkeypatch.setattr(parallel, "_MOST_RUNS", 60)
    monkeypatch.setattr(parallel, "_MOST_BEST", 20)
    monkeypatch.setattr(points, "_MOST_OF_HISTORY", 60)
    monkeypatch.setattr(points, "_MOST_BEST_OF_HISTORY", 20)
    best = set(sorted(data.valued, key=data.best_of)[:20])
    said = "The best and an even choice of the others: 60 of 600 runs."
    lines = parallel.parallel_figure(data)
    assert best <= set(lines.data[0].meta["runs"])
    assert len(lines.data[0].dimensions[0]["values"]) == 60
    assert lines.layout.meta["note"].startswith(said)
    history = points.history_figure(data)
    drawn = [run for trace in history.data if trace.meta for run in trace.meta["runs"]]
    assert best <= set(drawn)
    assert len(drawn) == 60
    assert history.layout.meta["note"].startswith(said)
    (line,) = [trace for trace in history.data if trace.name == "best so far"]
    assert line.y[-1] == min(data.best_of(index) for index in data.valued)  # of all runs


def test_a_run_adds_few_bytes_to_the_page() -> None:
    """Beyond what figures show, a run costs its line of the table: 100,000 runs are about 20 MB."""
    config = sweep_config()

    def size(count: int) -> int:
        data = report_data(config, many_runs(config, count), now=NOW)
        return len(json.dumps([[cell(run) for _, _, cell in columns(data)] for run in data.runs]))

    assert (size(1_200) - size(200)) / 1_000 < 250
