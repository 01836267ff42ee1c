"""``lightsweep status --watch``: follow a sweep until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightsweep.cli.frame import BARS, STEPS, Frame
from lightsweep.controller import Sweep, stage_views
from lightsweep.errors import StorageUnavailableError

__all__ = ["watch"]


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
    return Frame(sweep.id, state, sweep.config, sweep.known_runs(), limit, now, marks, stage_views(sweep))


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
