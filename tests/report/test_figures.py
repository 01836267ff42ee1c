"""The figures: the content of each, the registry, and sweeps of every odd kind."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import plotly.graph_objects as go
import pytest
from report_helpers import EVIL, NOW, PARAMETERS, START, many_runs, sweep_config, sweep_run

from lightsweep.controller import SweepRun, SweepState
from lightsweep.report import FIGURES, FigureKind, ReportData, figures, page, report_data
from lightsweep.report.axis import MUTED, finish
from lightsweep.report.curves import curves_figure, lanes, timeline_figure
from lightsweep.report.importance import importance_figure
from lightsweep.report.parallel import parallel_figure
from lightsweep.report.points import history_figure, slice_figures
from lightsweep.schema import SweepConfig


def traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def empty(figure: go.Figure) -> str:
    """The sentence of a figure that shows nothing else."""
    assert not figure.data
    sentence: str = figure.layout.meta["empty"]
    return sentence


def odd_sweeps() -> dict[str, tuple[SweepConfig, list[SweepRun]]]:
    config = sweep_config()
    runs = many_runs(config, 30)
    mixed = sweep_config(
        {"x": {"values": [1, True, None, "one", [1, 2], {"a": [EVIL]}]}, "y": {"min": 0.0, "max": 1.0}}
    )
    forty = sweep_config({f"p{place}": {"min": 0.0, "max": 1.0} for place in range(40)})
    one = sweep_config({"x": {"min": 0.0, "max": 1.0}})
    bare = sweep_config(metric=None, method="random", early_terminate=None)
    failed = [replace(run, state="failed", best=None, last=None, history=(), iterations=0) for run in runs]
    up = sweep_config(metric={"name": "acc", "goal": "maximize", "target": 0.9})
    return {
        "no run": (config, []),
        "one run": (config, runs[:1]),
        "two runs": (config, runs[:2]),
        "not begun": (config, [sweep_run(config, 0, state="running", values={})]),
        "all failed": (config, failed),
        "all pruned": (config, [replace(run, state="pruned") for run in runs]),
        "constant": (config, [replace(run, best=0.5, history=(0.5, 0.5)) for run in runs]),
        "nan": (config, [replace(run, best=None, last=math.nan, history=()) for run in runs]),
        "huge": (
            config,
            [
                replace(
                    run,
                    best=[1.7e308, -1.7e308, 0.0, 5e-324][place % 4],
                    history=(1.7e308, -1.7e308),
                    values={**run.values, "z": (place - 15) * 1e307, "tiny": 5e-324 * place},
                )
                for place, run in enumerate(runs)
            ],
        ),
        "mixed": (mixed, many_runs(mixed, 40)),
        "forty parameters": (forty, many_runs(forty, 60)),
        "one parameter": (one, many_runs(one, 20)),
        "no metric": (bare, [replace(run, best=None, history=()) for run in runs]),
        "maximize": (up, many_runs(up, 30)),
        "by run": (
            config,
            [replace(run, values={**run.values, f"z{place % 3}": place}) for place, run in enumerate(runs)],
        ),
        "hostile": (
            sweep_config({EVIL: {"values": [EVIL, "b"]}, "y": {"min": 0, "max": 9}}, name=EVIL, metric={"name": EVIL}),
            [],
        ),
    }


ODD = odd_sweeps()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("no run", "No run has started yet."),
        ("all failed", "No run has logged a finite value of the metric yet."),
        ("no metric", "The sweep has no metric, so its runs cannot be compared."),
    ],
)
def test_a_figure_without_values_says_why(kind: str, sentence: str) -> None:
    assert empty(history_figure(report_data(*ODD[kind]))) == sentence


def test_parallel_coordinates_stand_in_the_scale_of_their_parameters() -> None:
    config = sweep_config()
    runs = many_runs(config, 30)
    (trace,) = parallel_figure(report_data(config, runs)).data
    names = [dimension.label for dimension in trace.dimensions]
    assert names[0] == "learning_rate"  # the most important one
    assert sorted(names[:-1]) == ["batch_size", "learning_rate", "model.dropout", "model.width", "optimizer"]
    assert names[-1] == "<b>val_loss</b>"
    rates = [runs[index].values["learning_rate"] for index in trace.meta["runs"]]
    assert list(trace.dimensions[0]["values"]) == pytest.approx([math.log10(rate) for rate in rates], rel=1e-6)
    assert list(trace.line.color) == pytest.approx([runs[index].best for index in trace.meta["runs"]])
    assert trace.line.cmin == pytest.approx(min(run.best or 9 for run in runs))
    assert trace.line.reversescale is False


def test_a_run_without_a_parameter_passes_below_its_axis() -> None:
    (trace,) = parallel_figure(report_data(*ODD["by run"])).data
    axis = next(dimension for dimension in trace.dimensions if dimension.label == "z1")
    assert axis.ticktext[0] == "absent"
    assert axis["values"][0] == axis.tickvals[0] == min(axis["values"])
    assert axis["values"][1] > axis["values"][0]


def test_ticks_of_one_axis_differ_even_where_they_look_alike() -> None:
    config = sweep_config(
        {"x": {"values": ["a" * 20 + "1" + "b" * 20, "a" * 20 + "2" + "b" * 20]}, "lr": PARAMETERS["learning_rate"]}
    )
    (trace,) = parallel_figure(report_data(config, many_runs(config, 20))).data
    x, rate = sorted(trace.dimensions[:2], key=lambda dimension: len(dimension.tickvals))
    for dimension in (x, rate):
        assert len(set(dimension.ticktext)) == len(dimension.tickvals) == len(dimension.ticktext)
    assert {text.rstrip("\u200b\u200c") for text in x.ticktext} == {"a" * 12 + "…" + "b" * 5}
    assert list(rate.ticktext) == ["0.0001", "0.001", "0.01"]


def test_the_page_knows_each_axis_and_the_best_line() -> None:
    config = sweep_config()
    runs = [replace(run, unread=("model.width",)) for run in many_runs(config, 40)]
    data = report_data(config, runs)
    (trace,) = parallel_figure(data).data
    assert data.best is not None
    assert data.runs[trace.meta["runs"][trace.meta["best"]]].id == data.best.id
    axes = {axis["name"]: axis for axis in trace.meta["axes"]}
    assert next(iter(axes)) == "learning_rate"
    assert list(axes)[-2:] == ["model.width", "val_loss"]  # never read, so it cannot be important; and the metric
    assert [name for name, axis in axes.items() if axis["unread"]] == ["model.width"]
    assert axes["optimizer"]["ticks"] == [[0, "adam"], [1, "adamw"], [2, "sgd"]]
    assert [text for _, text in axes["learning_rate"]["ticks"]] == ["0.0001", "0.001", "0.01"]
    assert axes["val_loss"]["kind"] == "linear"


@pytest.mark.parametrize(("goal", "corners"), [("minimize", [5, 3, 2, 2]), ("maximize", [5, 7, 7])])
def test_the_history_has_the_best_so_far(goal: str, corners: list[float]) -> None:
    config = sweep_config(metric={"name": "loss", "goal": goal, "target": 1})
    runs = [sweep_run(config, place, history=[value]) for place, value in enumerate([5.0, 3.0, 7.0, 2.0, 4.0])]
    figure = history_figure(report_data(config, runs))
    assert list(traces(figure)["best so far"].y) == corners
    assert traces(figure)["best so far"].hoverinfo == "skip"  # the runs below it answer the pointer
    assert list(traces(figure)["finished"].y) == [5, 3, 7, 2, 4]
    assert [shape.y0 for shape in figure.layout.shapes] == [1]


def test_curves_show_bands_thresholds_and_where_runs_stopped() -> None:
    config = sweep_config()
    values = {"finished": (5.0, 4.0, 3.0, 2.0), "pruned": (6.0, 6.0, 6.0), "running": (7.0,)}
    runs = [sweep_run(config, place, state=state, history=h) for place, (state, h) in enumerate(values.items())]
    found = traces(curves_figure(report_data(config, runs)))
    assert list(found["finished"].y) == [5, 4, 3, 2, None]
    assert list(found["finished"].meta["runs"]) == [0] * 5
    assert (found["stopped early"].x, found["stopped early"].y) == ((3,), (6,))
    assert list(found["best run"].y) == [5, 4, 3, 2, None]
    # Band 3 of two runs: index int(2 / 3) of [3, 6].
    assert (found["bands and thresholds"].x, found["bands and thresholds"].y) == ((3,), (3,))


def test_many_curves_and_long_ones_are_thinned_but_the_best_stay() -> None:
    config = sweep_config()
    runs = [sweep_run(config, place, history=[1000.0 + place % 7] * 500 + [float(place)]) for place in range(900)]
    figure = curves_figure(report_data(config, runs))
    drawn = set(traces(figure)["finished"].meta["runs"])
    assert set(range(40)) <= drawn
    assert len(drawn) == 240
    assert len(traces(figure)["finished"].x) == 240 * 121
    assert figure.layout.meta["note"].startswith("The best and an even choice of the others: 240 of 900 runs.")


def test_slices_show_each_parameter_in_its_scale() -> None:
    config = sweep_config()
    runs = many_runs(config, 30)
    found = slice_figures(report_data(config, runs))
    names = [figure.layout.xaxis.title.text for figure in found]
    assert sorted(names) == ["batch_size", "learning_rate", "model.dropout", "model.width", "optimizer"]
    assert names[0] == "learning_rate"  # the most important one
    rate = traces(found[0])["finished"]
    assert list(rate.x) == pytest.approx(
        [math.log10(runs[i].values["learning_rate"]) for i in rate.meta["runs"]], rel=1e-4
    )
    batch = traces(found[names.index("batch_size")])["finished"]
    places = [[16, 32, 64, 128].index(runs[i].values["batch_size"]) for i in batch.meta["runs"]]
    assert all(abs(x - place) < 0.3 for x, place in zip(batch.x, places, strict=True))


def test_runs_of_one_agent_at_once_have_lanes_of_their_own() -> None:
    config = sweep_config()

    def run(number: int, agent: str, begun: int, ended: int | None) -> SweepRun:
        end = None if ended is None else START + timedelta(minutes=ended)
        return sweep_run(config, number, agent=agent, started=START + timedelta(minutes=begun), ended=end)

    runs = [run(0, "a", 0, 10), run(1, "a", 5, 15), run(2, "a", 10, None), run(3, "b", 0, 1)]
    view = report_data(config, runs, now=NOW)
    assert lanes(view) == {("a", 0): [0, 2], ("a", 1): [1], ("b", 0): [3]}
    figure = timeline_figure(view)
    (bars,) = figure.data
    assert list(bars.y) == [2, 2, 1, 0]
    assert figure.layout.yaxis.ticktext == ("a", "a · 2", "b")
    assert figure.layout.yaxis.tickvals == (2, 1, 0)
    assert bars.base[1] == "2026-03-02T09:10:00.000"
    assert bars.x[1] == (NOW - START - timedelta(minutes=10)).total_seconds() * 1000


def test_importance_has_bars_with_their_spread_and_both_correlations() -> None:
    config = sweep_config()
    view = report_data(config, many_runs(config, 60))
    figure = importance_figure(view)
    bars, linear, rank = figure.data
    assert figure.layout.yaxis.ticktext[bars.y[-1]] == "learning_rate"
    assert bars.x[-1] == max(bars.x)
    assert len(bars.error_x.array) == len(PARAMETERS) + 1
    assert linear.name == "linear"
    assert rank.name == "rank"


def test_what_no_run_read_is_marked_in_every_figure() -> None:
    config = sweep_config()
    runs = [replace(run, unread=("model.width",)) for run in many_runs(config, 40)]
    view = report_data(config, runs)
    mark = "model.width<br><i>never read</i>"
    bars = importance_figure(view)
    place = bars.layout.yaxis.ticktext.index(mark)
    assert [trace.marker.color[place] for trace in bars.data[:2]] == [MUTED, MUTED]
    assert bars.data[0].marker.color.count(MUTED) == 1
    assert "no run read 'model.width'" in bars.layout.meta["note"].lower()
    assert mark in [dimension.label for dimension in parallel_figure(view).data[0].dimensions]
    assert mark in [figure.layout.xaxis.title.text for figure in slice_figures(view)]


def durations_figure(data: ReportData) -> go.Figure:
    """A figure that the package does not have: how long the runs took."""
    seconds = [((run.ended or data.now) - run.started).total_seconds() for run in data.runs if run.started]
    return finish(go.Figure(go.Histogram(x=seconds, name="runs")), 300, "Failed runs included.")


def test_a_new_figure_is_a_function_and_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, "durations", FigureKind("Durations of runs", durations_figure))
    monkeypatch.setitem(FIGURES, "halves", FigureKind("Halves", lambda data: [durations_figure(data)] * 2))
    config = sweep_config()
    text = page("k3v9x2ab", SweepState("running"), report_data(config, many_runs(config, 20), now=NOW))
    found = json.loads(text.partition('id="data">')[2].partition("</script>")[0])["figures"]
    assert [each["name"] for each in found][-3:] == ["durations", "halves-01", "halves-02"]
    assert [each["small"] for each in found][-3:] == [False, True, True]
    drawn = found[-3]
    assert drawn["heading"] == "Durations of runs"
    assert len(drawn["data"][0]["x"]) == 20
    assert drawn["layout"]["meta"] == {"note": "Failed runs included."}


def test_no_text_of_users_is_markup_in_a_figure() -> None:
    config = sweep_config({EVIL: {"values": [EVIL, "b"]}, "y": {"min": 0, "max": 9}}, name=EVIL, metric={"name": EVIL})
    runs = [replace(run, agent=EVIL, reason=EVIL) for run in many_runs(config, 20)]
    for named in figures(report_data(config, runs, now=NOW)):
        plain = named.figure.to_plotly_json()
        plain["layout"].pop("meta", None)  # shown as plain text by the page
        found = json.dumps(plain)
        if named.name == "parallel":  # its ticks alone are shown as plain text by plotly
            for dimension in named.figure.data[0].dimensions:
                assert "<img" not in dimension.label
        else:
            assert "<img" not in found
            assert "%{x}$" not in found
