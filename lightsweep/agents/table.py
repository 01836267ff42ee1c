"""What an agent shows on a terminal: a table that follows its runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightsweep.agents.events import Display
from lightsweep.agents.lines import describe_end, number, parameters, plain
from lightsweep.controller import LiveRun, Outcome, Sweep, savings
from lightsweep.controller.runs import best_of

__all__ = ["TableDisplay"]

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
        self._searched = [parameter.name for parameter in sweep.config.space.searched]
        self._lock = threading.Lock()
        self._partial = b""
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def output(self, run: LiveRun, text: bytes) -> None:
        del run
        with self._lock:
            *lines, self._partial = (self._partial + text).split(b"\n")
            for line in lines:
                # Of a progress bar, which overwrites itself, the last state.
                shown = line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace")
                self._live.console.print(Text.from_ansi(shown), soft_wrap=True)

    def ended(self, run: LiveRun, outcome: Outcome) -> None:
        text = Text(plain(describe_end(self._sweep, run, outcome)), style=_STYLE.get(outcome.state, ""))
        with self._lock:
            self._live.console.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        with self._lock:
            self._live.console.print(Text(plain(f"lightsweep: {text}"), style="bold"), soft_wrap=True)

    def tick(self, live: Sequence[LiveRun], sweep: Sweep) -> None:
        shown = self.render(live, sweep)
        with self._lock:
            self._live.update(shown, refresh=True)

    def close(self) -> None:
        with self._lock:
            self._live.stop()

    def render(self, live: Sequence[LiveRun], sweep: Sweep) -> RenderableType:
        """The table and the line below it."""
        metric = sweep.config.metric
        table = Table(box=None, pad_edge=False, expand=False)
        for heading in ("run", "iterations", "last", "best"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("parameters", overflow="ellipsis", no_wrap=True, ratio=1)
        for run in live:
            best = best_of(run.history, metric.goal) if metric else None
            table.add_row(
                run.id,
                str(len(run.history)),
                number(run.reports[-1]) if run.reports else "–",
                number(best) if best is not None else "–",
                Text(plain(parameters(run.values, self._searched))),
            )
        return Group(table, Text(plain(self._footer(sweep))))

    def _footer(self, sweep: Sweep) -> str:
        with sweep.lock:
            entries = list(sweep.book.entries.values())
            states = Counter(entry.state for entry in entries)
            counted = [(entry.state, len(entry.history)) for entry in entries]
            best = sweep.known_best()
        parts = [
            f"{states[name]} {name}" for name in ("running", "finished", "pruned", "failed", "killed") if states[name]
        ]
        text = f"sweep {sweep.id}: {', '.join(parts) or 'no runs yet'}"
        if best is not None and sweep.config.metric is not None:
            text += f"; best {sweep.config.metric.name} {number(best[1])} (run {best[0]})"
        return f"{text}; {savings(counted, sweep.config.early_terminate)}"
