"""``lightsweep status --watch``: follow a sweep until it is over."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightsweep.cli.output import besides, progress_lines
from lightsweep.controller import Savings, Sweep, SweepRun, SweepState, best_run, part_views, savings
from lightsweep.errors import StorageUnavailableError
from lightsweep.schema import SweepConfig
from lightsweep.text import number, parameters, printable

__all__ = ["BARS", "STEPS", "Frame", "sparkline", "watch"]

BARS = "▁▂▃▄▅▆▇█"
STEPS = "_.-=*#"
"""The same for a terminal that shows ASCII only."""

_STATES = ("running", "waiting", "finished", "pruned", "failed", "killed")
_WINDOW = timedelta(hours=1)
_SPARK = 24


@dataclass(frozen=True)
class Frame:
    """What there is to show of a sweep.

    Attributes:
        sweep_id: Its id.
        state: Where it stands.
        config: Its config.
        runs: All of its runs, with those of other sweeps that it began with.
        limit: How many there can be; ``None`` without a cap or a finite space.
        now: The time, with a time zone.
        marks: From low to high, what sparklines are made of.
        progress: Lines on its stages; the first is the one that runs.
    """

    sweep_id: str
    state: SweepState
    config: SweepConfig
    runs: Sequence[SweepRun]
    limit: int | None
    now: datetime
    marks: str = BARS
    progress: Sequence[str] = ()

    @property
    def own(self) -> list[SweepRun]:
        """The runs that the sweep itself began: what counts, and has a pace."""
        return [run for run in self.runs if not run.prior]

    @property
    def running(self) -> list[SweepRun]:
        """The runs that an agent has in hand."""
        return [run for run in self.runs if run.state == "running"]

    @property
    def per_hour(self) -> float | None:
        """Runs that ended in the last hour, or since the first began where that is later; ``None`` for none."""
        own = self.own
        started = [run.started for run in own if run.started is not None]
        if not started:
            return None
        since = max(min(started), self.now - _WINDOW)
        ended = sum(not run.waiting and run.ended is not None and run.ended >= since for run in own)
        seconds = (self.now - since).total_seconds()
        return ended * 3600 / seconds if ended and seconds > 0 else None

    @property
    def left(self) -> timedelta | None:
        """How long the runs that are still to end will take at this pace; ``None`` where that is not known."""
        pace = self.per_hour
        if self.limit is None or pace is None or self.state.name != "running":
            return None
        ended = sum(run.standing not in {"running", "waiting"} for run in self.own)
        return timedelta(hours=max(0, self.limit - ended) / pace)

    @property
    def saved(self) -> Savings:
        """What stopping early saved."""
        return savings((run.ending for run in self.own), self.config)

    def lines(self, width: int, height: int) -> list[str]:
        """For a terminal of this size: where the sweep stands, then its running runs, as many as there is room for."""
        name = f" ({printable(self.config.name)})" if self.config.name else ""
        lines = [f"sweep {self.sweep_id}{name}: {self.state}", self._counts()]
        lines += self.progress
        best = best_run(self.runs, self.config)
        if best is not None and best.best is not None and self.config.metric is not None:
            when = "still running" if best.ended is None else f"{_span(self.now - best.ended)} ago"
            lines.append(f"best {printable(self.config.metric.name)} {number(best.best)}: run {best.id}, {when}")
            searched = self.config.searched([best.values])
            lines.append(f"  {parameters(best.values, searched)}")
        if self.config.stops_early:
            lines.append(str(self.saved))
        if pace := self._pace():
            lines.append(pace)
        running = self.running
        if running:
            room = max(1, height - len(lines) - 3)
            shown = running if len(running) <= room else running[: room - 1]
            lines += ["", *self._table(shown)]
            if len(shown) < len(running):
                lines.append(f"and {len(running) - len(shown)} more running")
        return [_cut(line, width) for line in lines]

    def line(self) -> str:
        """Everything in one line, for a pipe."""
        parts = [self._counts(), *self.progress[:1]]
        best = best_run(self.runs, self.config)
        if best is not None and best.best is not None and self.config.metric is not None:
            parts.append(f"best {self.config.metric.name} {number(best.best)} (run {best.id})")
        if self.config.stops_early and self.saved.stopped:
            parts.append(f"{self.saved.saved} of {self.saved.total} iterations saved")
        if pace := self._pace():
            parts.append(pace)
        return printable(f"{self.now.astimezone():%H:%M:%S} {self.state}: {'; '.join(parts)}")

    def _counts(self) -> str:
        counts = Counter(run.standing for run in self.own)
        text = ", ".join(f"{counts[name]} {name}" for name in _STATES if counts[name]) or "no runs yet"
        limit = f" of {self.limit:,}" if self.limit is not None else ""
        return f"{text}{limit}{besides(sum(run.prior for run in self.runs))}"

    def _pace(self) -> str:
        pace, left = self.per_hour, self.left
        if pace is None:
            return ""
        text = f"{pace:,.0f} runs per hour" if pace >= 10 else f"{pace:.2g} runs per hour"
        return text + (f", about {_span(left)} left" if left is not None else "")

    def _table(self, running: Sequence[SweepRun]) -> list[str]:
        metric = self.config.metric
        heading = ["run", "iteration", "band", "last", "best", metric.name if metric else ""]
        rows = []
        for run in running:
            hyperband = self.config.stopping(**run.labels)
            band = hyperband.reached(run.iterations) if hyperband else None
            rows.append(
                [
                    run.id,
                    str(run.iterations),
                    "–" if band is None else str(band),
                    "–" if run.last is None else number(run.last),
                    "–" if run.best is None else number(run.best),
                    sparkline(run.history, _SPARK, self.marks),
                ]
            )
        widths = [max(len(row[column]) for row in [heading[:5], *(row[:5] for row in rows)]) for column in range(5)]
        return [
            "  ".join(
                [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), printable(row[5])]
            ).rstrip()
            for row in [heading, *rows]
        ]


def sparkline(values: Sequence[float], width: int, marks: str = BARS) -> str:
    """The values as a row of marks, at most ``width``: of more values the last of each stretch.

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


def _span(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"


def watch(
    sweep: Sweep,
    console: Console,
    every: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> None:
    """Show where a sweep stands, again and again; on a terminal in place, elsewhere one line each time.

    Ends with the sweep: finished, cancelled, or stopped with no run left running. Ctrl-C ends it too, without a word.
    While the database does not answer it says so and goes on trying.

    Args:
        sweep: The sweep.
        console: Where to show it.
        every: Seconds between two looks.
        sleep: What waits.
        clock: What tells the time.

    Raises:
        NotFoundError: The sweep was deleted.
    """
    shown = _Shown(console)
    try:
        while True:
            try:
                frame = _look(sweep, console, clock())
            except StorageUnavailableError as error:
                shown.trouble(f"{error}; trying again")
            else:
                shown.show(frame)
                if _over(frame):
                    return
            sleep(every)
    except KeyboardInterrupt:
        return
    finally:
        shown.close()


def _look(sweep: Sweep, console: Console, now: datetime) -> Frame:
    state = sweep.state
    limit, _ = sweep.plan.limit()
    marks = BARS if "utf" in console.encoding.lower() else STEPS
    return Frame(
        sweep.id, state, sweep.config, sweep.known_runs(), limit, now, marks, progress_lines(part_views(sweep))
    )


def _over(frame: Frame) -> bool:
    if frame.state.name == "stopped":
        return not frame.running
    return frame.state.name in {"finished", "cancelled"}


class _Shown:
    """What is on the screen: a place that is written again and again, or one line below the other."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[str] = []
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()

    def show(self, frame: Frame) -> None:
        if self._live is None:
            print(frame.line(), file=self._console.file, flush=True)
        else:
            self._lines = frame.lines(self._console.width, self._console.height)
            self._update(self._lines)

    def trouble(self, text: str) -> None:
        if self._live is None:
            print(text, file=self._console.file, flush=True)
        else:
            self._update([*self._lines, text])

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _update(self, lines: list[str]) -> None:
        assert self._live is not None
        # Text, so that no name is taken for markup; without colours, so that nothing is lost without them.
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)
