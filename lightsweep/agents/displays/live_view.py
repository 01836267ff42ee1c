"""The live view of a sweep on a terminal: of an agent while it works, and of ``lightsweep status --watch``."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightsweep.agents.displays.base import Display, describe_end
from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep, SweepRun, SweepStatus
from lightsweep.controller.runs import best_of
from lightsweep.controller.summary import PartView, SweepSummary, part_line, part_views, summarize
from lightsweep.text import aligned, number, parameters, printable, shortened

BARS = "▁▂▃▄▅▆▇█"
STEPS = "_.-=*#"
"""The same for a terminal that shows ASCII only."""

_WINDOW = timedelta(hours=1)
_SPARK = 12
_LONGEST_LINE = 2**16  # bytes of an unfinished line that are kept, such as of a progress bar
_STYLE = {RunState.FINISHED: "green", RunState.PRUNED: "yellow"}
"""Colours of the lines of runs that ended; others are red."""


@dataclass(frozen=True)
class Frame:
    """A sweep at one moment, as lines of text.

    Attributes:
        summary: The sweep.
        running: The runs to show one by one.
        now: The time, with a time zone.
        parts: The sweep's stages.
        marks: The characters of curves, from low to high.
    """

    summary: SweepSummary
    running: Sequence[SweepRun]
    now: datetime
    parts: Sequence[PartView] = ()
    marks: str = BARS

    @property
    def per_hour(self) -> float | None:
        """Runs that ended in the last hour, or since the first began if that is later; ``None`` for none."""
        if self.summary.started is None:
            return None
        since = max(self.summary.started, self.now - _WINDOW)
        ended = sum(moment >= since for moment in self.summary.ends)
        seconds = (self.now - since).total_seconds()
        return ended * 3600 / seconds if ended and seconds > 0 else None

    @property
    def left(self) -> timedelta | None:
        """Time that the remaining runs take at this pace; ``None`` if that is unknown."""
        if self.summary.limit is None or self.per_hour is None or self.summary.state.name != SweepStatus.RUNNING:
            return None
        open_ = self.summary.states[RunState.RUNNING] + self.summary.states[RunState.WAITING]
        return timedelta(hours=max(0, self.summary.limit - self.summary.total + open_) / self.per_hour)

    def lines(self, width: int, height: int) -> list[str]:
        """Return the lines for a terminal of this size: the summary, then as many running runs as fit."""
        summary, best = self.summary, self.summary.best
        lines = [summary.title, summary.counts]
        if self.parts:
            lines.append(part_line(self.parts))
            lines += [
                printable(f"  {view.part.name}: best {number(view.best.best)}, run {view.best.id}")
                for view in self.parts
                if view.best is not None and view.best.best is not None
            ]
        if best is not None and summary.best_line:
            when = "still running" if best.ended is None else f"{span(self.now - best.ended)} ago"
            lines += [f"{summary.best_line}, {when}", f"  {summary.best_parameters}"]
        lines += summary.remarks
        if pace := self._pace():
            lines.append(pace)
        if self.running:
            room = max(1, height - len(lines) - 3)
            shown = self.running if len(self.running) <= room else self.running[: room - 1]
            heading = ["run", "iteration", "band", "last", "best", "curve", "parameters"]
            lines += ["", *aligned([heading, *map(self._row, shown)], right=range(1, 5))]
            if len(shown) < len(self.running):
                lines.append(f"and {len(self.running) - len(shown)} more running")
        return [shortened(line, width) for line in lines]

    def line(self) -> str:
        """Return the same without the runs in one line, for a pipe."""
        summary = self.summary
        saved = f"{summary.savings.saved:,} of {summary.savings.total:,} iterations saved"
        parts = [
            summary.counts,
            part_line(self.parts),
            summary.best_line,
            saved if summary.config.stops_early and summary.savings.stopped else "",
            self._pace(),
        ]
        return printable(f"{self.now.astimezone():%H:%M:%S} {summary.state}: {'; '.join(filter(None, parts))}")

    def _pace(self) -> str:
        pace, left = self.per_hour, self.left
        if pace is None:
            return ""
        text = f"{pace:,.0f} runs per hour" if pace >= 10 else f"{pace:.2g} runs per hour"
        return text + (f", about {span(left)} left" if left is not None else "")

    def _row(self, run: SweepRun) -> list[str]:
        config = self.summary.config
        hyperband = config.stopping(**run.labels)
        band = hyperband.reached(run.iterations) if hyperband else None
        mark = " stopping" if run.state == RunState.STOPPING else f" attempt {run.attempt}" if run.attempt > 1 else ""
        return [
            f"{run.id}{mark}",
            str(run.iterations),
            *("–" if value is None else number(value) for value in (band, run.last, run.best)),
            sparkline(run.history, _SPARK, self.marks),
            parameters(run.values, config.searched([run.values])),
        ]


def sparkline(values: Sequence[float], width: int, marks: str = BARS) -> str:
    """Return the values as a row of at most ``width`` marks: of more values the last of each stretch.

    The lowest value has the first mark and the highest the last; equal ones are in the middle. Values that are not
    finite are left out; empty for none.
    """
    finite = [value for value in values if math.isfinite(value)]
    count = min(width, len(finite))
    chosen = [finite[(place + 1) * len(finite) // count - 1] for place in range(count)]
    if not chosen:
        return ""
    # Halves, since the whole span of two large numbers may be too large for a float.
    low, span = min(chosen), max(chosen) / 2 - min(chosen) / 2
    top = len(marks) - 1
    return "".join(marks[round(top * ((value / 2 - low / 2) / span)) if span > 0 else top // 2] for value in chosen)


def span(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


class Screen:
    """A block of lines at the end of a terminal that is written again in place.

    Args:
        console: The terminal.
        transient: Remove the block on closing, and until then write what is printed elsewhere above it.
    """

    def __init__(self, console: Console, *, transient: bool = False) -> None:
        self.console = console
        self.marks = BARS if "utf" in console.encoding.lower() else STEPS
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=transient,
            redirect_stdout=transient,
            redirect_stderr=transient,
        )
        self._live.start()

    def show(self, lines: Sequence[str]) -> None:
        """Replace the block."""
        # Text, so that no name is taken for markup.
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)

    def print(self, text: Text) -> None:
        """Print a text above the block."""
        self._live.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal to others."""
        self._live.stop()


class TableDisplay(Display):
    """The live view of the sweep and the agent's own runs, below the lines of what has happened.

    Args:
        console: The terminal.
        sweep: The sweep.
    """

    def __init__(self, console: Console, sweep: Sweep) -> None:
        self._sweep = sweep
        self._lock = threading.Lock()
        self._partial = b""
        self._running: list[ClaimedRun] = []
        self._screen = Screen(console, transient=True)

    def started(self, run: ClaimedRun) -> None:
        with self._lock:
            self._running.append(run)
        self._update()

    def output(self, run: ClaimedRun, text: bytes) -> None:
        del run
        with self._lock:
            *lines, partial = (self._partial + text).split(b"\n")
            self._partial = partial[-_LONGEST_LINE:]
            for line in lines:
                self._print(line)

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        text = Text(printable(describe_end(self._sweep, run, outcome)), style=_STYLE.get(outcome.state, "red"))
        with self._lock:
            if self._partial:
                self._print(self._partial)
                self._partial = b""
            self._running = [shown for shown in self._running if shown is not run]
        self._update()
        with self._lock:
            self._screen.print(text)

    def note(self, text: str) -> None:
        with self._lock:
            self._screen.print(Text(printable(f"lightsweep: {text}"), style="bold"))

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        del sweep
        with self._lock:
            self._running = list(live)
        self._update()

    def close(self) -> None:
        with self._lock:
            self._screen.close()

    def _print(self, line: bytes) -> None:
        """Print a line of a run's output with its colours, but without other control sequences."""
        # Of a progress bar, which overwrites itself, the last state.
        shown = Text.from_ansi(line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace"))
        shown.plain = printable(shown.plain)
        self._screen.print(shown)

    def _update(self) -> None:
        sweep, console = self._sweep, self._screen.console
        now = datetime.now(timezone.utc)
        running = [_seen(run, sweep) for run in self._running]
        frame = Frame(summarize(sweep), running, now, part_views(sweep), self._screen.marks)
        with self._lock:
            self._screen.show(frame.lines(console.width, console.height))


def _seen(run: ClaimedRun, sweep: Sweep) -> SweepRun:
    """Return a run of this agent as it is now; the storage has its reports a moment later."""
    history = tuple(run.history)
    seen = SweepRun(
        run.id,
        RunState.STOPPING if run.stop_reason else RunState.RUNNING,
        run.config,
        run.values,
        best=best_of(history, sweep.config.metric.goal) if sweep.config.metric else None,
        last=run.reports[-1] if run.reports else None,
        iterations=len(history),
        history=history,
        attempt=run.attempt,
    )
    return replace(seen, **sweep.plan.part_of(run.ticket).labels)
