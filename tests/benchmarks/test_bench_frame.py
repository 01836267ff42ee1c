"""The frame of the benchmarks: its databases are as both sides would write them, its tables say what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from plain import plain_study

from benchmarks.__main__ import NAMES
from benchmarks.fixtures import CONTINUOUS, FINITE, REPORTS, config, optuna_study, sweep_with_runs
from benchmarks.tables import Figure, Row, comparison

RUNS = 12


@pytest.mark.parametrize(("method", "parameters"), [("grid", FINITE), ("random", CONTINUOUS)])
def test_a_filled_sweep_reads_as_one_that_ran(tmp_path: Path, method: str, parameters: dict) -> None:
    sweep = sweep_with_runs(tmp_path, config(method, parameters), RUNS, "ours")
    runs = sweep.runs
    assert [run.id for run in runs] == [f"{number:04d}" for number in range(1, RUNS + 1)]
    assert {run.state for run in runs} == {"finished"}
    assert {run.iterations for run in runs} == {REPORTS}
    assert all(set(run.values) == set(parameters) for run in runs)
    assert sweep.book.next_ticket == RUNS
    with plain_study(sweep.storage.url, sweep.id) as study:
        assert [trial.value for trial in study.trials] == [run.best for run in runs]
    sweep.storage.close()


def test_a_filled_study_holds_the_same_runs_with_their_rungs(tmp_path: Path) -> None:
    raw = config("random", CONTINUOUS)
    sweep = sweep_with_runs(tmp_path, raw, RUNS, "ours")
    peer = optuna_study(tmp_path, raw, RUNS, "peer")
    with plain_study(peer.url, peer.name) as study:
        trials = study.trials
    assert [trial.params for trial in trials] == [run.values for run in sweep.runs]
    assert [trial.value for trial in trials] == [run.best for run in sweep.runs]
    for trial in trials:
        rungs = [trial.system_attrs[f"completed_rung_{number}"] for number in range(4)]
        assert rungs == [trial.intermediate_values[step] for step in (1, 3, 9, 27)]
    sweep.storage.close()


def test_the_median_and_the_95th_percentile() -> None:
    figure = Figure.of([float(number) for number in range(100, 0, -1)])
    assert (figure.median, figure.p95) == (50.5, 96.0)
    assert Figure.of([2.0]) == Figure(2.0, 2.0)


@pytest.mark.parametrize(
    ("most", "most_ratio", "verdict"),
    [
        (None, None, ""),
        (0.2, None, "ok"),
        (0.05, None, "over"),
        (None, 0.5, "ok"),
        (None, 0.1, "over"),
        (0.2, 0.1, "over"),
    ],
)
def test_a_row_is_held_to_each_of_its_bounds(most: float | None, most_ratio: float | None, verdict: str) -> None:
    row = Row("x", Figure(0.1, 0.3), Figure(0.4, 0.5), most=most, most_ratio=most_ratio)
    assert row.verdict == verdict


def test_a_table_is_markdown_with_units() -> None:
    rows = [
        Row("import", Figure(0.0123, 2.5), Figure(0.1, 0.2), most=0.05),
        Row("agent", Figure(95.4, 96.0, "MB"), most=300),
    ]
    lines = str(comparison("Cost", rows, "peer")).splitlines()
    assert lines[0] == "**Cost**"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["", "lightsweep", "p95", "peer", "p95", "ratio", "bound", ""]
    assert cells[2] == ["import", "12.3 ms", "2.5 s", "100 ms", "200 ms", "0.123", "<= 50 ms", "ok"]
    assert cells[3] == ["agent", "95 MB", "96 MB", "", "", "", "<= 300 MB", "ok"]
    assert len({len(line) for line in lines[2:]}) == 1


def test_every_benchmark_is_a_module_with_tables() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    assert all("def tables(scale: Scale, directory: Path)" in (folder / f"{name}.py").read_text() for name in NAMES)
