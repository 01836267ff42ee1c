"""What an agent shows on a terminal: a table that follows its runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightsweep.agents.displays.base import Display
from lightsweep.agents.displays.lines import describe_end
from lightsweep.controller import ClaimedRun, Outcome, Sweep, summarize
from lightsweep.controller.runs import best_of
from lightsweep.text import number, parameters, printable

__all__ = ["TableDisplay"]

_STATES = ("running", "waiting", "finished", "pruned", "failed", "killed")
_LINES_BELOW = 6
_LONGEST_LINE = 2**16  # bytes of a line without an end that are kept, as of a progress bar
_STYLE = {"finished": "green", "pruned": "yellow", "failed": "red", "killed": "red", "lost": "red"}


class TableDisplay(Display):
    """The running runs, the best so far and what stopping saved, below the lines of what has happened.

    Args:
        console: The terminal.
        sweep: The sweep.
    """

    def __init__(self, console: Console, sweep: Sweep) -> None:
        self._sweep = sweep
        self._console = console
        self._lock = threading.Lock()
        self._partial = b""
        self._shown: list[ClaimedRun] = []
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def started(self, run: ClaimedRun) -> None:
        with self._lock:
            self._shown.append(run)
        self._update()

    def output(self, run: ClaimedRun, text: bytes) -> None:
        del run
        with self._lock:
            *lines, partial = (self._partial + text).split(b"\n")
            self._partial = partial[-_LONGEST_LINE:]
            for line in lines:
                self._print(line)

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        text = Text(printable(describe_end(self._sweep, run, outcome)), style=_STYLE.get(outcome.state, ""))
        with self._lock:
            if self._partial:
                self._print(self._partial)
                self._partial = b""
            self._shown = [shown for shown in self._shown if shown is not run]
        self._update()
        with self._lock:
            self._live.console.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        with self._lock:
            self._live.console.print(Text(printable(f"lightsweep: {text}"), style="bold"), soft_wrap=True)

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        del sweep
        with self._lock:
            self._shown = list(live)
        self._update()

    def close(self) -> None:
        with self._lock:
            self._live.stop()

    def _print(self, line: bytes) -> None:
        """One line of a run's output: its colours, but nothing else that steers a terminal."""
        # Of a progress bar, which overwrites itself, the last state.
        shown = Text.from_ansi(line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace"))
        shown.plain = printable(shown.plain)
        self._live.console.print(shown, soft_wrap=True)

    def _update(self) -> None:
        shown = self.render(self._shown, self._sweep)
        with self._lock:
            self._live.update(shown, refresh=True)

    def render(self, live: Sequence[ClaimedRun], sweep: Sweep) -> RenderableType:
        """The running runs, and below them where the sweep stands."""
        metric = sweep.config.metric
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        table.add_column("run", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for heading in ("iterations", "last", "best"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("parameters", overflow="ellipsis", no_wrap=True, ratio=1)
        room = max(1, self._console.height - _LINES_BELOW)
        for run in live[:room]:
            best = best_of(run.history, metric.goal) if metric else None
            table.add_row(
                run.id,
                _state(run),
                str(len(run.history)),
                number(run.reports[-1]) if run.reports else "–",
                number(best) if best is not None else "–",
                Text(parameters(run.values, sweep.config.searched([run.values]))),
            )
        below = [Text(printable(line), style="bold", overflow="ellipsis", no_wrap=True) for line in self._footer(sweep)]
        if len(live) > room:
            below.insert(0, Text(f"and {len(live) - room} more running", style="dim"))
        return Group(table, *below) if live else Group(*below)

    def _footer(self, sweep: Sweep) -> list[str]:
        metric = sweep.config.metric
        seen, state = summarize(sweep), sweep.known_state()
        limit, _ = sweep.plan.limit()
        parts = ", ".join(f"{seen.states[name]} {name}" for name in _STATES if seen.states[name]) or "no runs yet"
        priors = f" + {seen.priors} prior run{'' if seen.priors == 1 else 's'}" if seen.priors else ""
        lines = [f"sweep {sweep.id} {state}: {parts}{f' of {limit}' if limit is not None else ''}{priors}"]
        if (best := seen.best) is not None and best.best is not None and metric is not None:
            shown = parameters(best.values, sweep.config.searched([best.values]))
            lines.append(f"best {metric.name} {number(best.best)} (run {best.id}): {shown}")
        if sweep.config.stops_early:
            lines.append(str(seen.savings))
        return lines


def _state(run: ClaimedRun) -> Text:
    if run.stop_reason:
        return Text("stopping", style="yellow")
    return Text(f"attempt {run.attempt}" if run.attempt > 1 else "running", style="cyan")
