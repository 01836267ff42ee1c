"""The live view: what a frame shows, and when watching ends."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from report_helpers import EVIL, NOW, START, many_runs, sweep_config, sweep_run
from rich.console import Console
from sandboxes import Sandbox

import lightsweep
from lightsweep.agents.displays.frame import ASCII, Frame
from lightsweep.agents.displays.live_view import watch
from lightsweep.cli import main
from lightsweep.controller import Sweep, SweepRun, SweepState, best_run
from lightsweep.controller.changes import request
from lightsweep.controller.ranking import pareto_front
from lightsweep.controller.summary import SweepSummary, savings
from lightsweep.errors import StorageUnavailableError
from lightsweep.schema import SweepConfig
from lightsweep.text import sparkline

RUNNING = SweepState("running")


def frame(
    config: SweepConfig | None = None,
    runs: Sequence[SweepRun] | None = None,
    state: SweepState = RUNNING,
    limit: int | None = 10,
) -> Frame:
    """Two runs an hour ago and one running now, of ten."""
    config = config or sweep_config()
    runs = two_runs_and_one(config) if runs is None else runs
    running = [run for run in runs if run.state == "running"]
    now = START + timedelta(minutes=30)
    own = [run for run in runs if not run.prior]
    summary = SweepSummary(
        "k3v9x2ab",
        config,
        state,
        limit,
        Counter(run.standing for run in own),
        savings(own, config),
        best_run(own, config),
        searched=config.searched(run.values for run in own),
        unread=[],
        last=[],
        priors=len(runs) - len(own),
        started=min((run.started for run in own if run.started), default=None),
        ends=[run.ended for run in own if run.ended and run.standing not in {"running", "waiting"}],
    )
    return Frame(summary, running, now)


def two_runs_and_one(config: SweepConfig) -> list[SweepRun]:
    return [
        sweep_run(config, 0, started=START, ended=START + timedelta(minutes=10), history=[3.0, 2.0, 1.0]),
        sweep_run(config, 1, started=START, ended=START + timedelta(minutes=20), history=[5, 4, 3], state="pruned"),
        sweep_run(config, 2, started=START + timedelta(minutes=20), history=[9.0, 5.0, 2.0, 1.0], state="running"),
    ]


def plain(found: Frame, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in found.lines(width, height)]


def test_a_frame_says_where_the_sweep_stands() -> None:
    lines = plain(frame())
    assert lines[0].split()[:4] == ["0003", "4", "█▅▂▁", "1"]
    assert lines[0].split()[4].startswith("batch_size=")
    assert lines[1] == "best val_loss 1 (run 0001), of ended runs, 20 min ago"
    assert lines[2].startswith("  batch_size=")
    assert lines[3] == "sweep k3v9x2ab (digits): running; 1 running, 1 finished, 1 pruned"
    # Two ended in half an hour: four an hour, so the eight that are still to end take two hours.
    assert re.fullmatch("━{6}─{26}  2 of 10, 4 runs per hour, about 2 h 0 min left", lines[-1]) is not None

    found = replace(frame(), summary=replace(frame().summary, lengths={None: 27}), standing="running, no agent")
    assert plain(found)[0].split()[:2] == ["0003", "4/27"]
    assert plain(found)[-1].endswith("  2 of 10, waiting for an agent: lightsweep agent k3v9x2ab")
    assert plain(frame(limit=None))[-1] == "2 runs so far, 4 runs per hour"
    runs = two_runs_and_one(sweep_config())
    runs[2] = replace(runs[2], best=0.5)
    assert plain(frame(runs=runs))[3] == "  ahead of it, but still running: 0.5 (run 0003)"
    assert (
        frame()
        .line()
        .endswith(
            "running: 1 running, 1 finished, 1 pruned of 10; best val_loss 1 (run 0001), of ended runs; "
            "0 of 10 iterations saved; 4 runs per hour, about 2 h 0 min left"
        )
    )


def test_a_frame_says_what_more_runs_may_bring_and_how_many_are_on_the_front() -> None:
    more = "10 more runs: about 0.003 better (now 1)"
    found = replace(frame(), forecast=more)
    assert more in plain(found)
    assert f"; {more}; " in found.line()
    assert not any("Pareto" in line for line in plain(found))
    config = sweep_config(metric=None, metrics=[{"name": "val_loss"}, {"name": "time"}], early_terminate=None)
    runs = [
        sweep_run(config, number, history=[loss], metrics={"val_loss": {"last": loss}, "time": {"last": time}})
        for number, (loss, time) in enumerate([(0.1, 9.0), (0.2, 3.0), (0.3, 4.0)])
    ]
    several = frame(config, runs)
    several = replace(several, summary=replace(several.summary, front=pareto_front(runs, config)))  # type: ignore[arg-type]
    assert "Pareto front: 2 of 3 runs" in plain(several)
    assert "; Pareto front: 2 of 3 runs" in several.line()


def test_a_silent_run_says_so() -> None:
    found = replace(frame(), silent={"0003": timedelta(seconds=17)})
    assert plain(found)[0].endswith("1  no sign of life for 17 s")
    standing = found.summary.standing(found.silent)
    assert standing == "running, no sign of life for 17 s"
    assert frame().summary.standing({}) == "running"
    assert frame(runs=[]).summary.standing({}) == "running, no agent"
    assert frame(runs=[], state=SweepState("paused")).summary.standing({}) == "paused"


def test_prior_runs_have_no_part_in_counts_pace_and_best() -> None:
    config = sweep_config()
    prior = sweep_run(config, 1, id="p0001", prior=True, started=START, ended=START, history=[0.1])
    alone = plain(frame())
    lines = plain(frame(runs=[*two_runs_and_one(config), prior, prior]))
    assert lines[3].endswith("(digits): running; 1 running, 1 finished, 1 pruned + 2 prior runs")
    assert [*lines[:3], *lines[4:]] == [*alone[:3], *alone[4:]]
    assert frame(runs=[prior]).line().endswith("running: no runs yet of 10 + 1 prior run")


def test_a_run_that_waits_is_still_to_come() -> None:
    runs = two_runs_and_one(sweep_config())
    runs[1] = replace(runs[1], state="killed", waiting=True)
    found = frame(runs=runs)
    assert plain(found)[3].endswith("1 running, 1 waiting, 1 finished")
    assert found.per_hour == 2
    assert found.left == timedelta(hours=4.5)


def test_a_frame_keeps_to_the_size_of_the_terminal_and_to_printable_text() -> None:
    config = sweep_config(
        {"x\x1b[31m": {"values": ["\r\n" * 50, 2]}}, name="\x1b[2J" + EVIL * 3, metric={"name": "a\tb"}
    )
    runs = [sweep_run(config, place, state="running", started=START, history=[1.0]) for place in range(50)]
    lines = plain(frame(config=config, runs=runs), 80, 20)
    assert len(lines) < 20
    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert any(line.startswith("and ") for line in lines)
    assert frame(config=config, runs=runs).line().isprintable()


@pytest.mark.parametrize("keys", [{"runs": []}, {"limit": None}, {"state": SweepState("paused")}])
def test_a_time_left_is_told_only_where_there_is_one(keys: dict[str, Any]) -> None:
    found = frame(**keys)
    assert found.left is None
    assert "left" not in found.line()


def test_a_sweep_without_metric_or_with_odd_values_has_a_frame() -> None:
    bare = sweep_config(metric=None, method="random", early_terminate=None)
    assert "best" not in frame(config=bare, runs=many_runs(bare, 3)).line()
    config = sweep_config()
    odd = sweep_run(config, 0, state="running", values={}, best=None)
    odd = replace(odd, last=math.nan)
    assert plain(frame(runs=[odd]))[0].split() == ["0001", "0", "nan"]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([math.nan, math.inf], ""),
        ([1.0], "▄"),
        ([7, 0, 7], "█▁█"),
        ([-1.7e308, 1.7e308], "▁█"),
        (list(range(100)), "▁▂▄▅▇█"),
    ],
)
def test_sparklines(values: list[float], shown: str) -> None:
    assert sparkline(values, 6) == shown
    assert sparkline([0, 1, 2, 3, 4, 5], 6, ASCII.curve) == "_.-=*#"


@pytest.fixture
def sweep(sandbox: Sandbox) -> Sweep:
    config = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"x": {"values": [1, 2, 3]}}}
    return Sweep.create(config, storage=sandbox.storage)


def train() -> None:
    with lightsweep.init() as run:
        run.log({"loss": run.config.x})


def follow(sweep: Sweep, between: Callable[[int], None], terminal: bool = False) -> str:
    """Return the text shown; ``between`` is called with the number of looks after each."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, height=24, highlight=False)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < 10
        between(looks)

    watch(sweep, console, 1.0, on_terminal=terminal, sleep=sleep, clock=lambda: NOW)
    return stream.getvalue()


def test_a_pipe_gets_a_line_for_each_look_until_the_sweep_is_finished(sweep: Sweep) -> None:
    text = follow(sweep, lambda _: lightsweep.agent(sweep, function=train, count=1))
    lines = [line.partition(" ")[2] for line in text.splitlines() if line.partition(" ")[0].count(":") == 2]
    assert lines[0] == f"running, no agent: no runs yet of 3; waiting for an agent: lightsweep agent {sweep.id}"
    assert lines[-1].startswith("finished (all 3 points of the grid): 3 finished of 3; best loss 1 (run 0001)")
    assert len(lines) == 4
    assert "\x1b" not in text


def test_a_terminal_is_written_in_place_and_without_colours(sweep: Sweep) -> None:
    text = follow(sweep, lambda _: request(sweep, "cancel"), terminal=True)
    assert f"sweep {sweep.id}: cancelled" in text
    assert "\x1b[3" not in text.replace("\x1b[3A", "").replace("\x1b[3B", "")


def test_runs_that_end_meanwhile_are_one_line_each_above_the_view(sweep: Sweep) -> None:
    text = follow(sweep, lambda _: lightsweep.agent(sweep, function=train, count=1), terminal=True)
    lines = [re.sub(r"\x1b\[[\d;?]*\w", "", line).strip() for line in text.splitlines()]
    ended = [line for line in lines if "finished:" in line]
    assert [line.split(",")[0] for line in ended] == ["★ 0001 finished: 1", "0002 finished: 2", "0003 finished: 3"]


def test_a_watch_of_a_stopped_sweep_ends_and_says_what_more_runs_may_bring_as_status_does(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    sweep = Sweep.create(config, storage=sandbox.storage)
    lightsweep.agent(sweep, function=train, count=12)
    request(sweep, "stop")
    text = follow(sweep, lambda _: pytest.fail("there was nothing to wait for"))
    capsys.readouterr()
    assert main(["status", sweep.id]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("10 more runs: about ")]
    assert line in text


def test_ctrl_c_ends_the_watch_quietly(sweep: Sweep) -> None:
    def interrupt(looks: int) -> None:
        raise KeyboardInterrupt

    assert follow(sweep, interrupt).count("\n") == 1


def test_a_database_that_is_away_is_waited_for(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh, away = sweep.refresh, [True, False]

    def refreshing(**options: Any) -> Any:
        if away.pop(0) if away else False:
            raise StorageUnavailableError("the storage does not answer: gone")
        return refresh(**options)

    monkeypatch.setattr(sweep, "refresh", refreshing)
    lines = follow(sweep, lambda looks: request(sweep, "stop") if looks == 2 else None).splitlines()
    assert lines[0] == "the storage does not answer: gone; trying again"
    assert "no runs yet" in lines[-1]


def test_the_command(sandbox: Sandbox, sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    request(sweep, "stop")
    assert main(["status", sweep.id, "--watch", "--every", "0.1"]) == 0
    assert capsys.readouterr().out.endswith(" stopped: no runs yet of 3\n")
    assert main(["status", sweep.id, "--watch", "--json"]) == 2
    assert "give one of them" in capsys.readouterr().err
