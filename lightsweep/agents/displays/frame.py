"""A sweep at one moment as lines for a terminal: progress, the running runs, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rich.cells import cell_len
from rich.text import Text

from lightsweep.controller import RunState, Sweep, SweepRun, SweepStatus
from lightsweep.controller.summary import PartView, SweepSummary, forecast_text, part_line, part_views, summarize
from lightsweep.text import CURVE, aligned, number, parameters, printable, span, sparkline

_WINDOW = timedelta(hours=1)
_SPARK = 12
_BAR = 40
_LEAST_BAR = 10
_LEAST_PARAMETERS = 12
_MINUTES_ABOVE = 120  # runs per hour


@dataclass(frozen=True)
class Marks:
    """The characters of a terminal: of curves from low to high, of the bar, and before lines of the log."""

    curve: str
    done: str
    open: str
    best: str
    failed: str


MARKS = Marks(CURVE, "━", "─", "★", "✗")
ASCII = Marks("_.-=*#", "#", "-", "*", "!")
"""For a terminal that shows ASCII only."""


@dataclass(frozen=True)
class Frame:
    """A sweep at one moment.

    Attributes:
        summary: The sweep.
        running: The runs to show one by one.
        now: The time, with a time zone.
        parts: The sweep's stages.
        marks: The characters to draw with.
        standing: Its state, and whether agents work on it; by default the state alone.
        silent: See `SweepReader.silences`.
        printing: The last line, without its end, that the one running run has printed, such as a progress bar.
        forecast: What more runs may bring, in words; empty if that is unknown.
    """

    summary: SweepSummary
    running: Sequence[SweepRun]
    now: datetime
    parts: Sequence[PartView] = ()
    marks: Marks = MARKS
    standing: str = ""
    silent: Mapping[str, timedelta] = field(default_factory=dict)
    printing: str = ""
    forecast: str = ""

    @classmethod
    def of(
        cls,
        sweep: Sweep,
        running: Sequence[SweepRun],
        now: datetime,
        marks: Marks = MARKS,
        silent: Mapping[str, timedelta] | None = None,
        *,
        alone: bool = True,
        printing: str = "",
    ) -> Frame:
        """Return the frame of a sweep as of the last look at it; ``alone`` if nobody else says that agents work."""
        summary, silent = summarize(sweep), silent or {}
        standing = summary.standing(silent) if alone else str(summary.state)
        parts, more = part_views(sweep), forecast_text(sweep)
        return cls(summary, running, now, parts, marks, standing, silent, printable(printing), more)

    @property
    def ended(self) -> int:
        """Number of runs that have ended and need no retry."""
        return self.summary.total - self.summary.states[RunState.RUNNING] - self.summary.states[RunState.WAITING]

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
        return timedelta(hours=max(0, self.summary.limit - self.ended) / self.per_hour)

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the lines for a terminal of this size: as many running runs as fit, then the summary."""
        below = [*self._best(), *self._state(width), self._bar(width)]
        above = self._rows(width, max(1, height - len(below) - 2 - bool(self.printing)))
        if self.printing:
            above.append(Text(f"  {printable(self.printing)}", style="dim"))
        return [_cut(line, width) for line in (*above, *below)]

    def line(self) -> str:
        """Return the same without the runs in one line, for a pipe."""
        summary = self.summary
        saved = f"{summary.savings.saved:,} of {summary.savings.total:,} iterations saved"
        parts = [
            summary.counts,
            part_line(self.parts),
            summary.best_line,
            summary.front_line,
            self.forecast,
            saved if summary.config.stops_early and summary.savings.stopped else "",
            self._pace(),
        ]
        standing = self.standing or str(summary.state)
        return printable(f"{self.now.astimezone():%H:%M:%S} {standing}: {'; '.join(filter(None, parts))}")

    def _state(self, width: int) -> list[Text]:
        summary = self.summary
        lines = [f"{summary.title}: {self.standing or summary.state}; {summary.in_states}"]
        if len(lines[0]) > width:
            lines = [f"{summary.title}: {self.standing or summary.state}", summary.in_states]
        if line := part_line(self.parts):
            lines.append(line)
            lines += [
                printable(f"  {view.part.name}: best {number(view.best.best)}, run {view.best.id}")
                for view in self.parts
                if view.best is not None and view.best.best is not None
            ]
        saved = str(summary.savings) if summary.savings.stopped else ""
        lines += [summary.front_line, saved, summary.without_result, self.forecast]
        return [Text(printable(line)) for line in lines if line]

    def _best(self) -> list[Text]:
        """Return the lines about the best run, and about a running run that is better."""
        summary, best = self.summary, self.summary.best
        if best is None or not summary.best_line:
            return []
        when = "still running" if best.ended is None else f"{_seconds(self.now - best.ended)} ago"
        lines = [Text(f"{summary.best_line}, {when}", style="bold"), Text(f"  {summary.best_parameters}")]
        if (ahead := self._ahead(best)) is not None and ahead.best is not None:
            lines.append(Text(f"  ahead of it, but still running: {number(ahead.best)} (run {ahead.id})"))
        return lines

    def _ahead(self, best: SweepRun) -> SweepRun | None:
        goal = self.summary.config.metric.goal if self.summary.config.metric else ""
        sign = 1 if goal == "minimize" else -1
        alone = self.summary.score is None  # one repeat says little about the mean
        valued = [
            (sign * run.best, run) for run in self.running if run.best is not None and run.id != best.id and alone
        ]
        value, ahead = min(valued, key=lambda each: each[0], default=(math.inf, None))
        return ahead if best.best is not None and value < sign * best.best else None

    def _bar(self, width: int) -> Text:
        """Return the bar of the sweep with its numbers; without a limit, the number of runs so far."""
        limit, ended = self.summary.limit, self.ended
        if limit is None:
            return Text(printable(f"{ended:,} runs so far{_after(self._pace())}"))
        text = f"{ended:,} of {limit:,}{_after(self._pace())}"
        size = max(_LEAST_BAR, min(_BAR, width - len(text) - 2))
        done = size if not limit else min(size, size * ended // limit)
        bar = Text.assemble((self.marks.done * done, "green"), (self.marks.open * (size - done), "dim"))
        return bar.append(f"  {text}")

    def _pace(self) -> str:
        if self.standing == f"{SweepStatus.RUNNING}, no agent":
            return f"waiting for an agent: lightsweep agent {self.summary.sweep_id}"
        pace, left = self.per_hour, self.left
        if pace is None:
            return ""
        if pace >= _MINUTES_ABOVE:
            text = f"{pace / 60:,.0f} runs per minute"
        else:
            text = f"{pace:,.0f} runs per hour" if pace >= 10 else f"{pace:.2g} runs per hour"
        return text + (f", about {_seconds(left)} left" if left else "")

    def _rows(self, width: int, room: int) -> list[Text]:
        shown = self.running if len(self.running) <= room else self.running[: room - 1]
        lines = []
        if shown:
            cells = aligned([self._cells(run) for run in shown], right=(1, 3))
            lines = [self._row(run, line, width) for run, line in zip(shown, cells, strict=True)]
        if len(shown) < len(self.running):
            lines.append(Text(f"and {len(self.running) - len(shown)} more running"))
        return lines

    def _cells(self, run: SweepRun) -> list[str]:
        length = self.summary.length_of(run)
        return [
            run.id,
            f"{run.iterations}/{length}" if length else str(run.iterations),
            sparkline(run.history, _SPARK, self.marks.curve),
            "–" if run.last is None else number(run.last),
        ]

    def _row(self, run: SweepRun, cells: str, width: int) -> Text:
        row = Text(cells)
        if run.id in self.silent:
            return row.append(f"  no sign of life for {span(self.silent[run.id])}", style="yellow")
        mark = "stopping" if run.state == RunState.STOPPING else f"attempt {run.attempt}" if run.attempt > 1 else ""
        row.append(f"  {mark}" if mark else "")
        names = self.summary.config.searched([run.values])
        room = width - cell_len(row.plain) - 2
        return row.append(f"  {parameters(run.values, names)}", style="dim") if room >= _LEAST_PARAMETERS else row


def _after(text: str) -> str:
    return f", {text}" if text else ""


def _seconds(length: timedelta) -> str:
    return span(timedelta(seconds=round(length.total_seconds())))


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
