"""A sweep in stages on the command line: check, agents, status, export, report, and the next sweep."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

import lightsweep
from lightsweep import Sweep, controller
from lightsweep.agents.displays.frame import Frame
from lightsweep.analysis import importance, refine
from lightsweep.cli import main
from lightsweep.controller.summary import part_views, summarize

importlib.import_module("sklearn")  # which sets variables of the environment when it is first imported

Capture = pytest.CaptureFixture[str]
Show = Callable[..., str]
STAGES: dict[str, Any] = {
    "method": "random",
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    "parameters": {
        "lr": {"min": 0.0, "max": 1.0},
        "model": {"parameters": {"width": {"values": [8, 16]}, "depth": {"min": 1, "max": 2}}},
        "decay": {"min": 0.0, "max": 1.0},
        "epochs": {"value": 3},
    },
    "lightsweep": {
        "seed": 1,
        "stages": [
            {
                "name": "rate",
                "parameters": ["lr"],
                "run_cap": 4,
                "early_terminate": None,
                "defaults": {"model.width": 8, "model.depth": 2, "decay": 0.5},
            },
            {"name": "<b>shape\x1b[31m", "parameters": ["model"], "method": "grid"},
            {"parameters": ["decay"], "run_cap": 3},
        ],
    },
}
SCRIPT = """
    import os, time
    from pathlib import Path
    import lightsweep
    with lightsweep.init() as run:
        config = run.config
        Path(f"pid-{run.number}-{int(run.resumed)}").write_text(str(os.getpid()))
        while run.number == "0002" and not run.resumed:
            time.sleep(0.02)  # until its agent is killed
        run.log({"loss": config.lr + config.model.width / 8 + config.model.depth + config.decay})
"""


@pytest.fixture
def show(capsys: Capture) -> Show:
    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return run


def train() -> None:
    with lightsweep.init() as run:
        config = run.config
        run.log({"loss": config.lr + config.model.width / 8 + config.model.depth + config.decay})


@pytest.fixture
def done(sandbox: Sandbox) -> Sweep:
    """All but the last run of the last stage."""
    sweep = Sweep.load(sandbox.sweep(**STAGES), storage=sandbox.storage)
    lightsweep.agent(sweep.id, function=train, count=9)
    return sweep


def stored(sweep: Sweep) -> controller.Sweep:
    """The sweep as commands see it."""
    found = controller.Sweep.load(sweep.id, storage=sweep.storage)
    found.refresh()
    return found


@pytest.mark.slow
def test_agents_pass_through_three_stages_and_one_that_is_killed_holds_them_back(sandbox: Sandbox) -> None:
    options = {**STAGES["lightsweep"], "lease": 10}
    sweep_id = sandbox.sweep(SCRIPT, **{**STAGES, "lightsweep": options})
    agents = [sandbox.start("agent", sweep_id, start_new_session=True) for _ in range(2)]
    path = sandbox.directory / "pid-0002-0"
    wait_until(lambda: path.exists() and path.read_text(), "run 0002 to begin")
    wait_until(lambda: sum(run.state == "finished" for run in sandbox.runs(sweep_id)) == 3, "the others to end")
    time.sleep(0.5)  # in which the free agent could begin the next stage
    runs = sandbox.runs(sweep_id)
    assert [run.stage for run in runs] == ["rate"] * 4
    ours = next(run for run in runs if run.state == "running").agent
    (killed,) = [agent for agent in agents if f":{agent.pid}:" in ours]
    os.killpg(killed.pid, signal.SIGKILL)
    os.kill(int(path.read_text()), signal.SIGKILL)
    (left,) = [agent for agent in agents if agent is not killed]
    out, _ = left.communicate(timeout=PATIENCE_SECONDS)
    assert left.returncode == 0, out
    assert "(all 3 stages)" in out
    runs = sandbox.runs(sweep_id)
    assert [run.stage for run in runs] == ["rate"] * 4 + ["<b>shape\x1b[31m"] * 3 + ["stage 3"] * 3
    assert (runs[1].attempt, {run.state for run in runs} <= {"finished", "pruned"}) == (2, True)
    base = min(runs[:4], key=lambda run: run.best)
    assert {run.values["lr"] for run in runs[4:7]} == {base.values["lr"]}


def test_status_shows_where_the_sweep_stands_and_the_best_of_each_stage(done: Sweep, show: Show) -> None:
    text = show("status", done.id)
    lines = text.splitlines()
    assert "in 3 stages over 4 parameters, minimize loss" in lines
    at = next(line for line in lines if line.startswith("stage 3 of 3"))
    views = part_views(stored(done))
    assert at == f"stage 3 of 3, stage 3: 2 of 3 runs ended, from run {views[2].base}"
    (heading,) = [
        place for place, line in enumerate(lines) if line.startswith("stage ") and "from run" in line and "best" in line
    ]
    rows = [re.split(r"  +", line) for line in lines[heading + 1 : heading + 4]]
    assert [row[0] for row in rows] == ["rate", "<b>shape [31m", "stage 3"]
    assert [row[1:4] for row in rows] == [
        ["over", "random", "4 of 4"],
        ["over", "grid", "3 of 3"],
        ["running", "random", "2 of 3"],
    ]
    assert rows[0][4] == "–"
    assert rows[1][4] == views[0].best.id if views[0].best else False
    assert rows[0][6].startswith("lr=")
    assert rows[1][6].startswith("model.depth=")
    assert "\x1b" not in text
    assert done.best_run is not None
    assert yaml.safe_load(show("best", done.id)) == done.best_run.config
    assert done.best_run.best == min(run.best for run in done.runs if run.best is not None)
    runs = [re.split(r"  +", line)[:2] for line in lines if re.match(r"\d{4}  ", line)]
    assert sorted(runs) == [[run.id, str(run.stage).replace("\x1b", " ")] for run in done.runs]


def test_the_document_of_a_sweep_holds_its_stages(done: Sweep, show: Show) -> None:
    document = json.loads(show("status", done.id, "--json"))
    one, two, three = document["stages"]
    assert (one["name"], one["state"], one["method"], one["parameters"]) == ("rate", "over", "random", ["lr"])
    assert (one["runs"], one["ended"], one["limit"], one["base"]) == (4, 4, 4, None)
    assert two["base"] == one["best"]["run"]
    assert two["fixed"]["lr"] == next(run.values["lr"] for run in done.runs if run.id == two["base"])
    assert (three["state"], three["ended"], three["limit"]) == ("running", 2, 3)
    assert [run["stage"] for run in document["runs"]] == [run.stage for run in done.runs]


def test_a_flat_sweep_has_no_word_of_stages(sandbox: Sandbox, show: Show) -> None:
    sweep_id = sandbox.sweep()
    assert "stage" not in show("status", sweep_id) + show("status", sweep_id, "--json")
    assert "stage" not in show("export", sweep_id)
    assert "stage" not in Sweep.load(sweep_id, storage=sandbox.storage).dataframe().columns


def test_tables_have_a_column_for_the_stage(done: Sweep, show: Show) -> None:
    names = [run.stage for run in done.runs]
    rows = list(csv.DictReader(io.StringIO(show("export", done.id))))
    assert [row["stage"] for row in rows] == [(name or "").replace("\x1b", "\\x1b") for name in names]
    frame = done.dataframe()
    assert list(frame.columns[:3]) == ["id", "stage", "state"]
    assert frame["stage"].tolist() == names
    assert frame["stage"].cat.categories.tolist() == [stage.name for stage in done.config.stages]


def test_the_live_view_shows_the_stage(done: Sweep) -> None:
    views = part_views(stored(done))
    now = datetime.now(timezone.utc)
    frame = Frame(summarize(stored(done)), [], now, views)
    lines = [line.plain for line in frame.lines(120, 40)]
    place = lines.index(f"stage 3 of 3, stage 3: 2 of 3 runs ended, from run {views[2].base}")
    best = [view.best for view in views if view.best is not None]
    assert [line.split(",")[-1] for line in lines[place + 1 : place + 4]] == [f" run {run.id}" for run in best]
    assert "stage 3 of 3, stage 3: 2 of 3 runs ended" in frame.line()


def test_check_shows_the_stages_and_commands_of_each(sandbox: Sandbox, show: Show) -> None:
    raw = {"program": "train.py", "metric": {"name": "loss"}, **STAGES}
    sandbox.write("train.py", "")
    text = show("check", str(sandbox.write("sweep.yaml", yaml.safe_dump(raw))))
    assert "stage 1   rate: random, unlimited points, at most 4 runs" in text
    assert "fixed: decay 0.5, model.depth 2, model.width 8" in text
    assert "sample commands of 'rate':" in text
    commands = [line for line in text.splitlines() if "train.py" in line]
    assert "sample commands of 'stage 3', with the values of the run above as the best:" in text
    assert len(commands) == 3 + 2
    assert all("--decay=0.5 --epochs=3 --lr=" in command for command in commands[:4])
    assert "--decay=0.5 " not in commands[4]


def test_a_sweep_says_its_stages_when_it_is_created(sandbox: Sandbox, capsys: Capture) -> None:
    raw = {"program": "train.py", "metric": {"name": "loss"}, **STAGES}
    raw["lightsweep"] = {"stages": [{**STAGES["lightsweep"]["stages"][0], "run_cap": None}]}
    assert main(["sweep", str(sandbox.write("sweep.yaml", yaml.safe_dump(raw)))]) == 0
    said = capsys.readouterr().err
    assert "created a sweep in 1 stage: rate (lr)" in said
    assert "it never ends by itself" in said


def test_the_report_holds_the_stages(done: Sweep, show: Show, sandbox: Sandbox) -> None:
    path = Path(show("report", done.id, "-o", "report.html").strip())
    text = path.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert [column["name"] for column in data["columns"][:5]] == ["run", "state", "loss", "stage", "iterations"]
    assert [row[3] for row in data["rows"]] == ["rate"] * 4 + ["<b>shape [31m"] * 3 + ["stage 3"] * 2
    table = data["stages"]
    assert table["columns"] == ["stage", "state", "method", "runs", "best loss", "searched", "fixed"]
    assert [row[:4] for row in table["rows"]] == [
        ["rate", "over", "random", "4 of 4"],
        ["<b>shape [31m", "over", "grid", "3 of 3"],
        ["stage 3", "running", "random", "2 of 3"],
    ]
    views = part_views(stored(done))
    assert table["rows"][0][6] == "decay=0.5, model.depth=2, model.width=8"
    assert table["rows"][1][6].endswith(f"; from run {views[1].base}")
    (history,) = [figure for figure in data["figures"] if figure["name"] == "history"]
    (bands,) = [trace for trace in done.plot_curves().data if trace.name == "bands and thresholds"]
    assert list(bands.customdata) == ["&#60;b&#62;shape [31m, ", "stage 3, "]
    marks = [shape["x0"] for shape in history["layout"]["shapes"]]
    assert marks == [0.5, 4.5, 7.5]
    assert [note["text"] for note in history["layout"]["annotations"]] == ["rate", "&#60;b&#62;shape [31m", "stage 3"]
    assert "headline" in data
    assert data["headline"]["method"] == "random and grid in 3 stages"


def test_what_comes_after(done: Sweep) -> None:
    made = refine(done.runs, done.config)
    assert "stages" not in made.config["lightsweep"]
    assert any("the stages are left out" in note for note in made.notes)
    found = importance(done.runs, done.config)
    assert any("the runs of all stages count" in note for note in found.notes)
    alone = importance([run for run in done.runs if run.stage == "rate"], done.config)
    assert alone.runs == 4
