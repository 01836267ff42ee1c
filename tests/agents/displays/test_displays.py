"""The displays of an agent: lines on a pipe, a table on a terminal."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lightsweep
from lightsweep.agents.displays.base import Display, GuardedDisplay, LineDisplay, closing
from lightsweep.agents.displays.live_view import LiveDisplay
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.runs import Repeat
from lightsweep.text import printable

EVIL = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold]\r\n\u202e"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs make their directories in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return made(tmp_path)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def display(stream: io.StringIO, sweep: Sweep) -> LineDisplay:
    return LineDisplay(stream, sweep)


def made(tmp_path: Path, **keys: Any) -> Sweep:
    config = {
        "method": "random",
        "metric": {"name": "loss"},
        "run_cap": 7,
        "early_terminate": {"type": "hyperband", "min_iter": 3},
        "parameters": {"lr": {"min": 0.0, "max": 1.0}, "opt": {"values": ["adam", EVIL]}, "fixed": {"value": 3}},
        **keys,
    }
    return Sweep.create(config, storage=f"sqlite:///{tmp_path}/display.db")


def live(number: int = 1, history: tuple[float, ...] = (), **values: Any) -> ClaimedRun:
    run = ClaimedRun(
        id=f"{number:04d}",
        ticket=number - 1,
        attempt=1,
        trial_id=number,
        values={"lr": 0.123456789, "opt": "adam", "fixed": 3, **values},
        config={},
    )
    for value in history:
        run.report(value)
    return run


def table(sweep: Sweep) -> tuple[LiveDisplay, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=24, force_terminal=True, color_system=None, legacy_windows=False)
    return LiveDisplay(console, sweep), stream


# --- lines


def test_one_line_per_event(sweep: Sweep, stream: io.StringIO, display: LineDisplay) -> None:
    run = live(history=(3.0, 1.23456789, float("nan"), 2.0))
    display.started(run)
    display.ended(run, Outcome("pruned", "stopped at band 3: 2.000 > cut-off 1.500 (the best of 2 runs)"))
    display.ended(live(2), Outcome("failed", "exit code 1: no data"))
    display.ended(live(3, (0.5,)), Outcome("finished"))
    display.ended(live(4, (0.75,)), Outcome("finished", "NaN since iteration 2 of 9"))
    display.ended(live(5), Outcome("lost", "preempted (exit code 75)"))
    display.ended(live(6, (3.0, 0.25, 2.0)), Outcome("pruned", "stopped at band 3: 2.000 > cut-off 1.500 (why)"))
    again = live(7)
    again.attempt = 2
    display.started(again)
    display.note("the storage is back")
    assert re.sub(r"\d+(\.\d)? s\b", "T", stream.getvalue()).splitlines() == [
        "run 0001 started: lr=0.12346, opt=adam",
        "run 0001 stopped at 3: 2.000 (cut-off 1.500)",
        "run 0002 failed: exit code 1: no data",
        "run 0003 finished: 0.5, 1 iteration (new best)",
        "run 0004 finished: 0.75, 1 iteration; NaN since iteration 2 of 9",
        "run 0005 lost: preempted (exit code 75); an agent will retry it",
        "run 0006 stopped at 3: 2.000 (cut-off 1.500), best 0.25 (new best)",
        "run 0007 started (attempt 2): lr=0.12346, opt=adam",
        "lightsweep: the storage is back",
    ]


def test_a_finished_run_has_its_time_and_a_failed_one_its_log(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path("lightsweep_runs", sweep.id, "0002", "output.log")
    log.parent.mkdir(parents=True)
    log.touch()
    stream = io.StringIO()
    display = LineDisplay(stream, sweep)
    display.started(live())
    display.ended(live(history=(0.5,)), Outcome("finished"))
    display.ended(live(2), Outcome("failed", "exit code 1"))
    _, finished, failed = stream.getvalue().splitlines()
    assert re.fullmatch(r"run 0001 finished: 0\.5, 1 iteration, [\d.]+ s \(new best\)", finished)
    option = f" --storage sqlite:///{tmp_path}/display.db"
    assert failed == f"run 0002 failed: exit code 1; log: {log} (lightsweep logs {sweep.id} 0002{option})"


def test_a_parameter_that_is_not_read_is_told_once(sweep: Sweep, stream: io.StringIO, display: LineDisplay) -> None:
    display.ended(live(1), Outcome("failed", "exit code 1", ["lr", "opt"]))  # it may have ended before it read them
    for number in (2, 3):
        display.ended(live(number, (1.0,)), Outcome("finished", "", ["opt"]))
    display.ended(live(4, (1.0,)), Outcome("finished", "", ["lr", "opt"]))
    assert [line for line in stream.getvalue().splitlines() if line.startswith("warning")] == [
        "warning: run 0002 never read 'opt', although the sweep varies it",
        "warning: run 0004 never read 'lr', although the sweep varies it",
    ]


def test_quiet_lines_are_failures_warnings_and_messages(sweep: Sweep) -> None:
    stream = io.StringIO()
    display = LineDisplay(stream, sweep, quiet=True)
    display.started(live())
    display.output(live(), b"epoch 1\n")
    display.ended(live(1, (1.0,)), Outcome("finished", "", ["opt"]))
    display.ended(live(2), Outcome("failed", "exit code 1"))
    display.hint("runs start warm")
    display.note("the storage is back")
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["warning:", "run", "lightsweep:"]


def test_the_best_of_other_agents_is_no_new_best_here(sweep: Sweep) -> None:
    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 0.25})

    lightsweep.agent(sweep, function=train, count=1)
    stream = io.StringIO()
    sweep.refresh()
    display = LineDisplay(stream, sweep)
    for number, value in ((2, 0.5), (3, 0.125), (4, 0.125)):
        display.ended(live(number, (value,)), Outcome("finished"))
    assert ["new best" in line for line in stream.getvalue().splitlines()] == [False, True, False]


def test_repeats_are_told_apart_and_the_last_has_the_score_of_its_group(tmp_path: Path) -> None:
    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 1.0})

    sweep = made(tmp_path, early_terminate=None, lightsweep={"repeats": 2})
    lightsweep.agent(sweep, function=train, count=1)
    sweep.refresh()
    stream = io.StringIO()
    display = LineDisplay(stream, sweep)
    run = live(2, (2.0,))
    run.attempt, run.repeat = 2, Repeat(0, 2, 7, "0001")
    display.started(run)
    display.ended(run, Outcome("finished"))
    begin, end = stream.getvalue().splitlines()
    assert begin == "run 0002 started (attempt 2, repeat 2 of 2, group 0001): lr=0.12346, opt=adam"
    assert end.endswith("; group 0001: 1.5 ± 0.71 (2 runs) (new best)")


def test_output_goes_through_and_events_begin_their_own_line(
    sweep: Sweep, stream: io.StringIO, display: LineDisplay
) -> None:
    for piece in ("größe ".encode()[:3], "größe ".encode()[3:], b"\xff 100 %\r"):
        display.output(live(), piece)
    display.note("x")
    display.output(live(), b"done\n")
    display.note("y")
    assert stream.getvalue() == "größe \ufffd 100 %\r\nlightsweep: x\ndone\nlightsweep: y\n"


def test_nothing_that_a_user_wrote_steers_the_terminal(stream: io.StringIO, display: LineDisplay) -> None:
    display.started(live(opt=EVIL))
    display.ended(live(), Outcome("failed", EVIL, [EVIL]))
    display.note(EVIL)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


# --- the live view


def test_the_view_shows_runs_state_and_progress(tmp_path: Path) -> None:
    sweep = made(tmp_path)
    display, stream = table(sweep)
    try:
        stopping = live(2, (0.9,))
        stopping.stop_reason = "band 1"
        retried = live(3)
        retried.attempt = 2
        display.tick([live(1, (0.5, 0.25, 0.75)), stopping, retried], sweep)
    finally:
        display.close()
    rows = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert "0001 3 ▅▁█ 0.75 lr=0.12346, opt=adam" in rows
    assert "0002 1 ▄ 0.9 stopping lr=0.12346, opt=adam" in rows
    assert "0003 0 – attempt 2 lr=0.12346, opt=adam" in rows
    assert f"sweep {sweep.id}: running; no runs yet" in rows
    assert f"{'─' * 40} 0 of 7" in rows


def test_no_more_rows_than_the_terminal_has(sweep: Sweep) -> None:
    display, stream = table(sweep)
    display.tick([live(number) for number in range(1, 41)], sweep)
    display.close()
    assert "0019" in stream.getvalue()
    assert "0020" not in stream.getvalue()
    assert "and 21 more running" in stream.getvalue()


def test_each_run_that_ends_is_one_line_at_any_width(sweep: Sweep) -> None:
    for width in (40, 200):
        stream = io.StringIO()
        console = Console(file=stream, width=width, height=24, force_terminal=True, color_system=None)
        display = LiveDisplay(console, sweep)
        display.ended(live(1, (0.25,)), Outcome("finished", "why " * 60))
        display.ended(live(2), Outcome("failed", "why " * 60))
        display.close()
        lines = [line for line in re.sub(r"\x1b\[[\d;?]*\w", "", stream.getvalue()).splitlines() if "000" in line]
        assert [line.split()[:2] for line in lines] == [["★", "0001"], ["✗", "0002"]]
        assert [len(line) for line in lines] == [width, width]


def test_the_last_state_of_a_progress_bar_is_in_the_view(sweep: Sweep) -> None:
    display, stream = table(sweep)
    display.started(live())
    display.output(live(), b"epoch 1\n\rbatch 1/9\rbatch 2/9 \x1b[31m|##")
    display.tick([live()], sweep)
    display.close()
    assert "\n  batch 2/9 |##\n" in stream.getvalue().replace("\r", "")


def test_a_stage_is_announced_when_it_begins(tmp_path: Path) -> None:
    stages = [
        {"name": "rate", "parameters": ["lr"], "run_cap": 1, "defaults": {"opt": 1}},
        {"name": "kind", "parameters": ["opt"]},
    ]
    parameters = {"lr": {"min": 0.0, "max": 1.0}, "opt": {"values": [1, 2]}}
    sweep = made(tmp_path, run_cap=3, parameters=parameters, lightsweep={"stages": stages})

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.lr})

    out = io.StringIO()
    with redirect_stdout(out):
        lightsweep.agent(sweep, function=train)
    announced = [line for line in out.getvalue().splitlines() if line.startswith("stage")]
    assert announced == [
        "stage 1 of 2, rate: searches lr",
        "stage 2 of 2, kind: searches opt; the rest is that of run 0001, the best so far",
    ]


def test_a_run_is_in_the_view_from_its_start_to_its_end(sweep: Sweep) -> None:
    display, stream = table(sweep)
    run = live(history=(1.0,))
    display.started(run)
    assert "\n0001  " in stream.getvalue().replace("\r", "")
    before = len(stream.getvalue())
    display.ended(run, Outcome("finished"))
    display.close()
    assert "★ 0001 finished: 1, 1 iteration" in stream.getvalue()[before:]
    assert "\n0001  " not in stream.getvalue()[before:].replace("\r", "")


def test_user_text_in_the_table_is_neither_markup_nor_control(sweep: Sweep) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=300, height=24, force_terminal=True, color_system=None)
    display = LiveDisplay(console, sweep)
    display.started(live(opt=EVIL))
    display.ended(live(2), Outcome("failed", EVIL, [EVIL]))
    display.note(EVIL)
    display.output(live(), b"\x1b[31mred\x1b[0m [bold]x[/bold] \x1b]0;title\x07\x1b[2J\x9b\n50 %\r100 %\n")
    display.close()
    text = stream.getvalue()
    assert text.count("[bold]x[/bold]") >= 4
    assert "\x1b[31m" not in text
    assert "\x1b]0;" not in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert "100 %" in text
    assert "50 %" not in text.replace("\r100", "")


def test_output_without_a_line_end_takes_bounded_memory(sweep: Sweep) -> None:
    display, stream = table(sweep)
    try:
        for _ in range(100):
            display.output(live(), b"#" * 2**14)
        display.output(live(), b"last")
        assert len(display._partial) <= 2**16
        display.ended(live(), Outcome("finished"))
    finally:
        display.close()
    assert "#last" in stream.getvalue().replace("\n", "")


# --- guarded


class Broken(Display):
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0

    def note(self, text: str) -> None:
        del text
        self.calls += 1
        raise self.error

    started = output = ended = tick = note  # type: ignore[assignment]  # each of them fails


def test_a_display_that_fails_is_silent_from_then_on(sweep: Sweep) -> None:
    broken = Broken(BrokenPipeError(32, "pipe"))
    display = GuardedDisplay(broken)
    display.note("a")
    display.started(live())
    display.output(live(), b"x")
    display.ended(live(), Outcome("finished"))
    display.tick([], sweep)
    display.close()
    assert broken.calls == 1


def test_a_text_that_cannot_be_encoded_does_not_silence_the_display(sweep: Sweep) -> None:
    broken = Broken(UnicodeEncodeError("ascii", "größe", 2, 3, "ordinal not in range(128)"))
    display = GuardedDisplay(broken)
    display.note("größe")
    display.note("size")
    assert broken.calls == 2


def test_what_a_stream_cannot_encode_is_printed_with_replacements(sweep: Sweep) -> None:
    sink = io.BytesIO()
    stream = io.TextIOWrapper(sink, encoding="ascii")
    display = LineDisplay(stream, sweep)
    display.started(live(opt="größe …"))
    display.output(live(), "Verlust: 0,5 €\n".encode())
    display.note("done")
    assert sink.getvalue().decode("ascii").splitlines() == [
        r"run 0001 started: lr=0.12346, opt=gr\xf6\xdfe \u2026",
        r"Verlust: 0,5 \u20ac",
        "lightsweep: done",
    ]


def test_a_fault_of_the_display_itself_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="x"):
        GuardedDisplay(Broken(ValueError("x"))).note("a")


# --- the last words


def test_closing_without_runs_and_with_a_storage_of_its_own(sweep: Sweep) -> None:
    assert closing(sweep, f"count 1 reached{EVIL}").splitlines() == [
        printable(f"agent of sweep {sweep.id} ended: count 1 reached{EVIL}")
    ]


def test_a_run_on_the_pareto_front_has_a_mark_and_the_best_in_the_first_metric_alone_has_none(tmp_path: Path) -> None:
    sweep = made(tmp_path, metric=None, metrics=[{"name": "loss"}, {"name": "time"}], early_terminate=None)
    stream = io.StringIO()
    display = LineDisplay(stream, sweep)
    for number, (loss, time) in enumerate([(0.5, 3.0), (0.6, 4.0), (0.7, 1.0), (0.5, 3.0), (0.1, 9.0)], start=1):
        run = live(number, (loss,))
        run.note({"loss": loss, "time": time})
        display.ended(run, Outcome("finished"))
    ends = [line.partition("iteration")[2] for line in stream.getvalue().splitlines()]
    front = " (on the Pareto front)"
    assert ends == [front, "", front, "", front]
