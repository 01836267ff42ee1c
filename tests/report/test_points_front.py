"""The figures of a sweep with several metrics."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest
from report_helpers import NOW, sweep_config, sweep_run

from lightsweep.controller import SweepRun
from lightsweep.report import report_data
from lightsweep.report.points import front_figures, hypervolume_figure
from lightsweep.schema import SweepConfig

VALUES = [(4.0, 0.9), (2.0, 0.7), (3.0, 0.6), (1.0, 0.5)]  # the third one is behind the second


def several(metrics: int = 2) -> tuple[SweepConfig, list[SweepRun]]:
    names = [{"name": "val_loss"}, {"name": "acc", "goal": "maximize"}, {"name": "latency"}][:metrics]
    config = sweep_config(metric=None, metrics=names, early_terminate=None)
    runs = []
    for number, (loss, accuracy) in enumerate(VALUES):
        logged = {"val_loss": loss, "acc": accuracy, "latency": 1.0}
        stats = {name: {"min": value, "max": value, "last": value} for name, value in logged.items()}
        runs.append(sweep_run(config, number, history=[loss], metrics=stats))
    return config, runs


def only(found: go.Figure | list[go.Figure]) -> go.Figure:
    assert isinstance(found, go.Figure)
    return found


def test_the_front_is_a_line_over_the_two_metrics() -> None:
    figure = only(front_figures(report_data(*several(), now=NOW)))
    traces = {trace.name: trace for trace in figure.data}
    assert list(zip(traces["Pareto front"].x, traces["Pareto front"].y, strict=True)) == [(1, 0.5), (2, 0.7), (4, 0.9)]
    assert list(traces["Pareto front"].customdata) == ["0004", "0002", "0001"]
    assert traces["Pareto front"].meta["runs"] == [3, 1, 0]  # the rows that the page lifts
    assert list(traces["finished"].customdata) == ["0003"]
    assert figure.layout.xaxis.title.text == "val_loss (smaller is better)"
    assert figure.layout.yaxis.title.text == "acc (greater is better)"


def test_a_figure_for_each_pair_of_three_metrics() -> None:
    found = front_figures(report_data(*several(3), now=NOW))
    assert isinstance(found, list)
    assert len(found) == 3
    assert found[2].layout.yaxis.title.text == "latency (smaller is better)"
    assert found[0].data[-1].mode == "markers"


def test_the_hypervolume_grows_by_the_runs_of_the_front() -> None:
    line = only(hypervolume_figure(report_data(*several(), now=NOW))).data[0]
    assert list(line.x) == [1, 2, 4]
    assert list(line.y) == pytest.approx([0, 1 / 3, 1 / 3])  # the box is 3 wide and 0.4 high
